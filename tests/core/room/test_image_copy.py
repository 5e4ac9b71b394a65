"""The law of steps: the copy of an image, and the step to another one, are that other image."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lastcall.core.room.image_copy import ImageCopy
from lastcall.ids import PlayerId
from lastcall.wire.images import EndImage, HistoryImage, Image, SeatImage
from lastcall.wire.steps import RoomStep, decode_step, encode_step
from tests.wire.image_samples import ANN, WHOLE, images

WHOLES = ("state", "alarms", "bans", "gone", "started", "locked", "over")


def step_between(before: Image, after: Image) -> RoomStep:
    """The smallest step from the one image to the other."""
    changes: dict[str, Any] = {
        name: getattr(after, name)
        for name in WHOLES
        if getattr(after, name) != getattr(before, name)
    }
    if after.events[: len(before.events)] == before.events:
        changes["more_events"] = after.events[len(before.events) :]
    else:
        changes["events"] = after.events
    history = after.history
    changes["said"] = tuple(each for each in history.kept if each[0] > before.history.seq)
    changes["seq"] = history.seq
    changes["forgotten"] = history.forgotten
    had = {seat.player: seat for seat in before.seats}
    has = {seat.player: seat for seat in after.seats}
    changes["freed"] = tuple(player for player in had if player not in has)
    changes["done"] = {
        player: seat.last_n for player, seat in has.items() if is_the_same(had.get(player), seat)
    }
    changes["seats"] = tuple(
        seat for player, seat in has.items() if not is_the_same(had.get(player), seat)
    )
    return RoomStep(**changes)


def is_the_same(before: SeatImage | None, after: SeatImage) -> bool:
    return before is not None and replace(before, last_n=after.last_n) == after


@st.composite
def histories_of_one_room(draw: Any) -> tuple[Image, Image]:
    """Two images of one room: some seats and messages of the first are in the second."""
    before, after = draw(images()), draw(images())
    kept = before.history.kept[draw(st.integers(0, len(before.history.kept))) :]
    last = before.history.seq
    said = tuple((last + n, b"1", None) for n in range(1, draw(st.integers(0, 4)) + 1))
    forgotten = kept[0][0] - 1 if kept else last
    history = HistoryImage(last + len(said), forgotten, kept + said)
    stayed = [seat for seat in before.seats if draw(st.booleans())]
    stayed = [replace(seat, last_n=seat.last_n + draw(st.integers(0, 2))) for seat in stayed]
    known = {seat.player for seat in (*before.seats, *(gone.seat for gone in before.gone))}
    came = [seat for seat in after.seats if seat.player not in known]
    came = [replace(seat, joined_seq=min(seat.joined_seq, last)) for seat in came]
    grown = before.events + after.events if draw(st.booleans()) else after.events
    names = ("room", "kind", "epoch", "moves", "options", "age", "private")
    fixed = {name: getattr(before, name) for name in names}
    fields = {**fixed, "open_seconds": before.open_seconds, "history": history, "events": grown}
    return before, replace(after, seats=(*stayed, *came), **fields)


@given(histories_of_one_room())
def test_the_copy_of_an_image_and_the_step_to_another_are_that_other(
    both: tuple[Image, Image],
) -> None:
    before, after = both
    copy = ImageCopy(before, now=64.0)
    assert copy.image(64.0) == before
    copy.apply(decode_step(encode_step(step_between(before, after))), now=64.0)
    assert copy.image(64.0) == after


@given(images())
def test_an_empty_step_changes_nothing(image: Image) -> None:
    copy = ImageCopy(image, now=64.0)
    copy.apply(decode_step(encode_step(RoomStep())), now=65.0)
    assert copy.image(64.0) == image
    assert len(encode_step(RoomStep())) == 1


def test_a_copy_ages_with_its_own_clock() -> None:
    copy = ImageCopy(WHOLE, now=100.0)
    image = copy.image(102.0)
    assert [alarm.seconds_left for alarm in image.alarms] == [0.0, 0.0]
    assert [ban.seconds_left for ban in image.bans] == [58.0, float("inf")]
    assert image.gone[0].seconds_left == 2.0
    assert [seat.away_seconds for seat in image.seats] == [4.5, None]
    assert image.open_seconds == 92.0


def test_times_in_a_step_count_from_when_the_copy_gets_it() -> None:
    copy = ImageCopy(WHOLE, now=100.0)
    away = replace(WHOLE.seats[1], away_seconds=1.0)
    copy.apply(RoomStep(alarms=WHOLE.alarms, seats=(away,)), now=110.0)
    image = copy.image(111.0)
    assert [alarm.seconds_left for alarm in image.alarms] == [0.5, 0.0]
    assert image.seats[1].away_seconds == 2.0


def test_a_player_who_is_back_is_away_no_more() -> None:
    copy = ImageCopy(WHOLE, now=0.0)
    copy.apply(RoomStep(seats=(replace(WHOLE.seats[0], away_seconds=None, noticed=False),)), 5.0)
    assert copy.image(9.0).seats[0].away_seconds is None


def test_the_size_of_a_copy_follows_its_messages_and_seats() -> None:
    copy = ImageCopy(WHOLE, now=0.0)
    before = copy.size
    copy.apply(RoomStep(said=((13, b"x" * 1000, None),)), 0.0)
    grown = copy.size - before
    assert 1000 < grown < 1500
    copy.apply(RoomStep(forgotten=13, freed=(ANN, PlayerId("pbob"))), 0.0)
    assert copy.size < before - 2000


def test_a_step_that_ends_the_room_is_in_the_image() -> None:
    copy = ImageCopy(WHOLE, now=0.0)
    copy.apply(RoomStep(over=EndImage("finished", b"7")), 0.0)
    assert copy.image(0.0).over == EndImage("finished", b"7")
    assert msgspec.msgpack.decode(encode_step(RoomStep(over=EndImage("cut")))) == {
        "over": {"reason": "cut"}
    }
