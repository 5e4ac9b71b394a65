"""A room's inbox: order, limits, blocked players, and pairs of events that cancel each other."""

from __future__ import annotations

import itertools
import time

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Away, Back, Draining, Joined, Left, Said
from lastcall.events import Event
from lastcall.host.inbox import EVENTS_PER_TURN, Inbox
from lastcall.ids import PlayerId

ANN, BOB, HOST = PlayerId("ann"), PlayerId("bob"), PlayerId("host")


def said(n: int, player: PlayerId = ANN) -> Said:
    return Said(player, n)


def offer(inbox: Inbox, event: Said) -> bool:
    """Puts an input if it fits, as the room's inputs do."""
    fits = inbox.has_room(event.player)
    if fits:
        inbox.put(event)
    return fits


async def read_all(inbox: Inbox) -> list[Event]:
    return [await inbox.next() for _ in range(len(inbox))]


def inbox_of(limit: int, calls: list[int] | None = None) -> Inbox:
    """An inbox that one player may fill. Its notices to everyone are added to ``calls``."""
    notices = [] if calls is None else calls

    def on_room(player: PlayerId | None) -> None:
        if player is None:
            notices.append(len(notices))

    return Inbox(limit, 2 * limit, on_room)


async def test_events_are_read_in_the_order_in_which_they_were_put() -> None:
    inbox = inbox_of(8)
    events: list[Event] = [Joined(ANN), said(1), said(2), Left(ANN)]
    inbox.put_control(events[0])
    offer(inbox, said(1))
    offer(inbox, said(2))
    inbox.put_control(events[3])
    assert [await inbox.next() for _ in events] == events


async def test_inputs_that_came_with_a_room_beyond_the_limit_are_read_in_order() -> None:
    inbox = inbox_of(2)
    inbox.restore(events := [said(n) for n in range(1, 7)])
    assert not offer(inbox, said(7))
    assert await read_all(inbox) == events
    assert offer(inbox, said(7))


async def test_a_waiting_reader_gets_the_next_event() -> None:
    inbox = inbox_of(8)
    got: list[Event] = []

    async def read() -> None:
        got.append(await inbox.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        offer(inbox, said(1))
    assert got == [said(1)]


async def test_a_full_inbox_refuses_inputs_but_accepts_control_events() -> None:
    inbox = inbox_of(2)
    assert offer(inbox, said(1))
    assert offer(inbox, said(2))
    assert not offer(inbox, said(3))
    inbox.put_control(Joined(BOB))
    inbox.put_control(Draining(5))
    events = [await inbox.next() for _ in range(4)]
    assert events == [said(1), said(2), Joined(BOB), Draining(5)]


async def test_the_owner_is_notified_once_when_a_full_inbox_has_fallen_to_half() -> None:
    calls: list[int] = []
    inbox = inbox_of(4, calls)
    for n in range(5):
        offer(inbox, said(n))
    await inbox.next()
    assert calls == []
    await inbox.next()
    assert calls == [0]
    await inbox.next()
    assert calls == [0]


async def test_a_player_can_fill_only_their_share_of_the_inbox() -> None:
    inbox = Inbox(8, 2, lambda _: None)
    assert [offer(inbox, said(n)) for n in range(3)] == [True, True, False]
    assert [offer(inbox, said(n, BOB)) for n in range(3)] == [True, True, False]
    inbox.put_control(Left(ANN))
    assert [await inbox.next() for _ in range(2)] == [said(0), said(1)]
    assert offer(inbox, said(2))
    assert not offer(inbox, said(2, BOB))


async def test_each_player_is_notified_when_half_of_their_own_share_is_read() -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(100, 4, calls.append)
    inbox.put_control(Joined(ANN))
    for n in range(5):
        offer(inbox, said(n))
        offer(inbox, said(n, BOB))
    calls_after_each_read = []
    for _ in range(9):
        await inbox.next()
        calls_after_each_read.append(list(calls))
    assert calls_after_each_read == [[], [], [], [ANN], *[[ANN, BOB]] * 5]


async def test_the_counts_of_inputs_are_forgotten_once_all_events_are_read() -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(8, 4, calls.append)
    assert [offer(inbox, said(n)) for n in range(5)] == [True] * 4 + [False]
    assert await read_all(inbox) == [said(n) for n in range(4)]
    assert calls == [ANN]
    for n in range(3):
        assert offer(inbox, said(n))
    assert await read_all(inbox) == [said(n) for n in range(3)]
    assert calls == [ANN]  # a count that was kept would have fallen to half of the share again


async def test_inputs_are_counted_only_from_when_one_might_not_fit() -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(8, 4, calls.append)
    inputs = [said(0), said(1), said(2), said(0, BOB)]
    assert all(offer(inbox, event) for event in inputs)
    assert await read_all(inbox) == inputs
    assert calls == []  # four events are not yet counted
    assert all(offer(inbox, event) for event in inputs)
    assert [offer(inbox, said(3)), offer(inbox, said(4))] == [True, False]
    assert [await inbox.next() for _ in range(2)] == [said(0), said(1)]
    assert calls == [ANN]
    assert [offer(inbox, said(n)) for n in (4, 5, 6)] == [True, True, False]


@given(st.integers(1, 6), st.integers(1, 6), st.lists(st.sampled_from("abcjrr"), max_size=200))
async def test_any_refused_player_is_notified_when_half_of_their_inputs_are_read(
    limit: int, share: int, steps: list[str]
) -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(limit, share, calls.append)
    waiting: list[str] = []
    refused: set[PlayerId] = set()
    full = False
    for step in steps:  # "j": a join, "r": a read, any other letter: an input of that player
        if step == "j":
            if len(waiting) < limit:
                waiting.append(step)
                inbox.put_control(Joined(HOST))
        elif step != "r":
            fits = waiting.count(step) < share
            full = full or (fits and len(waiting) == limit)
            assert offer(inbox, said(0, PlayerId(step))) == (fits and len(waiting) < limit)
            if fits and len(waiting) < limit:
                waiting.append(step)
            elif not fits:
                refused.add(PlayerId(step))
        elif waiting:
            player, calls[:] = PlayerId(waiting.pop(0)), []
            await inbox.next()
            if player in refused:
                assert (player in calls) == (waiting.count(player) == share // 2)
            assert (None in calls) == (full and len(waiting) <= limit // 2)
            full = full and len(waiting) > limit // 2
            refused -= set(filter(None, calls))


async def test_an_inbox_that_refused_no_input_notifies_nobody() -> None:
    calls: list[int] = []
    inbox = inbox_of(4, calls)
    for n in range(4):
        offer(inbox, said(n))
    for _ in range(4):
        await inbox.next()
    assert calls == []


async def test_a_reader_with_a_long_queue_lets_other_tasks_run_before_each_64th_event() -> None:
    inbox = inbox_of(1000)
    for n in range(1000):
        offer(inbox, said(n))
    read_at_each_turn: list[int] = []

    async def bystander() -> None:
        while len(inbox):
            read_at_each_turn.append(1000 - len(inbox))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bystander)
        for _ in range(1000):
            await inbox.next()
    steps = [later - earlier for earlier, later in itertools.pairwise(read_at_each_turn)]
    assert max(steps) <= 2 * EVENTS_PER_TURN  # trio may run the two in either order in each turn


async def test_a_cancelled_wait_loses_no_event(autojump_clock: trio.testing.Clock) -> None:
    inbox = inbox_of(8)
    with trio.move_on_after(1) as scope:
        await inbox.next()
    assert scope.cancelled_caught
    offer(inbox, said(1))
    assert await inbox.next() == said(1)


async def test_a_reader_whose_event_another_task_read_raises_busy_if_that_task_waits(
    autojump_clock: MockClock,
) -> None:
    inbox = inbox_of(8)
    errors: list[str] = []

    async def first_reader() -> None:
        try:
            await inbox.next()
        except trio.BusyResourceError:
            errors.append("busy")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first_reader)
        await wait_all_tasks_blocked()
        offer(inbox, said(1))
        assert await inbox.next() == said(1)
        with trio.move_on_after(1):
            await inbox.next()
    assert errors == ["busy"]


async def test_a_second_task_that_waits_gets_a_busy_error() -> None:
    inbox = inbox_of(8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.next)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await inbox.next()
        nursery.cancel_scope.cancel()


async def test_joined_and_left_do_not_fill_the_inbox_of_a_room_that_never_reads() -> None:
    inbox = inbox_of(4)
    for n in range(4):
        offer(inbox, said(n))
    for n in range(1000):
        inbox.put_control(Joined(PlayerId(f"p{n}")))
        inbox.put_control(Left(PlayerId(f"p{n}")))
    assert len(inbox) == 4


async def test_below_the_limit_joined_and_left_are_both_kept() -> None:
    inbox = inbox_of(4)
    inbox.put_control(Joined(ANN))
    inbox.put_control(Left(ANN))
    assert [await inbox.next(), await inbox.next()] == [Joined(ANN), Left(ANN)]


async def test_left_is_kept_after_an_unread_input_of_the_player() -> None:
    inbox = inbox_of(2)
    inbox.put_control(Joined(ANN))
    offer(inbox, said(1))
    inbox.put_control(Left(ANN))
    assert [await inbox.next() for _ in range(3)] == [Joined(ANN), said(1), Left(ANN)]


async def test_a_reader_whose_event_another_task_read_waits_for_the_next_one() -> None:
    inbox = inbox_of(8)
    got: list[Event] = []

    async def read() -> None:
        got.append(await inbox.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        offer(inbox, said(1))
        assert await inbox.next() == said(1)
        await wait_all_tasks_blocked()
        offer(inbox, said(2))
    assert got == [said(2)]


async def test_away_and_back_do_not_fill_the_inbox_of_a_room_that_never_reads() -> None:
    inbox = inbox_of(4)
    for n in range(4):
        offer(inbox, said(n))
    for _ in range(1000):
        inbox.put_control(Away(ANN))
        inbox.put_control(Back(ANN))
    assert len(inbox) == 4


async def test_below_the_limit_away_and_back_are_both_kept() -> None:
    inbox = inbox_of(4)
    inbox.put_control(Away(ANN))
    inbox.put_control(Back(ANN))
    assert await read_all(inbox) == [Away(ANN), Back(ANN)]


async def test_back_is_kept_if_the_room_has_read_away() -> None:
    inbox = inbox_of(2)
    inbox.put_control(Away(ANN))
    assert await read_all(inbox) == [Away(ANN)]
    for n in range(2):
        offer(inbox, said(n, PlayerId("bob")))
    inbox.put_control(Back(ANN))
    assert (await read_all(inbox))[-1] == Back(ANN)


async def test_only_the_last_pair_of_away_and_back_is_removed() -> None:
    inbox = inbox_of(3)
    for event in (Away(ANN), Back(ANN), Away(ANN), Back(ANN)):
        inbox.put_control(event)
    assert await read_all(inbox) == [Away(ANN), Back(ANN)]


async def test_away_before_left_is_removed() -> None:
    inbox = inbox_of(1)
    inbox.put_control(Joined(PlayerId("bob")))
    inbox.put_control(Away(ANN))
    inbox.put_control(Left(ANN))
    assert await read_all(inbox) == [Joined(PlayerId("bob")), Left(ANN)]


async def test_10_000_players_who_leave_a_full_inbox_are_not_each_searched_for() -> None:
    """A search through all waiting events for each player took 8 s."""
    inbox = inbox_of(8)
    players = [PlayerId(f"p{number}") for number in range(10_000)]
    began = time.process_time()
    for event in (Joined, Away, Left):
        for player in players:
            inbox.put_control(event(player))
    assert time.process_time() - began < 4
    assert len(await read_all(inbox)) <= 2 * 8  # the last players, for whom it was no longer full


@given(
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("jablsr")), max_size=200),
)
async def test_a_full_inbox_stays_bounded_and_its_events_stay_consistent(  # noqa: C901
    full: int, steps: list[tuple[int, str]]
) -> None:
    """Four seats; each join of a seat is another player."""
    limit, seats = 6, 4
    inbox = inbox_of(limit)
    for number in range(full):
        offer(inbox, said(number, HOST))
    read: list[Event] = []
    state: dict[int, str] = {}
    player_of: dict[int, PlayerId] = {}
    for count, (seat, step) in enumerate(steps):
        now = state.get(seat, "gone")
        if step == "j" and now == "gone":
            player_of[seat], state[seat] = PlayerId(f"p{count}"), "here"
            inbox.put_control(Joined(player_of[seat]))
        elif step == "a" and now == "here":
            state[seat] = "away"
            inbox.put_control(Away(player_of[seat]))
        elif step == "b" and now == "away":
            state[seat] = "here"
            inbox.put_control(Back(player_of[seat]))
        elif step == "l" and now != "gone":
            state[seat] = "gone"
            inbox.put_control(Left(player_of[seat]))
        elif step == "s" and now == "here":
            offer(inbox, said(count, player_of[seat]))
        elif step == "r" and len(inbox):
            read.append(await inbox.next())
        assert len(inbox) <= 2 * limit + 3 * seats + 1
    seen: dict[PlayerId, str] = {}
    while len(inbox):
        read.append(await inbox.next())
    for event in [event for event in read if getattr(event, "player", None) != HOST]:
        before = seen.get(player := getattr(event, "player", ANN), "new")
        after = {Joined: "here", Said: "here", Away: "away", Back: "here", Left: "gone"}
        allowed = {
            Joined: ["new"],
            Said: ["here"],
            Away: ["here"],
            Back: ["away"],
            Left: ["here", "away"],
        }
        assert before in allowed[type(event)]
        seen[player] = after[type(event)]
    assert all(
        seen.get(player_of[seat], "gone") == end for seat, end in state.items() if end != "gone"
    )
