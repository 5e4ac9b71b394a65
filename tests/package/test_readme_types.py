"""The strict type check of authors: the README's room passes, and ``Room[Board]`` is understood."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.package.environment import ROOT, run
from tests.test_readme import block

pytestmark = pytest.mark.e2e

ROOMS = """
from typing import assert_type

import msgspec

from lastcall import Kind, Room, room


class Size(msgspec.Struct):
    width: int = 3


class Board(msgspec.Struct):
    cells: str = ""


def sized(options: Size) -> Board:
    return Board("-" * options.width)


@room("of_a_type", seats=2, state=Board)
async def of_a_type(table: Room[Board]) -> None:
    assert_type(table.state, Board)
    table.state.cells = "X"
    table.state = Board("O")
    table.state = "O"  # type: ignore[assignment]
    table.state.cell = 3  # type: ignore[attr-defined]


@room("of_a_function", seats=2, options=Size, state=sized)
async def of_a_function(table: Room[Board]) -> int:
    return len(table.state.cells)


@room("of_a_dict", seats=2, state=dict[str, int])
async def of_a_dict(table: Room[dict[str, int]]) -> int:
    return table.state["ann"]


@room("plain", seats=2)
async def plain(table: Room) -> None:
    await table.commit()


@room("untyped", seats=2, state=Board)
async def untyped(table: Room) -> None:
    table.state.whatever = 3


@room("another", seats=2, state=Board)  # type: ignore[arg-type]
async def another(table: Room[Size]) -> None: ...


assert_type(of_a_type, Kind)
"""
"""Each ``type: ignore`` in it is needed: the strict check refuses one that is not."""


def test_the_room_in_the_readme_passes_the_strict_type_check(tmp_path: Path) -> None:
    assert "no issues found" in strict_check(tmp_path, block("python", "@room("))


def test_the_type_of_a_rooms_state_is_checked_against_the_kind(tmp_path: Path) -> None:
    assert "no issues found" in strict_check(tmp_path, ROOMS)


def strict_check(folder: Path, text: str) -> str:
    """Returns the output of mypy for an author's module."""
    (folder / "dice.py").write_text(text, encoding="utf-8")
    mypy = (sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "dice.py")
    return run(*mypy, cwd=folder, env={"MYPYPATH": str(ROOT)})
