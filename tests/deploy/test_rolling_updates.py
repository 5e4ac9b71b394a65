"""The page on rolling updates agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lastcall.core import lifecycle
from lastcall.core.handoff import adoption, offer
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.wire import survival_items
from lastcall.wire.reports import Counts


@pytest.fixture
def page(deploy: Path) -> Path:
    return deploy.parent / "docs" / "rolling-updates.md"


def first_cells(page: Path) -> list[str]:
    return re.findall(r"^\| (\S+) \|", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "diagrams"),
    [
        ("rolling-updates.md", [lifecycle.diagram()]),
        (
            "explanation/moving.md",
            [offer.diagram(), adoption.diagram(), survival_items.diagram()],
        ),
    ],
)
def test_the_diagrams_show_the_tables_that_the_code_runs(
    page: Path, name: str, diagrams: list[str]
) -> None:
    text = (page.parent / name).read_text()
    assert re.findall(r"```mermaid\n(.*?)\n```", text, re.DOTALL) == diagrams


def test_the_page_documents_each_field_of_the_report(page: Path) -> None:
    fields = [f"`{name}`" for name in (*Counts.__struct_fields__, "seconds")]
    assert [cell for cell in first_cells(page) if cell in fields] == fields


def test_the_page_documents_every_exit_code(page: Path) -> None:
    section = page.read_text().partition("and the exit code:")[2]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert codes[: len(ExitCode)] == sorted(code.value for code in ExitCode)


def test_the_page_gives_the_defaults_of_the_drain_policy(page: Path) -> None:
    default = DrainPolicy()
    assert (
        f"**G** is `--grace` ({default.grace_seconds:g}), **F** `--farewell` "
        f"({default.farewell_seconds:g}), **L** `--lame-duck` ({default.lame_duck_seconds:g}), "
        f"**S** `--spread` ({default.spread_seconds:g})"
    ) in " ".join(page.read_text().split())
    assert f"so at {default.cut_seconds:g} by default" in " ".join(page.read_text().split())


def test_every_link_has_a_target(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []
