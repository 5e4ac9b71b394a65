from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.open_rooms import OpenRooms
from lastcall.ids import KindName, RoomId

CHESS, CHAT = KindName("chess"), KindName("chat")
A, B, C = RoomId("a"), RoomId("b"), RoomId("c")


def test_without_an_open_room_no_room_is_chosen() -> None:
    assert OpenRooms([CHESS]).choose(CHESS) is None


def test_the_fullest_room_comes_first() -> None:
    open_rooms = OpenRooms([CHAT])
    open_rooms.put(A, CHAT, age=0, free=9, started=True)
    open_rooms.put(B, CHAT, age=1, free=2, started=True)
    open_rooms.put(C, CHAT, age=2, free=5, started=True)
    assert open_rooms.choose(CHAT) == B


def test_among_equals_the_oldest_room_comes_first() -> None:
    open_rooms = OpenRooms([CHAT])
    for age, room in ((1, B), (0, A), (2, C)):
        open_rooms.put(room, CHAT, age=age, free=3, started=True)
    assert open_rooms.choose(CHAT) == A
    open_rooms.remove(A)
    assert open_rooms.choose(CHAT) == B


def test_a_room_that_has_not_started_comes_before_a_fuller_one_that_has() -> None:
    open_rooms = OpenRooms([CHESS])
    open_rooms.put(A, CHESS, age=0, free=1, started=True)
    open_rooms.put(B, CHESS, age=1, free=3, started=False)
    assert open_rooms.choose(CHESS) == B


def test_free_seats_are_counted_for_every_kind_even_if_there_are_none() -> None:
    open_rooms = OpenRooms([CHESS, CHAT])
    open_rooms.put(A, CHAT, age=0, free=3, started=True)
    open_rooms.put(B, CHAT, age=1, free=2, started=True)
    assert open_rooms.seats() == {CHESS: 0, CHAT: 5}


def test_a_room_without_a_free_seat_is_not_offered() -> None:
    open_rooms = OpenRooms([CHAT])
    open_rooms.put(A, CHAT, age=0, free=1, started=True)
    open_rooms.put(A, CHAT, age=0, free=0, started=True)
    assert open_rooms.choose(CHAT) is None
    assert open_rooms.seats() == {CHAT: 0}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans())))
def test_the_choice_agrees_with_a_search_of_all_rooms(
    changes: list[tuple[int, int, bool]],
) -> None:
    open_rooms = OpenRooms([CHAT])
    rooms: dict[int, tuple[int, bool]] = {}
    for age, free, started in changes:
        rooms[age] = (free, started)
        open_rooms.put(RoomId(f"r{age}"), CHAT, age=age, free=free, started=started)
        candidates = [(s, f, a) for a, (f, s) in rooms.items() if f]
        assert open_rooms.choose(CHAT) == (f"r{min(candidates)[2]}" if candidates else None)
        assert open_rooms.seats() == {CHAT: sum(f for _, f, _ in candidates)}
