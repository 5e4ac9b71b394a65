"""How many rooms leave at once: few while they wait, as many as it takes to be in time."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.handoff.pace import Pace
from lastcall.ids import RoomId
from lastcall.policy import HandOffPolicy

POLICY = HandOffPolicy(rooms_at_once=8, wait_seconds=0.005, answer_seconds=2.0)
TURNS = 0.006
"""The time of a hand-off that waits for nothing."""


def names(count: int) -> list[RoomId]:
    return [RoomId(f"room-{number}") for number in range(count)]


def leave(pace: Pace, began: float, seconds: float, *rooms: RoomId) -> None:
    """Rooms begin together, and each is silent for ``seconds``."""
    for room in rooms:
        pace.begin(room, began)
        pace.silent(room, began)
    for room in rooms:
        pace.released(room, began + seconds)
        pace.told(room, began + seconds)


def grown(number: int) -> Pace:
    """A pace of ``number`` rooms at once, since many rooms have waited for nothing until 10 s."""
    pace = Pace(POLICY)
    while pace.at_once(0, 10.0) < number:
        leave(pace, 10.0 - TURNS, TURNS, RoomId("quick"))
    return pace


def test_one_room_leaves_at_first_and_one_more_each_time_that_as_many_have_left() -> None:
    pace, numbers = Pace(POLICY), []
    for room in names(12):
        numbers.append(pace.at_once(100, 0.0))
        leave(pace, 0.0, TURNS, room)
    assert numbers == [1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4]


def test_never_more_leave_than_the_policy_allows() -> None:
    pace = Pace(POLICY)
    leave(pace, 0.0, TURNS, *names(1000))
    assert pace.at_once(1000, 0.0) == 8


def test_a_room_that_waited_halves_the_number_and_those_beside_it_do_not_halve_it_again() -> None:
    pace = grown(4)
    leave(pace, 10.0, TURNS + 0.006, *names(4))
    assert pace.at_once(100, 10.1) == 2
    leave(pace, 10.1, TURNS + 0.006, *names(2))
    assert pace.at_once(100, 10.2) == 1
    leave(pace, 10.2, TURNS + 0.006, *names(1))
    assert pace.at_once(100, 10.3) == 1


def test_a_wait_is_what_a_room_takes_beyond_the_least_so_distant_nodes_do_not_count() -> None:
    pace = Pace(POLICY)
    for room in names(20):
        leave(pace, 0.0, 0.100, room)
    assert pace.at_once(100, 0.0) == 6


def test_the_time_until_a_room_rests_is_no_wait() -> None:
    pace = grown(4)
    for room in names(4):
        pace.begin(room, 10.0)
        pace.silent(room, 10.9)
        pace.released(room, 10.9 + TURNS)
        pace.told(room, 10.9 + TURNS)
    assert pace.at_once(0, 11.0) == 4


def test_a_room_has_left_when_it_was_released_and_its_players_nodes_were_told() -> None:
    pace, (first, second) = Pace(POLICY), names(2)
    for room in (first, second):
        pace.begin(room, 0.0)
        pace.silent(room, 0.0)
    pace.released(first, 0.01)
    pace.told(second, 0.01)
    assert len(pace) == 2
    pace.told(first, 0.01)
    assert len(pace) == 1
    pace.released(second, 0.01)
    assert len(pace) == 0


def test_a_room_that_stays_makes_way_at_once_and_changes_nothing() -> None:
    pace = grown(4)
    pace.begin(RoomId("stays"), 10.0)
    pace.stays(RoomId("stays"))
    assert (len(pace), pace.at_once(0, 20.0)) == (0, 4)


def test_a_room_in_a_long_step_holds_up_no_others_when_time_runs_out() -> None:
    """Nothing has left yet, so the time that it takes is the only one that is known."""
    pace = Pace(POLICY)
    pace.hurry(1.5)
    pace.begin(RoomId("busy"), 0.0)
    assert pace.at_once(20, 0.0) == 1
    assert pace.at_once(20, 0.25) == 6 == -(-20 * 0.25 // (0.75 * 1.25))
    assert pace.at_once(99, 0.25) == 8


def test_a_room_makes_way_after_2_s_and_what_comes_of_it_later_counts_no_more() -> None:
    pace, room = grown(4), RoomId("slow")
    pace.begin(room, 10.0)
    pace.silent(room, 10.0)
    pace.due(11.9)
    assert len(pace) == 1
    pace.due(12.0)
    assert (len(pace), pace.at_once(0, 12.0)) == (0, 2)
    pace.released(room, 12.1)
    pace.told(room, 12.1)
    assert (len(pace), pace.at_once(0, 12.1)) == (0, 2)


def test_as_many_leave_as_are_needed_to_be_gone_in_three_quarters_of_the_time() -> None:
    pace = Pace(POLICY)
    leave(pace, 0.0, 0.010, RoomId("first"))
    leave(pace, 0.0, 0.030, RoomId("halves"))
    assert pace.at_once(300, 1.0) == 1
    usual = 0.8 * 0.010 + 0.2 * 0.030
    pace.hurry(2.0)
    for waiting, needed in ((50, 1), (100, 2), (300, 6), (500, 8)):
        assert pace.at_once(waiting, 1.0) == needed == min(8, -(-waiting * usual // 0.75))
    assert [pace.at_once(1, at) for at in (1.9, 2.0, 3.0)] == [1, 8, 8]


def test_of_a_long_time_two_seconds_are_spared() -> None:
    pace = Pace(POLICY)
    leave(pace, 0.0, 0.100, RoomId("first"))
    pace.hurry(60.0)
    assert pace.at_once(1000, 0.0) == 2 == -(-1000 * 0.100 // 58)
    assert pace.at_once(1000, 40.0) == 6 == -(-1000 * 0.100 // 18)
    assert pace.at_once(200, 54.0) == 5 == -(-200 * 0.100 // 4.5)


def test_a_room_that_takes_much_longer_than_others_gives_its_turn_to_one_more() -> None:
    pace = Pace(POLICY)
    leave(pace, 0.0, 0.040, RoomId("usual"))
    pace.begin(RoomId("slow"), 1.0)
    assert [pace.at_once(9, at) for at in (1.0, 1.07, 1.09, 2.9)] == [2, 2, 3, 3]
    leave(pace, 2.0, 0.040, RoomId("quick"))
    pace.begin(RoomId("slow, too"), 2.1)
    assert pace.at_once(9, 2.9) == 4


def served(
    rooms: int,
    work: float | Callable[[], float],
    until: float = inf,
    turns: float = TURNS,
    policy: HandOffPolicy = POLICY,
) -> tuple[float, list[float]]:
    """All rooms leave by nodes that give each ``work`` seconds of their time, one after the other.

    Returns when the last one has left, and how long each has waited.
    """
    pace, waiting, waits = Pace(policy), names(rooms), []
    pace.hurry(until)
    now = free_at = 0.0
    under_way: list[tuple[float, float, float, RoomId]] = []
    while waiting or under_way:
        while waiting and len(pace) < pace.at_once(len(waiting), now):
            one = work() if callable(work) else work
            free_at = max(free_at, now) + one
            room = waiting.pop()
            pace.begin(room, now)
            pace.silent(room, now)
            under_way.append((free_at + turns, now, one, room))
        now, began, one, room = under_way.pop(0)
        waits.append(now - began - one - turns)
        pace.released(room, now)
        pace.told(room, now)
    return now, waits


def test_rooms_wait_little_and_the_nodes_are_not_idle_whatever_a_room_costs_them() -> None:
    for work in (0.0005, 0.001, 0.002, 0.004, 0.008):
        took, waits = served(400, work)
        assert max(waits) <= POLICY.wait_seconds + 2 * work, work
        assert took <= 400 * max(1.5 * work, (work + TURNS) / POLICY.rooms_at_once) + 0.1, work


@pytest.mark.parametrize(("busy", "median", "most"), [(0.5, 0.02, 0.15), (0.8, 0.06, 0.4)])
def test_rooms_of_busy_nodes_leave_in_time_and_do_not_drive_one_another(
    busy: float, median: float, most: float
) -> None:
    """The nodes have time for the rooms, if they are busy for that share of it: no room then may
    wait longer because others have waited.
    """
    policy, dice = HandOffPolicy(), Random(1)

    def work() -> float:
        return dice.expovariate(2000 / (busy * 60))

    took, waits = served(2000, work, 60.0, 0.020, policy)
    assert took < 58
    assert statistics.median(waits) < median
    assert max(waits) < most


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.floats(0, 1)), max_size=80))
def test_whatever_happens_the_number_has_its_bounds_and_no_room_leaves_for_ever(
    steps: list[tuple[int, int, float]],
) -> None:
    pace, now = Pace(POLICY), 0.0
    pace.hurry(40.0)
    for what, which, seconds in steps:
        now += seconds
        room = RoomId(str(which))
        if what == 0:
            pace.begin(room, now)
        elif what == 4:
            pace.stays(room)
        else:
            (pace.silent, pace.released, pace.told)[what - 1](room, now)
        pace.due(now)
        assert 1 <= pace.at_once(which * 100, now) <= 8
    pace.due(now + 2 * POLICY.answer_seconds)
    assert len(pace) == 0
