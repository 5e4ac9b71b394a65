"""The page on rolling updates says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lastcall.core.lifecycle import diagram
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.drain import Counts


@pytest.fixture
def page(deploy: Path) -> Path:
    return deploy.parent / "docs" / "rolling-updates.md"


def first_cells(page: Path) -> list[str]:
    return re.findall(r"^\| (\S+) \|", page.read_text(), re.MULTILINE)


def test_the_diagram_is_the_table_of_the_life_cycle(page: Path) -> None:
    [shown] = re.findall(r"```mermaid\n(.*?)\n```", page.read_text(), re.DOTALL)
    assert shown == diagram()


def test_the_report_is_told_field_by_field(page: Path) -> None:
    fields = [f"`{name}`" for name in (*Counts.__struct_fields__, "seconds")]
    assert [cell for cell in first_cells(page) if cell in fields] == fields


def test_every_exit_code_is_told(page: Path) -> None:
    told = page.read_text().partition("and the exit code:")[2]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", told, re.MULTILINE)]
    assert codes[: len(ExitCode)] == sorted(code.value for code in ExitCode)


def test_the_defaults_are_those_of_the_drain(page: Path) -> None:
    usual = DrainPolicy()
    assert (
        f"**G** is `--grace` ({usual.grace_seconds:g}), **F** `--farewell` "
        f"({usual.farewell_seconds:g}), **L** `--lame-duck` ({usual.lame_duck_seconds:g}), "
        f"**S** `--spread` ({usual.spread_seconds:g})"
    ) in " ".join(page.read_text().split())
    assert f"so at {usual.cut_seconds:g} by default" in " ".join(page.read_text().split())


def test_its_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []
