"""Rooms that have moved: where each is, and the oldest are forgotten beyond a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.moved_rooms import MovedRoom, MovedRooms
from lastcall.ids import Incarnation, KindName, NodeName, RoomId
from lastcall.wire.nodes import Whereabouts

THERE = Whereabouts(Incarnation(4), NodeName("game-2"), 1)


def moved(keys: int) -> MovedRoom:
    return MovedRoom(THERE, tuple((KindName("chess"), str(n)) for n in range(keys)))


def test_a_room_is_found_where_it_moved_until_it_is_here_again() -> None:
    rooms = MovedRooms()
    rooms.add(RoomId("a"), moved(1))
    assert rooms.find(RoomId("a")) == moved(1)
    assert rooms.find(RoomId("b")) is None
    assert rooms.remove(RoomId("a")) == moved(1)
    assert rooms.find(RoomId("a")) is None


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 4)), max_size=20))
def test_the_oldest_rooms_are_forgotten_beyond_the_bound_with_their_keys(
    moves: list[tuple[str, int]],
) -> None:
    rooms, model = MovedRooms(names_max=6), dict[str, int]()
    for name, keys in moves:
        model.pop(name, None)
        model[name] = 1 + keys
        rooms.add(RoomId(name), moved(keys))
        forgotten = rooms.forget()
        while sum(model.values()) > 6:
            oldest = next(iter(model))
            assert len(forgotten[0][1].keys) == model.pop(oldest) - 1
            assert forgotten.pop(0)[0] == oldest
        assert not forgotten
        assert len(rooms) == len(model)
