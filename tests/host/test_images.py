"""A room's image: what is captured from a room that was restored from an image is that image."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from msgspec.structs import replace
from trio.testing import MockClock

from lastcall import Identity, Room, room
from lastcall.core.room.bans import Bans
from lastcall.errors import ImageRefused, StateFailed
from lastcall.events import Draining, Said
from lastcall.host.codec import KindCodec
from lastcall.host.images import capture, restore
from lastcall.host.live_room import LiveRoom
from lastcall.host.room_state import RoomState
from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import KindName, LinkId, PlayerId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.wire.images import AlarmImage, EventImage, HistoryImage, Image, SeatImage
from tests.wire.image_samples import ANN, images

SEATS = 8
LINK = LinkId(7)


class Board(msgspec.Struct):
    cells: str = ""


@room("chess", seats=SEATS, starts=SEATS, state=Board)
async def chess(table: Room[Board]) -> Any:
    """Never runs in these tests."""
    raise AssertionError


CODEC = KindCodec(chess)
BOARD = msgspec.msgpack.encode(Board("--x"))
EMPTY = Image(v=1, room="game-1.abc", kind=KindName("chess"), epoch=0, options=b"{}", state=BOARD)  # type: ignore[arg-type]


def running_rooms(policy: RoomPolicy | None = None) -> RunningRooms:
    return RunningRooms(
        kinds=[KindName("chess")],
        outbox=lambda *_: None,
        policy=policy or RoomPolicy(),
        on_change=lambda: None,
        on_end=lambda *_: None,
        on_crash=lambda *_: None,
    )


def run_in_trio(do: Any) -> Any:
    """Calls ``do`` in trio, at the time 1 024 s, in which eighths of a second have exact sums."""

    async def main() -> Any:
        await trio.sleep(1024 - trio.current_time())
        return do()

    clock = MockClock(autojump_threshold=0)
    return trio.run(main, clock=clock)


def settle(state: RoomState, image: Image) -> None:
    """Players who had a socket have one again, and the others are as far away as they were."""
    disconnects, now = state.host.disconnects, trio.current_time()
    for seat, was in zip(state.roster, image.seats, strict=True):
        if was.away_seconds is None:
            state.roster.rebind(seat, LINK, same_socket=True)
        else:
            disconnects.resume(state, seat, 9e9, began_at=seat.away_at, noticed=was.noticed)
        assert now - seat.away_at == (was.away_seconds or 0)


@given(images(state=BOARD))
def test_what_is_captured_from_a_restored_room_is_the_image(image: Image) -> None:
    def law() -> None:
        room = restore(running_rooms(), CODEC, image)
        settle(room.state, image)
        assert capture(room.state) == image
        assert capture(room.state) == image

    run_in_trio(law)


def restored(image: Image, policy: RoomPolicy | None = None) -> LiveRoom:
    room: LiveRoom = run_in_trio(lambda: restore(running_rooms(policy), CODEC, image))
    return room


def says(player: PlayerId, *inputs: str) -> tuple[EventImage, ...]:
    return tuple(EventImage("said", player, msgspec.json.encode(said)) for said in inputs)


def test_events_beyond_a_full_inbox_wait_in_their_order_and_are_read_in_it() -> None:
    joins = tuple(EventImage("joined", PlayerId(f"p{number}")) for number in range(5))
    image = replace(EMPTY, events=(*says(ANN, "a", "b"), *joins, EventImage("alarm", alarm="x")))

    async def main() -> None:
        live = restore(running_rooms(RoomPolicy(inbox_events=4)), CODEC, image)
        assert capture(live.state).events == image.events
        assert not live.state.inbox.has_room(ANN)
        read = [await live.state.inbox.next() for _ in image.events]
        assert [type(event).__name__ for event in read] == ["Said"] * 2 + ["Joined"] * 5 + ["Alarm"]
        assert live.state.inbox.has_room(ANN)

    trio.run(main)


def test_a_player_with_their_whole_share_of_the_inbox_may_say_no_more_where_it_is_restored() -> (
    None
):
    share = RoomPolicy().share_events
    live = restored(replace(EMPTY, events=says(ANN, *["x"] * share)))
    assert not live.state.inbox.has_room(ANN)
    assert live.state.inbox.has_room(PlayerId("pbob"))


def test_a_history_that_is_longer_than_this_node_keeps_has_its_last_messages() -> None:
    kept = tuple((seq, b"1", None) for seq in range(3, 13))
    image = replace(EMPTY, history=HistoryImage(12, 2, kept))
    live = restored(image, RoomPolicy(history_messages=4))
    assert live.state.history.capture() == HistoryImage(12, 8, kept[-4:])


def test_draining_is_not_in_the_image_since_another_node_may_not_drain() -> None:
    def law() -> None:
        live = restore(running_rooms(), CODEC, EMPTY)
        live.state.inbox.put_control(Draining(3))
        assert capture(live.state).events == ()

    run_in_trio(law)


def test_a_seat_that_was_kicked_is_told_so_where_the_room_is_restored() -> None:
    def law() -> None:
        identity = Identity("ann")
        seat = SeatImage(player=ANN, secret="0", identity=identity)  # noqa: S106
        first = restore(running_rooms(), CODEC, replace(EMPTY, seats=(seat,)))
        found = first.state.roster.find(ANN)
        assert found is not None
        first.state.bans = Bans()
        first.state.bans.add(found, trio.current_time() + 60)
        first.state.release(found, EndReason.KICKED)
        second = restore(running_rooms(), CODEC, capture(first.state))
        assert second.state.gone is not None
        assert second.state.gone.find(ANN, "0", identity, trio.current_time()) is not None
        assert second.state.bans is not None
        assert second.state.bans.hold(identity, "", trio.current_time() + 59)
        assert not second.state.bans.hold(identity, "", trio.current_time() + 60)

    run_in_trio(law)


def test_an_input_that_cannot_be_encoded_again_fails_the_image() -> None:
    def law() -> None:
        live = restore(running_rooms(), CODEC, EMPTY)
        live.state.inbox.put(Said(ANN, object()))
        with pytest.raises(StateFailed, match="an input that waits"):
            capture(live.state)

    run_in_trio(law)


def seats(count: int) -> tuple[SeatImage, ...]:
    return tuple(
        SeatImage(player=PlayerId(f"p{number}"), secret="0")  # noqa: S106
        for number in range(count)
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"v": 9}, "version 9"),
        ({"state": b""}, "the state does not fit"),
        ({"state": msgspec.msgpack.encode({"cells": 3})}, "the state does not fit"),
        ({"options": b"["}, "options"),
        ({"options": b""}, "options"),
        ({"seats": seats(SEATS + 1)}, "9 players; here the kind has 8"),
        ({"alarms": tuple(AlarmImage(str(n), 1.0) for n in range(65))}, "at most 64 alarms"),
        ({"events": says(ANN, *["x"] * 700)}, "700 events wait; here at most 601"),
        ({"events": (EventImage("said", ANN, b"{"),)}, "truncated"),
        ({"events": (EventImage("said", ANN),)}, "JSON"),
    ],
)
def test_an_image_that_does_not_fit_the_kind_is_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageRefused, match=reason):
        restored(replace(EMPTY, **wrong))
