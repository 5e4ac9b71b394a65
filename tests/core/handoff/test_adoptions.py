"""Rooms that come from other nodes: parts, bounds, and the answers to each question."""

from __future__ import annotations

from lastcall.core.handoff.actions import Drop, Reply, Run
from lastcall.core.handoff.adoption import Key
from lastcall.core.handoff.adoptions import SILENT, Adoptions
from lastcall.ids import Incarnation, RoomId
from lastcall.policy import HandOffPolicy
from lastcall.wire.images import PART_BYTES
from lastcall.wire.peer_items import (
    Adopt,
    Adopted,
    AdoptionRefused,
    Release,
    Released,
    Withdraw,
    Withdrawn,
)

DEN, NORTH, SOUTH = RoomId("den"), Incarnation(1), Incarnation(2)
KEY = Key(NORTH, DEN, 1)
ADOPTED = Reply(NORTH, Adopted(DEN, 1))
RELEASED = Reply(NORTH, Released(DEN, 1))
WITHDRAWN = Reply(NORTH, Withdrawn(DEN, 1))


def refused(reason: str) -> list[Reply]:
    return [Reply(NORTH, AdoptionRefused(DEN, 1, reason))]


def parts(*data: bytes) -> list[Adopt]:
    return [Adopt(DEN, 1, part, len(data), one) for part, one in enumerate(data)]


def holding(**policy: float) -> Adoptions:
    """A node that holds the den since 10 s."""
    adoptions = Adoptions(HandOffPolicy(**policy))  # type: ignore[arg-type]
    (part,) = parts(b"image")
    assert adoptions.receive(NORTH, part, 10.0) == []
    assert adoptions.next_image() == (KEY, b"image")
    assert adoptions.decoded(KEY, None) == [ADOPTED]
    assert adoptions.held == 1
    return adoptions


def test_a_room_runs_when_it_is_released_and_the_answer_can_be_asked_for_again() -> None:
    adoptions = holding()
    assert adoptions.receive(NORTH, Release(DEN, 1), 11.0) == [Run(DEN), RELEASED]
    assert adoptions.receive(NORTH, Release(DEN, 1), 12.0) == [RELEASED]
    assert adoptions.receive(NORTH, Withdraw(DEN, 1), 12.0) == [RELEASED]
    assert adoptions.held == 0


def test_a_withdrawn_room_is_dropped_and_the_answer_can_be_asked_for_again() -> None:
    adoptions = holding()
    assert adoptions.receive(NORTH, Withdraw(DEN, 1), 11.0) == [Drop(DEN, ""), WITHDRAWN]
    assert adoptions.receive(NORTH, Withdraw(DEN, 1), 12.0) == [WITHDRAWN]


def test_a_release_of_a_room_that_is_not_held_does_not_run_it() -> None:
    adoptions = holding()
    assert adoptions.receive(SOUTH, Release(DEN, 1), 11.0) == [Reply(SOUTH, Withdrawn(DEN, 1))]
    assert adoptions.receive(NORTH, Release(DEN, 2), 11.0) == [Reply(NORTH, Withdrawn(DEN, 2))]
    assert adoptions.held == 1


def test_an_image_is_put_together_from_its_parts_and_those_of_an_earlier_link_do_not_count() -> (
    None
):
    adoptions = Adoptions(HandOffPolicy())
    one, two, three = parts(b"one", b"two", b"three")
    for part in (one, two, one, two):
        assert adoptions.receive(NORTH, part, 10.0) == []
    assert adoptions.next_image() is None
    adoptions.receive(NORTH, three, 10.0)
    assert adoptions.next_image() == (KEY, b"onetwothree")
    assert adoptions.next_image() is None


def test_an_image_that_is_held_already_is_answered_once_it_has_come_again() -> None:
    adoptions = holding()
    one, two = parts(b"one", b"two")
    assert adoptions.receive(NORTH, one, 11.0) == []
    assert adoptions.receive(NORTH, two, 11.0) == [ADOPTED]
    assert adoptions.next_image() is None


def test_parts_that_do_not_fit_together_are_refused_once() -> None:
    adoptions = Adoptions(HandOffPolicy())
    one, two, three = parts(b"one", b"two", b"three")
    adoptions.receive(NORTH, one, 10.0)
    why = "its image came in parts that do not fit"
    assert adoptions.receive(NORTH, three, 10.0) == refused(why)
    assert adoptions.receive(NORTH, two, 10.0) == []
    assert adoptions.receive(NORTH, Adopt(DEN, 1, 0, 0, b""), 10.0) == refused(why)


def test_an_image_over_its_bound_is_refused_at_its_first_part() -> None:
    adoptions = Adoptions(HandOffPolicy(image_bytes=2 * PART_BYTES))
    (first, *_) = parts(b"one", b"two", b"three")
    why = f"its image is larger than {2 * PART_BYTES} bytes"
    assert adoptions.receive(NORTH, first, 10.0) == refused(why)
    large = Adopt(DEN, 1, 0, 1, bytes(PART_BYTES + 1))
    assert adoptions.receive(NORTH, large, 10.0) == refused(why)


def test_images_over_the_bound_of_all_are_refused_until_one_is_decoded() -> None:
    adoptions = Adoptions(HandOffPolicy(images_bytes=10))
    nook = Adopt(RoomId("nook"), 1, 0, 1, bytes(8))
    adoptions.receive(SOUTH, nook, 10.0)
    (part,) = parts(b"image")
    assert adoptions.receive(NORTH, part, 10.0) == refused("too many images are under way")
    assert adoptions.next_image() is not None
    adoptions.decoded(Key(SOUTH, nook.room, 1), None)
    assert adoptions.receive(NORTH, part, 10.0) == []


def test_a_node_that_drains_refuses_images_and_lets_those_run_that_it_holds() -> None:
    adoptions = holding()
    nook = Adopt(RoomId("nook"), 1, 0, 1, b"image")
    no = Reply(SOUTH, AdoptionRefused(nook.room, 1, "it drains"))
    assert adoptions.receive(SOUTH, nook, 11.0, "it drains") == [no]
    assert adoptions.receive(NORTH, Release(DEN, 1), 11.0, "it drains") == [Run(DEN), RELEASED]


def test_the_images_of_a_node_that_died_are_dropped() -> None:
    adoptions = holding()
    adoptions.gone(SOUTH)
    assert adoptions.held == 1
    (drop,) = adoptions.gone(NORTH)
    assert isinstance(drop, Drop)
    assert adoptions.receive(NORTH, Release(DEN, 1), 11.0) == [WITHDRAWN]


def test_an_image_is_held_for_60_s() -> None:
    adoptions = holding(hold_seconds=60.0)
    assert adoptions.due(69.9) == []
    assert adoptions.due(70.0) == [Drop(DEN, SILENT)]


def test_the_oldest_of_too_many_released_rooms_is_not_remembered() -> None:
    adoptions = Adoptions(HandOffPolicy(released_max=1))
    for name in ("den", "nook"):
        key = Key(NORTH, RoomId(name), 1)
        adoptions.receive(NORTH, Adopt(key.room, 1, 0, 1, b"image"), 10.0)
        assert adoptions.next_image() == (key, b"image")
        adoptions.decoded(key, None)
        adoptions.receive(NORTH, Release(key.room, 1), 10.0)
    assert adoptions.receive(NORTH, Release(DEN, 1), 11.0) == [WITHDRAWN]
