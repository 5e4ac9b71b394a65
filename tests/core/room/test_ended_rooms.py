from __future__ import annotations

from lastcall.core.room.ended_rooms import EndedRoom, EndedRoomStore
from lastcall.core.room.history import History
from lastcall.core.room.roster import Roster, Seat
from lastcall.ids import LinkId, PlayerId, RoomId

ANN = PlayerId("ann")
NORTH = LinkId(1)


def stone(
    name: str, *, ended_at: float = 0, away_at: float | None = None, history_bytes: int = 0
) -> EndedRoom:
    roster = Roster(2)
    seat = Seat(ANN, link=NORTH, secret="")
    roster.take(seat)
    if away_at is not None:
        roster.lose(seat, away_at)
    history = History(messages_max=10, bytes_max=1 << 20)
    if history_bytes:
        history.add(1, b"x" * history_bytes, None)
    return EndedRoom(
        RoomId(name),
        roster=roster,
        history=history,
        seq=1,
        reason="finished",
        result=b"",
        now=ended_at,
    )


def yard(count_max: int = 100, bytes_max: int = 1 << 20) -> EndedRoomStore:
    return EndedRoomStore(count_max=count_max, bytes_max=bytes_max, drain_grace_seconds=5)


def standing(stones: EndedRoomStore, names: str, now: float = 0) -> str:
    return "".join(name for name in names if stones.find(RoomId(name), now))


def test_a_tombstone_stands_for_its_seconds_and_no_longer() -> None:
    stones = yard()
    stones.add(stone("a", ended_at=100), 30)
    assert standing(stones, "ab", 129.9) == "a"
    assert standing(stones, "a", 130) == ""
    stones.expire(129.9, 9)
    assert len(stones) == 1
    stones.expire(130, 9)
    assert (len(stones), stones.memory) == (0, 0)


def test_of_a_kind_that_keeps_no_seats_nothing_is_kept() -> None:
    stones = yard()
    stones.add(stone("a"), 0)
    assert len(stones) == 0


def test_one_that_stands_briefly_goes_first_though_it_came_later() -> None:
    stones = yard()
    stones.add(stone("a", ended_at=0), 100)
    stones.add(stone("b", ended_at=1), 10)
    stones.expire(11, 9)
    assert standing(stones, "ab", 11) == "a"
    assert len(stones) == 1


def test_over_the_count_the_oldest_goes_whatever_its_kind() -> None:
    stones = yard(count_max=2)
    stones.add(stone("a", ended_at=0), 100)
    stones.add(stone("b", ended_at=1), 10)
    stones.add(stone("c", ended_at=2), 10)
    assert standing(stones, "abc", 2) == "bc"


def test_over_the_bytes_the_oldest_go() -> None:
    stones = yard(bytes_max=30_000)
    for number, name in enumerate("abcd"):
        stones.add(stone(name, ended_at=number, history_bytes=10_000), 30)
    assert standing(stones, "abcd", 3) == "cd"
    assert 20_000 < stones.memory <= 30_000


def test_one_that_is_over_the_bytes_alone_is_not_kept() -> None:
    stones = yard(bytes_max=5_000)
    stones.add(stone("a", history_bytes=10_000), 30)
    assert (len(stones), stones.memory) == (0, 0)


def test_who_was_away_at_the_end_is_missing_for_5_s_from_when_he_was_lost() -> None:
    stones = yard()
    stones.add(stone("a", ended_at=10, away_at=7), 30)
    stones.add(stone("b", ended_at=10), 30)
    stones.add(stone("c", ended_at=10, away_at=4), 30)
    assert (stones.awaiting_result(10), stones.awaiting_until(10)) == (1, 12)
    assert (stones.awaiting_result(12), stones.awaiting_until(12)) == (0, None)


def test_who_has_come_back_is_not_missing_and_who_is_lost_again_is() -> None:
    stones = yard()
    ended = stone("a", ended_at=10, away_at=9)
    seat = ended.roster.find(ANN)
    assert seat is not None
    stones.add(ended, 30)
    ended.roster.rebind(seat, NORTH)
    stones.collected(ended, seat)
    assert stones.awaiting_result(10) == 0
    stones.lost(ended, seat, 11)
    assert (seat.away, stones.awaiting_until(11)) == (True, 16)


def test_nobody_waits_for_a_player_whose_tombstone_had_to_go() -> None:
    stones = yard(count_max=1)
    stones.add(stone("a", ended_at=10, away_at=9), 30)
    stones.add(stone("b", ended_at=10), 30)
    assert stones.awaiting_result(10) == 0
