"""The votes of an api node, by its links."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.api.games.witness import Witness
from lastcall.ids import Incarnation, RoomId
from lastcall.links.link_counts import Loss
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Answer, Vote, VoteAsked, VoteReturned
from tests.api.fake_links import FakeGameLink

ROOM = RoomId("game-1.r")
ONE, TWO = Incarnation(1), Incarnation(2)


@pytest.fixture
def witness() -> Witness:
    return Witness()


def link(name: str, incarnation: int, witness: Witness) -> FakeGameLink:
    fake = FakeGameLink(name, incarnation=incarnation)
    witness.link_up(fake)  # type: ignore[arg-type]
    return fake


def ask(witness: Witness, link: FakeGameLink, epoch: int, rival: Incarnation) -> Vote:
    witness.take(link, VoteAsked(ROOM, epoch, (rival,)))  # type: ignore[arg-type]
    vote: Vote = link.sent[-1]
    return vote


def test_the_first_node_that_asks_has_the_vote_and_the_other_one_learns_who_has_it(
    witness: Witness,
) -> None:
    one, two = link("game-1", ONE, witness), link("game-2", TWO, witness)
    assert len(witness) == 0
    assert ask(witness, two, 3, ONE) == Vote(ROOM, 3, Answer.GRANTED, TWO)
    assert ask(witness, one, 3, TWO) == Vote(ROOM, 3, Answer.DENIED, TWO)
    assert ask(witness, two, 3, ONE) == Vote(ROOM, 3, Answer.GRANTED, TWO)
    assert len(witness) == 1


def test_a_vote_is_forgotten_when_the_loser_is_certain_to_be_dead(witness: Witness) -> None:
    one, two = link("game-1", ONE, witness), link("game-2", TWO, witness)
    ask(witness, two, 3, ONE)
    witness.link_down(one, Loss.LOST)  # type: ignore[arg-type]
    assert len(witness) == 1
    witness.gone(ONE)
    assert len(witness) == 0


def test_a_vote_is_forgotten_when_the_loser_gives_its_right_back(witness: Witness) -> None:
    one, two = link("game-1", ONE, witness), link("game-2", TWO, witness)
    ask(witness, two, 3, ONE)
    witness.take(one, VoteReturned(ROOM, 3))  # type: ignore[arg-type]
    assert len(witness) == 0


def test_the_loss_of_an_older_link_to_the_same_node_says_nothing(witness: Witness) -> None:
    first, two = link("game-1", ONE, witness), link("game-2", TWO, witness)
    link("game-1", ONE, witness)
    ask(witness, two, 3, ONE)
    witness.link_down(first, Loss.GONE)  # type: ignore[arg-type]
    witness.gone(ONE)
    assert len(witness) == 1


async def test_an_item_that_game_nodes_say_to_each_other_is_refused(
    witness: Witness, autojump_clock: MockClock
) -> None:
    one = link("game-1", ONE, witness)
    with capture_logs() as logs:
        witness.take(one, items.Step(ROOM, 3, 4))  # type: ignore[arg-type]
    assert one.sent == []
    assert [line["event"] for line in logs] == ["link.misplaced_item"]
