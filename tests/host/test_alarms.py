"""The alarms of running rooms: at their time, late rather than twice, and gone with their room."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Alarm, Joined, Kind, Left, Room, Said, room
from lastcall.events import Event
from lastcall.host.inbox import Inbox
from lastcall.ids import PlayerId
from lastcall.policy import RoomPolicy
from lastcall.testing import play
from tests.host.host_harness import open_host

ANN = PlayerId("ann")


def kind_of(function: Any, **settings: Any) -> Kind:
    return room("alarmed", seats=2, **settings)(function)


@pytest.mark.usefixtures("schedule")
async def test_a_room_gets_its_alarms_at_their_times(autojump_clock: MockClock) -> None:
    rung: list[tuple[float, str]] = []

    async def alarmed(table: Room) -> None:
        nonlocal rung
        start = trio.current_time()
        table.alarm("bell", after=0.25)
        table.every("tick", 0.1)
        async for event in table:
            if isinstance(event, Alarm):
                rung += [(trio.current_time() - start, event.name)]

    async with play(kind_of(alarmed)) as table:
        table.join()
        await trio.sleep(0.35)
    assert rung == [(0.1, "tick"), (0.2, "tick"), (0.25, "bell"), (0.30000000000000004, "tick")]


async def test_a_room_that_is_busy_for_1_s_gets_one_tick_of_100_ms_and_then_keeps_its_pace(
    autojump_clock: MockClock,
) -> None:
    rung: list[float] = []

    async def busy(table: Room) -> None:
        table.every("tick", 0.1)
        async for event in table:
            if isinstance(event, Alarm):
                rung.append(round(trio.current_time() - start, 3))
                if len(rung) == 2:
                    await trio.sleep(1.05)  # nine ticks are due meanwhile

    start = trio.current_time()
    async with play(kind_of(busy)) as table:
        table.join()
        await trio.sleep(1.55)
    assert rung == [0.1, 0.2, 1.25, 1.3, 1.4, 1.5]


async def test_after_a_stall_of_the_process_each_alarm_is_late_once(
    autojump_clock: MockClock,
) -> None:
    rung: list[Event] = []

    async def stalled(table: Room) -> None:
        nonlocal rung
        table.every("tick", 1)
        table.alarm("bell", after=2)
        async for event in table:
            rung += [event]

    async with play(kind_of(stalled)) as table:
        table.join()
        await trio.sleep(0.5)
        autojump_clock.jump(5)
        await trio.sleep(0.4)
        assert [event for event in rung if isinstance(event, Alarm)] == [
            Alarm("tick"),
            Alarm("bell"),
        ]


async def test_a_silenced_or_replaced_alarm_does_not_come_even_if_it_waits_unread(
    autojump_clock: MockClock,
) -> None:
    rung: list[tuple[float, Event]] = []

    async def sleepy(table: Room) -> None:
        nonlocal rung
        start = trio.current_time()
        table.alarm("silenced", after=1)
        table.alarm("replaced", after=1)
        table.alarm("kept", after=1)
        await trio.sleep(2)
        table.silence("silenced")
        table.silence("unknown")
        table.alarm("replaced", after=1)
        async for event in table:
            if isinstance(event, Alarm):
                rung += [(trio.current_time() - start, event)]

    async with play(kind_of(sleepy)) as table:
        table.join()
        await trio.sleep(5)
    assert rung == [(2, Alarm("kept")), (3, Alarm("replaced"))]


async def test_alarms_of_a_room_that_is_over_are_forgotten(autojump_clock: MockClock) -> None:
    tables: list[Room] = []

    async def short(table: Room) -> None:
        tables.append(table)
        table.every("tick", 1)
        async for event in table:
            if event == Alarm("tick"):
                return

    async with play(kind_of(short)) as table:
        table.join()
        await table.ended()
        tables[0].every("again", 1)
        tables[0].alarm("again", after=1)
        tables[0].silence("again")
        assert len(table.host.running.alarms) == 0
        await trio.sleep(10)


async def test_a_room_may_set_64_alarms_and_the_65th_crashes_it() -> None:
    async def greedy(table: Room) -> None:
        for number in range(65):
            table.alarm(f"{number}", after=number)
        await table.commit()

    async with play(kind_of(greedy)) as table:
        table.join()
        with pytest.raises(ValueError, match="at most 64 alarms"):
            await table.ended()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_seconds_that_are_no_time_are_refused(seconds: float) -> None:
    async def odd(table: Room) -> None:
        table.alarm("bell", after=seconds)

    async with play(kind_of(odd)) as table:
        table.join()
        with pytest.raises(ValueError, match="a number of seconds from 0 on"):
            await table.ended()


@pytest.mark.parametrize("seconds", [0, 0.0009])
async def test_an_alarm_every_less_than_1_ms_is_refused(seconds: float) -> None:
    async def fast(table: Room) -> None:
        table.every("tick", seconds)

    async with play(kind_of(fast)) as table:
        table.join()
        with pytest.raises(ValueError, match=r"a number of seconds from 0\.001 on"):
            await table.ended()


@pytest.mark.parametrize("name", ["", "x" * 129, None, 5])
async def test_a_name_that_is_no_short_text_is_refused(name: Any) -> None:
    async def odd(table: Room) -> None:
        table.alarm(name, after=1)

    async with play(kind_of(odd)) as table:
        table.join()
        with pytest.raises(ValueError, match="a text of 1 to 128 characters"):
            await table.ended()


async def test_1_000_rooms_that_tick_20_times_a_second_all_get_their_20_ticks(
    autojump_clock: MockClock,
) -> None:
    ticks: dict[str, int] = {}

    async def ticking(table: Room) -> None:
        table.every("tick", 0.05)
        async for event in table:
            if event == Alarm("tick"):
                ticks[table.id] = ticks.get(table.id, 0) + 1

    kind = kind_of(ticking)
    async with open_host(kind) as harness:
        for _ in range(1_000):
            harness.join(kind, new=True)
        await trio.sleep(1.01)
    assert list(ticks.values()) == [20] * 1_000


async def test_an_unread_alarm_that_is_taken_back_makes_room_for_a_blocked_player() -> None:
    """The inbox has one place, and the alarm is in it: nobody else would notify the player."""
    notified: list[PlayerId | None] = []
    inbox = Inbox(1, 1, notified.append)
    inbox.put_control(Alarm("bell"))
    assert not inbox.has_room(ANN)
    inbox.remove(Alarm("bell"))
    assert notified == [None]
    assert inbox.has_room(ANN)


EVENTS = st.sampled_from([Alarm("bell"), Alarm("tick"), Joined(ANN), Left(ANN), Said(ANN, 1)])


@given(st.integers(1, 5), st.lists(EVENTS, max_size=20), st.sampled_from(["bell", "tick"]))
def test_an_inbox_holds_and_gives_back_an_alarm_wherever_it_waits(
    limit: int, events: list[Event], name: str
) -> None:
    inbox = Inbox(limit, limit, lambda _: None)
    waiting: list[Event] = []
    for event in events:
        if isinstance(event, Alarm):
            assert inbox.holds(event) == (event in waiting)
            if event not in waiting:
                inbox.put_control(event)
                waiting.append(event)
        elif not isinstance(event, Said):
            inbox.put_control(event)
        elif inbox.has_room(ANN):
            inbox.put(event)
    size = len(inbox)
    inbox.remove(Alarm(name))
    assert len(inbox) == size - (Alarm(name) in waiting)
    assert not inbox.holds(Alarm(name))
    inbox.remove(Alarm(name))
    assert len(inbox) == size - (Alarm(name) in waiting)


async def test_a_room_with_a_full_inbox_still_gets_its_alarms(autojump_clock: MockClock) -> None:
    seen: list[Event] = []

    async def full(table: Room) -> None:
        nonlocal seen
        table.alarm("bell", after=1)
        await trio.sleep(2)
        async for event in table:
            seen += [event]

    policy = RoomPolicy(inbox_events=2)
    async with play(kind_of(full), policy=policy) as table:
        ann = table.join()
        table.say(ann, 1)
        await trio.sleep(3)
        await wait_all_tasks_blocked()
    assert seen == [Joined(ann), Said(ann, 1), Alarm("bell")]
