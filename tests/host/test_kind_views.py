"""A page learns enough of each kind of room to play any of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lastcall import Room, room
from lastcall.game.loader import load
from lastcall.host.kind_views import kind_views


class Bid(msgspec.Struct):
    amount: int
    to: str = "all"


class Options(msgspec.Struct):
    seconds: float = 3.5


class Odd:
    """A type that msgspec reads by a hook only."""


class Inked(msgspec.Struct):
    ink: Odd


@room("auction", seats=4, starts=2, inputs=Bid, options=Options)
async def auction(table: Room) -> None:
    """Sells one thing.

    To the highest bidder.
    """


@room("silent", seats=1, inputs=None)
async def silent(table: Room) -> None: ...


def test_a_kind_has_its_settings_the_first_line_of_its_docstring_and_its_schemas() -> None:
    (view,) = kind_views([auction])
    assert (view.name, view.seats, view.starts, view.about) == ("auction", 4, 2, "Sells one thing.")
    assert (view.survives, view.moves) == (False, "never")
    assert view.inputs is not None
    assert view.inputs["$defs"]["Bid"]["properties"]["amount"] == {"type": "integer"}
    assert view.options is not None
    assert view.options["$defs"]["Options"]["properties"]["seconds"]["default"] == 3.5


def test_a_kind_without_inputs_has_no_schema_of_them() -> None:
    (view,) = kind_views([silent])
    assert view.inputs is None
    assert view.about == ""


def test_a_type_without_a_schema_is_null_and_the_others_stay() -> None:
    odd = msgspec.structs.replace(auction, inputs=Inked)
    view, other = kind_views([odd, auction])
    assert view.inputs is None
    assert view.options == other.options
    assert other.inputs is not None


def test_all_examples_have_views_that_are_json() -> None:
    views = kind_views(load(["lastcall.game.examples"]).values())
    decoded = msgspec.json.decode(msgspec.json.encode(views))
    assert {view["name"] for view in decoded} == {"arena", "countdown", "lounge", "tictactoe"}
    assert all(view["about"] for view in decoded)


TYPES: list[Any] = [int, str, float, bool, bytes, None, Any, list[int], dict[str, Bid], Bid | None]


@given(st.sampled_from(TYPES), st.sampled_from(TYPES))
def test_any_type_has_a_view_that_is_json(inputs: Any, options: Any) -> None:
    kind = msgspec.structs.replace(auction, inputs=inputs, options=options)
    msgspec.json.encode(kind_views([kind]))
