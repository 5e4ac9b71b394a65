"""The events by which a version's process tells of the author's code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lastcall.dev.reports import describe_failure, describe_loaded
from lastcall.errors import BadRooms
from lastcall.game.loader import load
from lastcall.local.output import LINE_BYTES_MAX

GOOD = """
import json, msgspec, xml.dom.minidom
from lastcall import Room, room

class Board(msgspec.Struct):
    cells: str = ""

def fresh(options) -> Board:
    return Board()

@room("duel_of_reports", seats=2, state=Board)
async def duel(table: Room) -> None: ...

@room("made_of_reports", seats=2, state=fresh)
async def made(table: Room) -> None: ...

@room("plain_of_reports", seats=2)
async def plain(table: Room) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("reports_"):
            del sys.modules[name]


def failure(module: str) -> dict[str, object]:
    before = set(sys.modules)
    with pytest.raises(BadRooms) as raised:
        load([module])
    return describe_failure(raised.value, before, [module])


def test_code_that_loads_tells_its_folders_and_where_its_states_are_defined(folder: Path) -> None:
    file = folder / "reports_good.py"
    file.write_text(GOOD)
    before = set(sys.modules)
    kinds = load(["reports_good"])
    loaded = describe_loaded(kinds.values(), before, ["reports_good"])
    assert loaded["folders"] == [str(folder)], (
        "and neither the standard library nor what is installed"
    )
    states = {"duel_of_reports": f"{file}:5", "made_of_reports": f"{file}:8"}
    assert loaded["states"] == states
    assert set(loaded["kinds"]) == set(kinds)


def test_an_exception_at_import_has_the_authors_frames_and_the_place_of_the_last(
    folder: Path,
) -> None:
    outer, inner = folder / "reports_outer.py", folder / "reports_below/inner.py"
    inner.parent.mkdir()
    outer.write_text("import reports_below.inner\n")
    inner.write_text("def divide():\n    return 1 / 0\n\ndivide()\n")
    said = failure("reports_outer")
    assert (said["file"], said["line"]) == (str(inner), 2)
    assert said["folders"] == [str(inner.parent), str(folder)]
    text = str(said["traceback"])
    assert text.startswith(f'Traceback (most recent call last):\n  File "{outer}", line 1')
    assert text.rstrip().endswith("ZeroDivisionError: division by zero")
    assert not said["needs_restart"]


def test_a_syntax_error_has_the_place_that_the_parser_says(folder: Path) -> None:
    file = folder / "reports_typo.py"
    file.write_text("x = 1\ndef broken(:\n")
    said = failure("reports_typo")
    assert (said["file"], said["line"]) == (str(file), 2)
    assert "SyntaxError" in str(said["traceback"])
    assert said["folders"] == [str(folder)]


def test_a_kind_that_cannot_be_served_has_no_traceback_if_it_is_not_an_exceptions(
    folder: Path,
) -> None:
    file = folder / "reports_empty.py"
    file.write_text("x = 1\n")
    said = failure("reports_empty")
    assert said == {
        "error": "no rooms in reports_empty: give a module with @room",
        "folders": [str(folder)],
    }


def test_a_module_of_that_name_that_is_not_there_needs_a_restart_and_one_that_it_imports_does_not(
    folder: Path,
) -> None:
    (folder / "reports_needs.py").write_text("import reports_helper\n")
    assert failure("reports_nowhere")["needs_restart"]
    assert failure("reports_nowhere.rooms")["needs_restart"]
    said = failure("reports_needs")
    assert not said["needs_restart"]
    assert said["line"] == 1


def test_folders_of_installed_code_that_failed_are_not_the_authors(folder: Path) -> None:
    (folder / "reports_reads.py").write_text("import json\n\njson.loads('{')\n")
    said = failure("reports_reads")
    assert "JSONDecodeError" in str(said["traceback"])
    assert said["folders"] == [str(folder)]


@pytest.mark.parametrize("name", ["x", "é" * 60], ids=["short", "long"])
def test_the_events_of_a_large_game_fit_into_a_line_that_is_read(folder: Path, name: str) -> None:
    packages = [f"reports_{name}{number}" for number in range(210)]
    for package in packages:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    file = folder / "reports_large.py"
    text = "".join(f"import {package}\n" for package in packages)
    before = set(sys.modules)
    file.write_text(f"{text}raise ValueError('é' * 100_000)\n")
    failed = failure("reports_large")
    for package in packages:
        del sys.modules[package]
    file.write_text(text + GOOD)
    importlib.invalidate_caches()
    kind = next(iter(load(["reports_large"]).values()))
    kinds = [msgspec.structs.replace(kind, name=f"kind_{number}") for number in range(201)]
    loaded = describe_loaded(kinds, before, ["reports_large"])
    assert len(loaded["states"]) > 20
    for fields in (loaded, failed):
        assert len(msgspec.json.encode(fields)) < LINE_BYTES_MAX
        assert fields["folders"][0] == str(folder), "where a save may mend it"
        assert len(fields["folders"]) > 20
