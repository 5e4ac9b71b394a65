from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.open_rooms import OpenRooms
from lastcall.ids import KindName, RoomId

CHESS, CHAT = KindName("chess"), KindName("chat")
A, B, C = RoomId("a"), RoomId("b"), RoomId("c")


def test_without_an_open_room_there_is_no_choice() -> None:
    assert OpenRooms([CHESS]).choose(CHESS) is None


def test_the_fullest_room_comes_first() -> None:
    lobby = OpenRooms([CHAT])
    lobby.put(A, CHAT, age=0, free=9, started=True)
    lobby.put(B, CHAT, age=1, free=2, started=True)
    lobby.put(C, CHAT, age=2, free=5, started=True)
    assert lobby.choose(CHAT) == B


def test_among_equals_the_oldest_room_comes_first() -> None:
    lobby = OpenRooms([CHAT])
    for age, room in ((1, B), (0, A), (2, C)):
        lobby.put(room, CHAT, age=age, free=3, started=True)
    assert lobby.choose(CHAT) == A
    lobby.remove(A)
    assert lobby.choose(CHAT) == B


def test_a_room_that_has_not_started_comes_before_a_fuller_one_that_has() -> None:
    lobby = OpenRooms([CHESS])
    lobby.put(A, CHESS, age=0, free=1, started=True)
    lobby.put(B, CHESS, age=1, free=3, started=False)
    assert lobby.choose(CHESS) == B


def test_free_seats_are_counted_for_every_kind_also_0() -> None:
    lobby = OpenRooms([CHESS, CHAT])
    lobby.put(A, CHAT, age=0, free=3, started=True)
    lobby.put(B, CHAT, age=1, free=2, started=True)
    assert lobby.seats() == {CHESS: 0, CHAT: 5}


def test_a_room_without_a_free_seat_is_not_offered() -> None:
    lobby = OpenRooms([CHAT])
    lobby.put(A, CHAT, age=0, free=1, started=True)
    lobby.put(A, CHAT, age=0, free=0, started=True)
    assert lobby.choose(CHAT) is None
    assert lobby.seats() == {CHAT: 0}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans())))
def test_the_lobby_agrees_with_a_look_at_all_rooms(
    changes: list[tuple[int, int, bool]],
) -> None:
    lobby = OpenRooms([CHAT])
    rooms: dict[int, tuple[int, bool]] = {}
    for age, free, started in changes:
        rooms[age] = (free, started)
        lobby.put(RoomId(f"r{age}"), CHAT, age=age, free=free, started=started)
        is_open = [(s, f, a) for a, (f, s) in rooms.items() if f]
        assert lobby.choose(CHAT) == (f"r{min(is_open)[2]}" if is_open else None)
        assert lobby.seats() == {CHAT: sum(f for _, f, _ in is_open)}
