"""Rooms that are given away: pace, order, and which node is asked. No clock, no link."""

from __future__ import annotations

import pytest

from lastcall.core.edge.placement import Candidate
from lastcall.core.handoff import offer
from lastcall.core.handoff.actions import Commit, Freeze, Giving, Lost, Moved, Refused, Send, Thaw
from lastcall.core.handoff.offer import Movable
from lastcall.core.handoff.offers import NOBODY, Offers
from lastcall.errors import WrongEvent
from lastcall.ids import Incarnation, KindName, NodeName, RoomId
from lastcall.policy import HandOffPolicy
from lastcall.wire.images import PART_BYTES
from lastcall.wire.nodes import NodeState
from lastcall.wire.peer_items import (
    Adopt,
    Adopted,
    AdoptionRefused,
    Release,
    Released,
    Withdraw,
    Withdrawn,
)

K, DEN, NOOK = KindName("lounge"), RoomId("den"), RoomId("nook")
NORTH, SOUTH = Incarnation(1), Incarnation(2)


def node(incarnation: Incarnation, *, phase: str = "serving") -> Candidate:
    return Candidate(
        address=str(incarnation),
        name=NodeName(str(incarnation)),
        incarnation=incarnation,
        version="1",
        born=0.0,
        state=NodeState(0, phase, 0, {K: 0}),
    )


BOTH = [node(NORTH), node(SOUTH)]


def offered(nodes: list[Candidate], *rooms: RoomId) -> Offers:
    """Rooms that are frozen, and asked for at 10 s, all at once: there is no time left."""
    offers = Offers(HandOffPolicy())
    offers.add([Movable(room, K, 100) for room in rooms], until=10.0)
    assert offers.begin(10.0, nodes) == [Freeze(room) for room in rooms]
    for room in rooms:
        offers.frozen(room, b"image", 1, 10.0, nodes)
    return offers


def adopt(room: RoomId) -> Adopt:
    return Adopt(room, 1, 0, 1, b"image")


def test_a_room_is_asked_for_committed_released_and_moved() -> None:
    offers = Offers(HandOffPolicy())
    offers.add([Movable(DEN, K, 100)])
    assert offers.begin(10.0, BOTH) == [Freeze(DEN)]
    assert offers.frozen(DEN, b"image", 1, 10.0, BOTH) == [Send(NORTH, adopt(DEN))]
    assert offers.answered(NORTH, Adopted(DEN, 1), 10.1, BOTH) == [
        Commit(DEN, 1, NORTH),
        Send(NORTH, Release(DEN, 1)),
    ]
    assert offers.committed() == 1
    assert offers.answered(NORTH, Released(DEN, 1), 10.2, BOTH) == [Moved(DEN, NORTH)]
    assert len(offers) == 0


def test_a_refused_room_is_asked_of_the_next_node_and_thaws_after_the_last() -> None:
    offers = offered(BOTH, DEN)
    no = AdoptionRefused(DEN, 1, "its state cannot be read")
    assert offers.answered(NORTH, no, 10.1, BOTH) == [
        Refused(DEN, K, NORTH, no.reason),
        Send(SOUTH, adopt(DEN)),
    ]
    assert offers.answered(SOUTH, no, 10.2, BOTH) == [Refused(DEN, K, SOUTH, no.reason), Thaw(DEN)]


def test_a_node_that_refused_is_not_asked_again_until_the_room_is_added_anew() -> None:
    offers = offered(BOTH[:1], DEN)
    offers.answered(NORTH, AdoptionRefused(DEN, 1, "full"), 10.1, BOTH[:1])
    offers.add([Movable(DEN, K, 100)])
    assert offers.begin(10.0, BOTH[:1]) == []
    offers.add([Movable(DEN, K, 100)], anew=True)
    assert offers.begin(10.0, BOTH[:1]) == [Freeze(DEN)]


def test_no_room_is_frozen_that_no_node_can_take() -> None:
    offers = Offers(HandOffPolicy())
    offers.add([Movable(DEN, K, 100)])
    assert offers.begin(10.0, [node(NORTH, phase="draining")]) == [Refused(DEN, K, None, NOBODY)]
    assert len(offers) == 0


def test_a_room_that_could_not_be_frozen_is_kept() -> None:
    offers = Offers(HandOffPolicy())
    offers.add([Movable(DEN, K, 100)])
    offers.begin(10.0, BOTH)
    assert offers.frozen(DEN, None, 0, 10.0, BOTH) == []
    assert len(offers) == 0


def test_rooms_under_way_count_as_rooms_of_their_takers() -> None:
    offers = Offers(HandOffPolicy())
    offers.add([Movable(DEN, K, 1), Movable(NOOK, K, 2)], until=10.0)
    offers.begin(10.0, BOTH)
    assert offers.frozen(DEN, b"image", 1, 10.0, BOTH) == [Send(NORTH, adopt(DEN))]
    assert offers.frozen(NOOK, b"image", 1, 10.0, BOTH) == [Send(SOUTH, adopt(NOOK))]


def test_small_rooms_go_first_and_a_large_one_waits_until_it_is_alone() -> None:
    offers = Offers(HandOffPolicy(rooms_at_once=2, bytes_at_once=1000))
    sizes = {"big": 5000, "one": 10, "two": 20, "three": 30}
    offers.add([Movable(RoomId(name), K, size) for name, size in sizes.items()], until=10.0)
    assert offers.begin(10.0, BOTH) == [Freeze(RoomId("one")), Freeze(RoomId("two"))]
    offers.frozen(RoomId("one"), None, 0, 10.0, BOTH)
    assert offers.begin(10.0, BOTH) == [Freeze(RoomId("three"))]
    offers.frozen(RoomId("two"), None, 0, 10.0, BOTH)
    assert offers.begin(10.0, BOTH) == []
    offers.frozen(RoomId("three"), None, 0, 10.0, BOTH)
    assert offers.begin(10.0, BOTH) == [Freeze(RoomId("big"))]


def test_a_node_that_does_not_answer_within_2_s_is_told_to_forget_the_room() -> None:
    offers = offered(BOTH, DEN)
    assert offers.due(11.9, BOTH) == []
    assert offers.due(12.0, BOTH) == [Send(NORTH, Withdraw(DEN, 1)), Send(SOUTH, adopt(DEN))]
    for late in (Adopted(DEN, 1), AdoptionRefused(DEN, 1, "full")):
        assert offers.answered(NORTH, late, 12.1, BOTH) == []
    assert offers.link_up(NORTH) == [Send(NORTH, Withdraw(DEN, 1))]
    offers.answered(NORTH, Withdrawn(DEN, 1), 12.2, BOTH)
    assert offers.link_up(NORTH) == []


def test_rooms_that_wait_for_an_answer_make_way_for_no_others_but_long_steps_do() -> None:
    names = [RoomId(str(number)) for number in range(6)]
    offers = Offers(HandOffPolicy(rooms_at_once=2))
    offers.add([Movable(room, K, 100) for room in names], until=10.0)
    assert offers.begin(10.0, BOTH) == [Freeze(names[0]), Freeze(names[1])]
    for room in names[:2]:
        offers.frozen(room, b"image", 1, 10.0, BOTH)
    offers.due(12.0, BOTH)
    assert offers.begin(12.0, BOTH) == [], "both are asked of the other node now"
    offers.answered(SOUTH, Adopted(names[0], 1), 12.1, BOTH)
    assert offers.begin(12.1, BOTH) == [Freeze(names[2]), Freeze(names[3])]
    offers.due(14.1, BOTH)
    assert offers.begin(14.1, BOTH) == [Freeze(names[4]), Freeze(names[5])], "two do not rest"


def test_a_node_that_owes_its_word_about_a_room_is_not_asked_for_it() -> None:
    alone = BOTH[:1]
    offers = offered(alone, DEN)
    assert Thaw(DEN) in offers.due(12.0, alone)
    offers.add([Movable(DEN, K, 100)], anew=True)
    assert offers.begin(10.0, alone) == [Refused(DEN, K, None, NOBODY)]
    offers.answered(NORTH, Withdrawn(DEN, 1), 12.2, alone)
    offers.add([Movable(DEN, K, 100)])
    assert offers.begin(10.0, alone) == [Freeze(DEN)]


def test_what_was_asked_is_asked_again_on_the_next_link() -> None:
    offers = offered(BOTH, DEN)
    assert offers.link_up(NORTH) == [Send(NORTH, adopt(DEN))]
    assert offers.link_up(SOUTH) == []
    offers.answered(NORTH, Adopted(DEN, 1), 10.1, BOTH)
    assert offers.link_up(NORTH) == [Send(NORTH, Release(DEN, 1))]


def test_a_room_whose_taker_dies_goes_to_the_next_node_before_the_commit_and_is_lost_after() -> (
    None
):
    offers = offered(BOTH, DEN)
    assert offers.gone(NORTH, 10.1, BOTH[1:]) == [Send(SOUTH, adopt(DEN))]
    offers.answered(SOUTH, Adopted(DEN, 1), 10.2, BOTH)
    (lost,) = offers.gone(SOUTH, 10.3, BOTH)
    assert isinstance(lost, Lost)
    assert (lost.room, lost.to) == (DEN, SOUTH)


def test_at_the_stop_rooms_thaw_that_are_not_a_takers_and_no_more_begin() -> None:
    offers = offered(BOTH, DEN, NOOK)
    offers.answered(NORTH, Adopted(DEN, 1), 10.1, BOTH)
    actions: list[Giving] = offers.stop(11.0)
    assert actions[:2] == [Send(SOUTH, Withdraw(NOOK, 1)), Thaw(NOOK)]
    assert offers.committed() == len(offers) == 1
    offers.add([Movable(NOOK, K, 100)])
    assert offers.begin(10.0, BOTH) == []
    assert offers.answered(NORTH, Released(DEN, 1), 11.1, BOTH) == [Moved(DEN, NORTH)]


def test_at_the_end_of_all_time_a_room_that_is_not_frozen_yet_is_still_waited_for() -> None:
    offers = Offers(HandOffPolicy())
    offers.add([Movable(DEN, K, 100)])
    offers.begin(10.0, BOTH)
    offers.stop(11.0)
    assert offers.due(float("inf"), BOTH) == []
    assert Thaw(DEN) in offers.frozen(DEN, b"image", 1, 12.0, BOTH)
    assert len(offers) == 0


def test_an_image_goes_in_parts_of_64_kib() -> None:
    offers = Offers(HandOffPolicy())
    offers.add([Movable(DEN, K, 100)])
    offers.begin(10.0, BOTH)
    image = b"a" * PART_BYTES + b"b"
    assert offers.frozen(DEN, image, 3, 10.0, BOTH) == [
        Send(NORTH, Adopt(DEN, 3, 0, 2, b"a" * PART_BYTES)),
        Send(NORTH, Adopt(DEN, 3, 1, 2, b"b")),
    ]


def test_an_offer_that_is_over_takes_no_event() -> None:
    moved = offer.Offer(DEN, K, 1, state=offer.State.MOVED)
    with pytest.raises(WrongEvent, match="a hand-off that is moved takes nothing more; not stop"):
        moved.on(offer.Event.STOP)
