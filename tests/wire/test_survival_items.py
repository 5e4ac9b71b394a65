"""The items of surviving rooms: nodes of two versions exchange them, so their bytes are a contract.

``golden_survival_v1.json`` holds the bytes of their first version. They never change.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from lastcall.ids import Incarnation, RoomId
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Config

ROOM = RoomId("game-1.abc")
ONE, TWO, API, NEW = (Incarnation(n) for n in (11, 12, 21, 22))
CONFIG = Config(3, ONE, (TWO,), (API, NEW), former=(Incarnation(9),))

ITEMS: dict[str, items.SurvivalItem] = {
    "image": items.StandbyImage(ROOM, 3, 7, CONFIG, part=1, parts=2, data=b"\x81"),
    "step": items.Step(ROOM, 3, 8, b"\x80"),
    "step_config": items.Step(ROOM, 3, 9, config=Config(3, ONE)),
    "step_agreed": items.Step(ROOM, 3, 9, config=Config(3, ONE, agreed=2)),
    "step_coming": items.Step(ROOM, 3, 9, config=Config(3, ONE, (TWO,), coming=(NEW,))),
    "resign": items.Resign(ROOM, 3, 9),
    "take_over": items.TakeOver(ROOM, 3),
    "room_over": items.RoomOver(ROOM, 3),
    "kept": items.StepsKept(ROOM, 3, 8),
    "reaches": items.Reaches(ROOM, 3, (API, NEW)),
    "leaving": items.Leaving(ROOM, 3),
    "resigned": items.Resigned(ROOM, 3, 7, "no memory"),
    "not_held": items.NotHeld(ROOM, 3, 8),
    "fenced": items.Fenced(ROOM, 4, TWO),
    "vote_asked": items.VoteAsked(ROOM, 3, (ONE,)),
    "vote_asked_again": items.VoteAsked(ROOM, 3, (ONE,), ballot=7),
    "vote_returned": items.VoteReturned(ROOM, 3),
    "vote": items.Vote(ROOM, 3, items.Answer.GRANTED, TWO),
    "vote_of_ballot": items.Vote(ROOM, 3, items.Answer.GRANTED, TWO, ballot=7),
    "vote_later": items.Vote(ROOM, 3, items.Answer.LATER),
}
GOLDEN = json.loads(Path(__file__).with_name("golden_survival_v1.json").read_text())
DECODER: msgspec.msgpack.Decoder[items.SurvivalItem] = msgspec.msgpack.Decoder(items.SurvivalItem)


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_has_the_bytes_of_its_first_version(name: str) -> None:
    assert msgspec.msgpack.encode(ITEMS[name]).hex() == GOLDEN[name]
    assert DECODER.decode(bytes.fromhex(GOLDEN[name])) == ITEMS[name]


def test_every_item_has_golden_bytes() -> None:
    assert GOLDEN.keys() == ITEMS.keys()
    assert {type(item) for item in ITEMS.values()} == set(items.SurvivalItem.__args__)


def test_unknown_fields_are_ignored() -> None:
    later = {**msgspec.to_builtins(ITEMS["kept"]), "later": 1}
    assert DECODER.decode(msgspec.msgpack.encode(later)) == ITEMS["kept"]


def test_every_item_has_a_route_and_is_in_the_diagram_and_in_the_docstring() -> None:
    routed = [item for route in items.ROUTES.values() for item in route]
    assert set(routed) == set(items.SurvivalItem.__args__)
    for item in routed:
        assert item.__name__ in items.diagram()
        assert item.__name__ in (items.__doc__ or "")
