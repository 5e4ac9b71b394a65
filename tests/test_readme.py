"""The README's code runs unchanged, and its figures are those of the measurements."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lastcall
from lastcall import author, identity
from lastcall.wire import frames

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, mark: str) -> str:
    """Returns the one block of code of the README that contains ``mark``."""
    [found] = blocks(language, mark, README)
    return found


def blocks(language: str, mark: str, page: str) -> list[str]:
    """Returns the blocks of code of a page that contain ``mark``."""
    found = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return [text for text in found if mark in text]


def test_the_example_room_and_its_test_run_unchanged(tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text(block("python", "@room("), encoding="utf-8")
    test = block("python", "from lastcall.testing")
    (tmp_path / "test_dice.py").write_text(test, encoding="utf-8")
    page = (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8")
    imports = (
        "import trio\nfrom lastcall.testing import play\nfrom dice import dice\n"
        "from lastcall.game.examples.tictactoe import tictactoe\n"
    )
    more = blocks("python", "async with play(", page)
    (tmp_path / "test_more.py").write_text(imports + "".join(more), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "trio_mode=true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout


def test_the_example_conversation_consists_of_valid_frames() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    sent = re.findall(r"^> (.*)", page, re.MULTILINE)
    received = re.findall(r"^< (.*)", page, re.MULTILINE)
    assert [type(frames.decode(line)) for line in sent] == [
        *(frames.Join, frames.Say),
        *(frames.Resume, frames.Say),
    ]
    assert [type(frames.decode_server(line.replace("[…]", "[]"))) for line in received] == [
        *(frames.Hello, frames.Joined, frames.Ack, frames.Message),
        *(frames.Hello, frames.Resumed, frames.Message),
    ]


def test_each_figure_of_the_readme_is_on_the_page_of_measurements() -> None:
    measured = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    figures = re.findall(r"\*\*(\d.*?)\*\*", README.partition("## Figures")[2])
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in measured.replace("**", "")] == []


@pytest.mark.parametrize("module", [author, identity])
def test_the_top_level_package_exports_each_name_of_its_two_modules(module: ModuleType) -> None:
    for name in {*lastcall.__all__} & {*module.__all__}:
        assert getattr(lastcall, name) is getattr(module, name)
    assert {*module.__all__} - {*lastcall.__all__} <= {"RoomBackend"}
