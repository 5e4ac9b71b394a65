"""A primary takes its room's image back, since the state cannot be encoded for a while."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lastcall.core.survival.actions import Action, Protection, Send, SendImage, SendStep
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.primary import Primary
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items
from tests.core.survival.nodes import ROOM

ME, STANDBY, API = Incarnation(1), Incarnation(2), Incarnation(9)
GOOD = View(games=frozenset({ME, STANDBY}), takers=(STANDBY,), witnesses=(API,))
WITHHELD = View(games=GOOD.games, witnesses=GOOD.witnesses, withheld="it cannot be encoded")


class Pair:
    """A primary and a standby that does what it is told; ``told`` has the items, in their order."""

    def __init__(self) -> None:
        self.primary = Primary(ROOM, items.Config(0, ME), Links())
        self.told: list[items.SurvivalItem] = []

    def carry_out(self, todo: Iterable[Action]) -> None:
        for action in todo:
            match action:
                case SendImage(n=n, epoch=epoch):
                    self._answer(items.Reaches(ROOM, epoch, (API,)))
                    self._answer(items.StepsKept(ROOM, epoch, n))
                case SendStep(n=n, epoch=epoch):
                    self._answer(items.StepsKept(ROOM, epoch, n))
                case Send(item=items.Resign() as item):
                    self.told.append(item)
                    self._answer(items.Resigned(ROOM, item.epoch, item.n))
                case Send(item=item):
                    self.told.append(item)

    def _answer(self, item: items.SurvivalItem) -> None:
        self.carry_out(self.primary.receive(STANDBY, item))


@pytest.fixture
def pair() -> Pair:
    """They protect the room."""
    pair = Pair()
    pair.carry_out(pair.primary.sees(GOOD))
    assert pair.primary.protection is Protection.PROTECTED
    return pair


def test_the_standby_gives_the_image_back_and_the_room_says_why(pair: Pair) -> None:
    pair.carry_out(pair.primary.sees(WITHHELD))
    assert [type(item) for item in pair.told] == [items.Resign]
    assert pair.primary.config.standbys == ()
    assert pair.primary.protection is Protection.UNPROTECTED


def test_the_same_node_gets_it_again_and_the_room_is_handed_over_to_it_in_a_drain(
    pair: Pair,
) -> None:
    for _ in range(3):
        pair.carry_out(pair.primary.sees(WITHHELD))
        pair.carry_out(pair.primary.sees(GOOD))
        assert pair.primary.protection is Protection.PROTECTED
    pair.told.clear()
    pair.carry_out(pair.primary.hand_over())
    assert [type(item) for item in pair.told] == [items.TakeOver]


def test_an_image_is_taken_back_also_from_a_standby_that_was_told_to_take_over(pair: Pair) -> None:
    pair.carry_out(pair.primary.hand_over())
    pair.carry_out(pair.primary.sees(WITHHELD))
    assert [type(item) for item in pair.told] == [items.TakeOver, items.Resign]
