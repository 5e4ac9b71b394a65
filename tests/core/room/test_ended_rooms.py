from __future__ import annotations

from lastcall.core.room.ended_rooms import EndedRoom, EndedRoomStore
from lastcall.core.room.history import History
from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import KindName, LinkId, PlayerId, RoomId

ANN = PlayerId("ann")
NORTH = LinkId(1)


def room(
    name: str, *, ended_at: float = 0, away_at: float | None = None, history_bytes: int = 0
) -> EndedRoom:
    roster = Roster(2)
    seat = Seat(ANN, link=NORTH, secret="")
    roster.add(seat)
    if away_at is not None:
        roster.lose(seat, away_at)
    history = History(messages_max=10, bytes_max=1 << 20)
    if history_bytes:
        history.add(b"x" * history_bytes, None)
    return EndedRoom(
        RoomId(name),
        KindName("den"),
        epoch=0,
        roster=roster,
        history=history,
        reason="finished",
        result=b"",
        ended_at=ended_at,
    )


def store(count_max: int = 100, bytes_max: int = 1 << 20) -> EndedRoomStore:
    return EndedRoomStore(count_max=count_max, bytes_max=bytes_max, drain_grace_seconds=5)


def kept(rooms: EndedRoomStore, names: str, now: float = 0) -> str:
    return "".join(name for name in names if rooms.find(RoomId(name), now))


def test_an_ended_room_is_kept_for_its_seconds() -> None:
    rooms = store()
    rooms.add(room("a", ended_at=100), 30)
    assert kept(rooms, "ab", 129.9) == "a"
    assert kept(rooms, "a", 130) == ""
    rooms.expire(129.9, 9)
    assert len(rooms) == 1
    rooms.expire(130, 9)
    assert (len(rooms), rooms.memory) == (0, 0)


def test_a_room_of_a_kind_that_keeps_no_seats_is_not_kept() -> None:
    rooms = store()
    rooms.add(room("a"), 0)
    assert len(rooms) == 0


def test_a_room_with_fewer_seconds_expires_first_even_if_it_ended_later() -> None:
    rooms = store()
    rooms.add(room("a", ended_at=0), 100)
    rooms.add(room("b", ended_at=1), 10)
    rooms.expire(11, 9)
    assert kept(rooms, "ab", 11) == "a"
    assert len(rooms) == 1


def test_over_the_count_the_oldest_room_is_dropped_whatever_its_kind() -> None:
    rooms = store(count_max=2)
    rooms.add(room("a", ended_at=0), 100)
    rooms.add(room("b", ended_at=1), 10)
    rooms.add(room("c", ended_at=2), 10)
    assert kept(rooms, "abc", 2) == "bc"


def test_over_the_bytes_the_oldest_rooms_are_dropped() -> None:
    rooms = store(bytes_max=30_000)
    for number, name in enumerate("abcd"):
        rooms.add(room(name, ended_at=number, history_bytes=10_000), 30)
    assert kept(rooms, "abcd", 3) == "cd"
    assert 20_000 < rooms.memory <= 30_000


def test_a_room_that_exceeds_the_bytes_alone_is_not_kept() -> None:
    rooms = store(bytes_max=5_000)
    rooms.add(room("a", history_bytes=10_000), 30)
    assert (len(rooms), rooms.memory) == (0, 0)


def test_a_player_who_was_away_at_the_end_is_awaited_for_5_s_from_the_loss() -> None:
    rooms = store()
    rooms.add(room("a", ended_at=10, away_at=7), 30)
    rooms.add(room("b", ended_at=10), 30)
    rooms.add(room("c", ended_at=10, away_at=4), 30)
    assert (rooms.awaiting_result(10), rooms.awaiting_until(10)) == (1, 12)
    assert (rooms.awaiting_result(12), rooms.awaiting_until(12)) == (0, None)


def test_a_player_who_has_resumed_is_not_awaited_and_one_who_is_lost_again_is() -> None:
    rooms = store()
    ended = room("a", ended_at=10, away_at=9)
    seat = ended.roster.find(ANN)
    assert seat is not None
    rooms.add(ended, 30)
    ended.roster.rebind(seat, NORTH)
    rooms.collected(ended, seat)
    assert rooms.awaiting_result(10) == 0
    rooms.lost(ended, seat, 11)
    assert (seat.away, rooms.awaiting_until(11)) == (True, 16)


def test_a_player_whose_room_was_dropped_is_not_awaited() -> None:
    rooms = store(count_max=1)
    rooms.add(room("a", ended_at=10, away_at=9), 30)
    rooms.add(room("b", ended_at=10), 30)
    assert rooms.awaiting_result(10) == 0
