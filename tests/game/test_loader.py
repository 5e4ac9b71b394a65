"""Modules with rooms are loaded by name; each mistake in them is an error of one line."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lastcall import room
from lastcall.errors import BadRooms
from lastcall.game.loader import load

KIND = """
    from lastcall import Room, room

    @room("{name}", seats=2{more})
    async def {name}(table: Room) -> None: ...
"""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules, by their path, into a folder on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(path: str, text: str = "") -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def kind(name: str, more: str = "") -> str:
    return KIND.format(name=name, more=more)


def test_the_examples_have_four_kinds() -> None:
    assert sorted(load(["lastcall.game.examples"])) == ["arena", "countdown", "lounge", "tictactoe"]


def test_the_kinds_of_two_modules_are_joined(write: Write) -> None:
    write("one.py", kind("chess"))
    write("two.py", kind("chat"))
    assert list(load(["one", "two"])) == ["chess", "chat"]


def test_a_package_includes_its_direct_submodules_except_main(write: Write) -> None:
    write("club/__init__.py")
    write("club/chess.py", kind("chess"))
    write("club/__main__.py", "raise SystemExit('was run')")
    write("club/deeper/__init__.py")
    write("club/deeper/chat.py", kind("chat"))
    assert list(load(["club"])) == ["chess"]


def test_a_kind_that_another_module_imports_counts_once(write: Write) -> None:
    write("one.py", kind("chess"))
    write("two.py", "from one import chess\nsame = chess")
    assert list(load(["one", "two"])) == ["chess"]


def test_the_error_for_a_kind_that_is_defined_twice_names_both_places(write: Write) -> None:
    write("one.py", kind("chess"))
    write("two.py", kind("chess"))
    with pytest.raises(BadRooms, match=r"'chess' .* one\.chess:4 and two\.chess:4$"):
        load(["one", "two"])


def test_a_module_without_rooms_is_refused(write: Write) -> None:
    write("empty.py")
    with pytest.raises(BadRooms, match="no rooms in empty"):
        load(["empty"])


def test_the_error_for_a_missing_module_names_it() -> None:
    with pytest.raises(BadRooms, match=r"^cannot import 'nowhere\.rooms': .*'nowhere'$"):
        load(["nowhere.rooms"])


def test_an_error_during_an_import_is_reported_in_one_line_with_its_place(write: Write) -> None:
    write("helper.py", "\n\n1 / 0")
    write("broken.py", "import helper")
    with pytest.raises(BadRooms) as caught:
        load(["broken"])
    line = str(caught.value)
    assert line.startswith("cannot import 'broken': ZeroDivisionError: division by zero (")
    assert line.endswith("helper.py:3)")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:", r"SyntaxError: .* \(/.*/wrong\.py:1\)$"),
        ("raise SystemExit(5)", r"SystemExit: 5 \(.*wrong\.py:1\)$"),
        ("raise ValueError('two\\nlines')", r"ValueError: two lines \(.*wrong\.py:1\)$"),
        ("raise SyntaxError('mine')", r"SyntaxError: mine \(.*wrong\.py:1\)$"),
        ("from lastcall import room\nroom('x')", r"BadRooms: kind 'x': .*seats=4\) \(.*py:2\)$"),
        (
            "from lastcall import room\nroom('x', seat=2)",
            r"BadRooms: kind 'x': @room takes no 'seat'; it takes seats, starts, .* \(.*py:2\)$",
        ),
        (
            "from lastcall import room\n@room\nasync def x(t): ...",
            r"BadRooms: .* name first.*py:2\)$",
        ),
        ("raise ValueError", r"ValueError: no message \(.*wrong\.py:1\)$"),
        (
            "from lastcall import room\nroom('x', seats=0)",
            r"BadRooms: .*seats is a whole number from 1 to 10000; got 0 \(.*:2\)$",
        ),
        (
            "from lastcall import room\nroom('x', seats=10_001)",
            r"BadRooms: .* got 10001 \(.*py:2\)$",
        ),
        (
            "from lastcall import room\nroom('x', seats=2, starts=3)",
            r"BadRooms: .*starts is a whole number from 1 to 2; got 3",
        ),
    ],
)
def test_any_mistake_in_a_module_is_reported_in_one_line(
    write: Write, text: str, message: str
) -> None:
    write("wrong.py", text)
    with pytest.raises(BadRooms, match=f"^cannot import 'wrong': {message}"):
        load(["wrong"])


def test_inputs_that_cannot_be_decoded_are_refused_at_once(write: Write) -> None:
    write("odd.py", kind("odd", more=", inputs=dict[int, int] | list[int] | set[int]"))
    with pytest.raises(BadRooms, match=r"^kind 'odd' in odd\.odd:4: "):
        load(["odd"])


def test_a_plain_class_as_inputs_is_refused_at_once(write: Write) -> None:
    write("plain.py", "class Plain: pass")
    write("odd.py", kind("odd", more=", inputs=__import__('plain').Plain"))
    with pytest.raises(BadRooms, match=r"^kind 'odd' in .*: Plain cannot be read from JSON: make"):
        load(["odd"])


@pytest.mark.parametrize("which", ["inputs", "options"])
def test_an_option_that_needs_a_type_refuses_another_value_and_is_named(
    write: Write, which: str
) -> None:
    write("odd.py", kind("odd", more=f", {which}=object()"))
    with pytest.raises(BadRooms, match=rf"^kind 'odd' in odd\.odd:4: {which}: .*msgspec\.Struct$"):
        load(["odd"])


@pytest.mark.parametrize(
    "head", ["def dice(table):\n    return 1", "async def dice(t):\n    yield"]
)
def test_a_function_that_is_not_async_is_refused_at_once(write: Write, head: str) -> None:
    write("dice.py", f"from lastcall import room\n@room('dice', seats=2)\n{head}")
    with pytest.raises(BadRooms, match=r"dice is not an async function; .*async def dice\(table"):
        load(["dice"])


def test_the_error_for_a_file_name_gives_the_module_name(write: Write) -> None:
    write("dice.py", kind("dice"))
    with pytest.raises(BadRooms, match=r"a module is named without \.py: dice$"):
        load(["dice.py"])


@pytest.mark.parametrize("more", [{"history_messages": 8_193}, {"history_bytes": 512 * 1024 + 1}])
def test_a_history_too_large_to_be_sent_to_a_client_at_once_is_refused(
    more: dict[str, int],
) -> None:
    with pytest.raises(BadRooms, match=r"'deep': history_.* from 0 to (8192|524288); got"):
        room("deep", seats=1, **more)
