"""A room's alarms: due late rather than twice, and at a pace that a stall does not change."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.alarms import ALARMS_MAX, Alarms, AlarmSchedule
from lastcall.wire.images import AlarmImage

PERIODS = st.sampled_from([0.001, 0.05, 1 / 3, 1.0, 7.0])
STEPS = st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=50)


def test_an_alarm_is_due_once_at_its_time() -> None:
    alarms = Alarms()
    alarms.set("bell", now=100, seconds=30)
    assert (alarms.next_at, alarms.due(129.9)) == (130, [])
    assert alarms.due(130) == ["bell"]
    assert (len(alarms), alarms.next_at, alarms.due(200)) == (0, inf, [])


def test_those_that_are_due_come_in_the_order_of_their_times() -> None:
    alarms = Alarms()
    for seconds in (3, 1, 2, 9):
        alarms.set(f"{seconds}", now=0, seconds=seconds)
    assert alarms.due(5) == ["1", "2", "3"]
    assert alarms.next_at == 9


def test_1200_ticks_of_50_ms_end_at_60_s_to_the_bit() -> None:
    alarms = Alarms()
    alarms.set("tick", now=0, seconds=0.05, every=0.05)
    times = []
    for _ in range(1200):
        times.append(alarms.next_at)
        assert alarms.due(alarms.next_at) == ["tick"]
    assert times == [number * 0.05 for number in range(1, 1201)]
    assert times[-1] == 60


def test_after_a_stall_of_7_s_a_tick_of_1_s_is_due_once_and_then_at_its_old_pace() -> None:
    alarms = Alarms()
    alarms.set("tick", now=0.25, seconds=1, every=1)
    assert alarms.due(8.5) == ["tick"]
    assert alarms.due(8.5) == []
    assert alarms.next_at == 9.25


@given(PERIODS, STEPS)
def test_a_repeated_alarm_is_due_once_at_each_look_after_a_multiple_of_its_period(
    period: float, steps: list[float]
) -> None:
    """Whatever stalls there are: never twice for one multiple, none late that was not missed."""
    alarms = Alarms()
    alarms.set("tick", now=0, seconds=period, every=period)
    now, seen = 0.0, 0
    for step in steps:
        now += step
        at = alarms.next_at
        assert at == (seen + 1) * period
        assert alarms.due(now) == (["tick"] if at <= now else [])
        while (seen + 1) * period <= now:
            seen += 1
    assert alarms.next_at > now


def test_a_name_that_is_set_again_is_due_at_the_new_time_alone() -> None:
    alarms = Alarms()
    assert alarms.set("bell", now=0, seconds=5)
    assert alarms.set("bell", now=1, seconds=9)
    assert alarms.due(9) == []
    assert alarms.set("bell", now=9, seconds=2, every=2)
    assert (len(alarms), alarms.due(11), alarms.due(13)) == (1, ["bell"], ["bell"])


def test_a_pace_that_is_set_again_goes_on_where_it_was_and_another_pace_begins_anew() -> None:
    alarms = Alarms()
    alarms.set("tick", now=0, seconds=1, every=1)
    assert not alarms.set("tick", now=0.75, seconds=1, every=1)
    assert alarms.next_at == 1
    assert alarms.set("tick", now=0.75, seconds=2, every=2)
    assert alarms.next_at == 2.75


def test_a_silenced_alarm_is_never_due() -> None:
    alarms = Alarms()
    alarms.set("tick", now=0, seconds=1, every=1)
    alarms.silence("tick")
    alarms.silence("nothing")
    assert (alarms.next_at, alarms.due(100)) == (inf, [])


def test_a_room_has_64_alarms_and_the_65th_is_refused_until_one_is_silenced() -> None:
    alarms = Alarms()
    for number in range(ALARMS_MAX):
        alarms.set(f"{number}", now=0, seconds=1)
    with pytest.raises(ValueError, match="at most 64 alarms"):
        alarms.set("one more", now=0, seconds=1)
    alarms.set("63", now=0, seconds=2)
    alarms.silence("0")
    alarms.set("one more", now=0, seconds=1)
    assert len(alarms) == 64


NAMES = st.sampled_from(["bell", "tick", "turn"])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("alarm"), NAMES, st.floats(0, 50)),
        st.tuples(st.just("every"), NAMES, PERIODS),
        st.tuples(st.just("silence"), NAMES, st.just(0.0)),
        st.tuples(st.just("look"), NAMES, st.floats(0, 5)),
    ),
    max_size=30,
)


@given(ACTIONS, st.floats(0, 1e6), st.floats(0, 10))
def test_captured_alarms_go_on_in_another_time_as_if_they_had_stayed(
    actions: list[tuple[str, str, float]], other_now: float, later: float
) -> None:
    alarms, now = Alarms(), 0.0
    for action, name, seconds in actions:
        match action:
            case "alarm":
                alarms.set(name, now=now, seconds=seconds)
            case "every":
                alarms.set(name, now=now, seconds=seconds, every=seconds)
            case "silence":
                alarms.silence(name)
            case _:
                now += seconds
                alarms.due(now)
    captured = alarms.capture(now)
    moved = Alarms.restore(captured, other_now)
    for before, after in zip(captured, moved.capture(other_now), strict=True):
        assert (before.name, before.every) == (after.name, after.every)
        assert after.seconds_left == pytest.approx(before.seconds_left, abs=1e-6)
    margin = 1e-6  # of two clocks that add up other numbers
    certain = {one.name for one in captured if one.seconds_left <= later - margin}
    possible = {one.name for one in captured if one.seconds_left <= later + margin}
    assert certain <= set(moved.due(other_now + later)) <= possible


def test_an_overdue_alarm_is_captured_as_due_now() -> None:
    alarms = Alarms()
    alarms.set("bell", now=0, seconds=5)
    assert alarms.capture(7) == [AlarmImage("bell", 0.0)]


def test_a_schedule_returns_each_room_once_in_the_order_of_time() -> None:
    schedule = AlarmSchedule[str]()
    for room, at in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", inf)):
        schedule.put(room, at)
    assert (len(schedule), schedule.next_at) == (3, 1)
    assert schedule.due(2.5, 1) == ["b"]
    assert schedule.due(2.5, 9) == ["c"]
    assert schedule.due(9, 9) == ["a"]
    assert (len(schedule), schedule.next_at) == (0, inf)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1.0, 2.0, 3.0, inf]))))
def test_a_schedule_knows_only_the_last_time_that_a_room_was_given(
    puts: list[tuple[str, float]],
) -> None:
    schedule = AlarmSchedule[str]()
    for room, at in puts:
        schedule.put(room, at)
    last = dict(puts)
    for now in (1.0, 2.0, 3.0):
        assert set(schedule.due(now, 99)) == {room for room, at in last.items() if at == now}
    assert len(schedule) == 0


def test_a_room_that_sets_its_alarm_100_000_times_does_not_fill_the_heap() -> None:
    schedule = AlarmSchedule[str]()
    for number in range(100_000):
        schedule.put("a", 1e6 - number)
        schedule.put("b", number)
    assert len(schedule._heap) <= 2 * 2 + 64 + 1
