"""A kind that could not be served says so where it is defined, in one line that helps."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest

from lastcall import room
from lastcall.errors import BadRooms


async def without_a_table() -> None: ...


async def with_two(table: Any, other: Any) -> None: ...


async def with_a_keyword(table: Any, *, size: int) -> None: ...


async def fits(table: Any, size: int = 3) -> None: ...


class Table:
    async def __call__(self, table: Any) -> None: ...


class Needy(msgspec.Struct):
    cells: str


def untold(options: Any):  # type: ignore[no-untyped-def]
    return Needy("")


def of_nothing() -> Needy:
    return Needy("")


@pytest.mark.parametrize("function", [without_a_table, with_two, with_a_keyword])
def test_a_function_that_does_not_take_the_room_alone_is_refused(function: Any) -> None:
    called = function.__name__
    with pytest.raises(
        BadRooms, match=rf"^kind 'x': {called} .*async def {called}\(table: Room\)$"
    ):
        room("x", seats=2)(function)


@pytest.mark.parametrize("function", [fits, functools.partial(with_two, other=1), Table()])
def test_whatever_can_be_called_with_the_room_is_taken(function: Any) -> None:
    assert room("x", seats=2)(function).function is function


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"seats": "2"}, "seats is a whole number from 1 to 10000; got '2'"),
        ({"seats": 2.0}, "seats is a whole number from 1 to 10000; got 2.0"),
        ({"seats": True}, "seats is a whole number from 1 to 10000; got True"),
        ({"seats": None}, "seats is a whole number from 1 to 10000; got None"),
        ({"seats": 2, "starts": "1"}, "starts is a whole number from 1 to 2; got '1'"),
        (
            {"seats": 2, "history_messages": 1.5},
            "history_messages is a whole number from 0 to 8192; got 1.5",
        ),
        (
            {"seats": 2, "history_bytes": "1k"},
            "history_bytes is a whole number from 0 to 524288; got '1k'",
        ),
        (
            {"seats": 2, "resume_seconds": "30"},
            "resume_seconds is a number from 0 to 86400; got '30'",
        ),
        ({"seats": 2, "survives": 1}, "survives is True or False; got 1"),
        (
            {"seats": 2, "moves": "now"},
            "moves is one of 'deadline', 'at_once', 'never'; got 'now'",
        ),
        ({"seats": 2, "state": {}}, "state is a type, or a function of the room's options; got {}"),
        (
            {"seats": 2, "state": Needy},
            "Needy, called with nothing: give each field a default (missing a required argument",
        ),
        (
            {"seats": 2, "state": untold},
            "untold does not say what it returns; it begins with: def untold(options: Options) ->",
        ),
        (
            {"seats": 2, "state": of_nothing},
            "of_nothing, called with the options alone (too many positional arguments)",
        ),
        (
            {"seats": 2, "resume_seconds": float("nan")},
            "resume_seconds is a number from 0 to 86400; got nan",
        ),
    ],
)
def test_a_setting_of_another_type_is_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRooms) as caught:
        room("x", **settings)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["", "x" * 129, "half \ud83d an emoji", "two\nlines"])
def test_a_name_that_no_client_could_say_is_refused(name: str) -> None:
    with pytest.raises(BadRooms, match="1 to 128 printable characters"):
        room(name, seats=2)


@pytest.mark.parametrize(
    ("settings", "moves"),
    [
        ({}, "never"),
        ({"state": dict}, "deadline"),
        ({"survives": True}, "deadline"),
        ({"state": dict, "moves": "never"}, "never"),
        ({"moves": "at_once"}, "at_once"),
    ],
)
def test_a_kind_with_a_state_moves_at_the_deadline_unless_it_says_otherwise(
    settings: dict[str, Any], moves: str
) -> None:
    assert room("x", seats=2, **settings)(fits).moves == moves
