from __future__ import annotations

import itertools
import time

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Away, Back, Draining, Joined, Left, Said
from lastcall.author import Event
from lastcall.host.inbox import EVENTS_PER_TURN, Inbox
from lastcall.ids import PlayerId

ANN, BOB, HOST = PlayerId("ann"), PlayerId("bob"), PlayerId("host")


def next_of(inbox: Inbox) -> Event:
    """What waits at the head, without a loop."""
    inbox._taken = 0
    with pytest.raises(StopIteration) as stop:
        inbox.next().send(None)
    return stop.value.value


def said(n: int, player: PlayerId = ANN) -> Said:
    return Said(player, n)


def offer(inbox: Inbox, event: Said) -> bool:
    """Puts an input if it fits, as a room's seating does."""
    fits = inbox.has_room(event.player)
    if fits:
        inbox.put(event)
    return fits


def inbox_of(limit: int, calls: list[int] | None = None) -> Inbox:
    """One that a single player may fill; ``calls`` are counted as they come."""
    noted = [] if calls is None else calls
    return Inbox(limit, 2 * limit, lambda who: noted.append(len(noted)) if who is None else None)


async def test_events_come_in_the_order_in_which_they_were_put() -> None:
    inbox = inbox_of(8)
    events: list[Event] = [Joined(ANN), said(1), said(2), Left(ANN)]
    inbox.put_control(events[0])
    offer(inbox, said(1))
    offer(inbox, said(2))
    inbox.put_control(events[3])
    assert [await inbox.next() for _ in events] == events


async def test_a_reader_that_waits_gets_what_comes() -> None:
    inbox = inbox_of(8)
    got: list[Event] = []

    async def read() -> None:
        got.append(await inbox.next())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        offer(inbox, said(1))
    assert got == [said(1)]


async def test_a_full_inbox_refuses_inputs_and_still_takes_control_events() -> None:
    inbox = inbox_of(2)
    assert offer(inbox, said(1))
    assert offer(inbox, said(2))
    assert not offer(inbox, said(3))
    inbox.put_control(Joined(BOB))
    inbox.put_control(Draining(5))
    events = [await inbox.next() for _ in range(4)]
    assert events == [said(1), said(2), Joined(BOB), Draining(5)]


async def test_the_owner_is_told_once_when_a_full_inbox_has_fallen_to_half() -> None:
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


async def test_a_player_has_a_share_and_the_rest_is_for_others() -> None:
    inbox = Inbox(8, 2, lambda _: None)
    assert [offer(inbox, said(n)) for n in range(3)] == [True, True, False]
    assert [offer(inbox, said(n, BOB)) for n in range(3)] == [True, True, False]
    inbox.put_control(Left(ANN))
    assert [await inbox.next() for _ in range(2)] == [said(0), said(1)]
    assert offer(inbox, said(2))
    assert not offer(inbox, said(2, BOB))


async def test_a_player_is_called_alone_when_half_of_his_share_is_read() -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(100, 4, calls.append)
    inbox.put_control(Joined(ANN))
    for n in range(5):
        offer(inbox, said(n))
        offer(inbox, said(n, BOB))
    called_after = []
    for _ in range(9):
        await inbox.next()
        called_after.append(list(calls))
    assert called_after == [[], [], [], [ANN], *[[ANN, BOB]] * 5]


async def test_nothing_is_kept_of_players_whose_inputs_are_read() -> None:
    inbox = inbox_of(50)
    for n in range(51):
        offer(inbox, said(n, PlayerId(f"p{n}")))
    assert inbox._crowd is not None
    for _ in range(50):
        await inbox.next()
    assert inbox._crowd is None


async def test_an_account_is_opened_when_an_input_might_not_fit_and_counts_what_waits() -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(8, 4, calls.append)
    for n in range(3):
        assert offer(inbox, said(n))
    assert offer(inbox, said(0, BOB))
    assert inbox._crowd is None  # nobody has asked since 4 events wait
    assert [offer(inbox, said(3)), offer(inbox, said(4))] == [True, False]
    assert [await inbox.next() for _ in range(2)] == [said(0), said(1)]
    assert calls == [ANN]
    assert [offer(inbox, said(n)) for n in (4, 5, 6)] == [True, True, False]


@given(st.integers(1, 6), st.integers(1, 6), st.lists(st.sampled_from("abcjrr"), max_size=200))
def test_whoever_was_refused_is_called_when_half_is_read_as_if_all_had_been_counted(
    limit: int, share: int, story: list[str]
) -> None:
    calls: list[PlayerId | None] = []
    inbox = Inbox(limit, share, calls.append)
    waiting: list[str] = []
    refused: set[PlayerId] = set()
    full = False
    for what in story:
        if what == "j":
            if len(waiting) < limit:
                waiting.append(what)
                inbox.put_control(Joined(HOST))
        elif what != "r":
            fits = waiting.count(what) < share
            full = full or (fits and len(waiting) == limit)
            assert offer(inbox, said(0, PlayerId(what))) == (fits and len(waiting) < limit)
            if fits and len(waiting) < limit:
                waiting.append(what)
            elif not fits:
                refused.add(PlayerId(what))
        elif waiting:
            player, calls[:] = PlayerId(waiting.pop(0)), []
            next_of(inbox)
            if player in refused:
                assert (player in calls) == (waiting.count(player) == share // 2)
            assert (None in calls) == (full and len(waiting) <= limit // 2)
            full = full and len(waiting) > limit // 2
            refused -= set(filter(None, calls))


async def test_an_inbox_that_never_refused_tells_nothing() -> None:
    calls: list[int] = []
    inbox = inbox_of(4, calls)
    for n in range(4):
        offer(inbox, said(n))
    for _ in range(4):
        await inbox.next()
    assert calls == []


async def test_a_reader_with_a_long_queue_lets_others_run_before_every_64th_event() -> None:
    inbox = inbox_of(1000)
    for n in range(1000):
        offer(inbox, said(n))
    turns: list[int] = []

    async def bystander() -> None:
        while len(inbox):
            turns.append(1000 - len(inbox))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bystander)
        for _ in range(1000):
            await inbox.next()
    steps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert max(steps) <= 2 * EVENTS_PER_TURN  # trio may run the two in either order in each turn


async def test_a_wait_that_is_cancelled_loses_no_event(autojump_clock: trio.testing.Clock) -> None:
    inbox = inbox_of(8)
    with trio.move_on_after(1) as scope:
        await inbox.next()
    assert scope.cancelled_caught
    offer(inbox, said(1))
    assert await inbox.next() == said(1)


async def test_a_task_whose_event_another_took_is_told_that_the_other_waits(
    autojump_clock: MockClock,
) -> None:
    inbox = inbox_of(8)
    told: list[str] = []

    async def robbed() -> None:
        try:
            await inbox.next()
        except trio.BusyResourceError:
            told.append("busy")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(robbed)
        await wait_all_tasks_blocked()
        offer(inbox, said(1))
        assert await inbox.next() == said(1)
        with trio.move_on_after(1):
            await inbox.next()
    assert told == ["busy"]


async def test_a_second_task_that_waits_is_told_that_one_waits_already() -> None:
    inbox = inbox_of(8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.next)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await inbox.next()
        nursery.cancel_scope.cancel()


async def test_players_who_come_and_go_do_not_fill_the_inbox_of_a_room_that_never_reads() -> None:
    inbox = inbox_of(4)
    for n in range(4):
        offer(inbox, said(n))
    for n in range(1000):
        inbox.put_control(Joined(PlayerId(f"p{n}")))
        inbox.put_control(Left(PlayerId(f"p{n}")))
    assert len(inbox) == 4


async def test_below_the_limit_who_comes_and_goes_is_seen() -> None:
    inbox = inbox_of(4)
    inbox.put_control(Joined(ANN))
    inbox.put_control(Left(ANN))
    assert [await inbox.next(), await inbox.next()] == [Joined(ANN), Left(ANN)]


async def test_who_has_said_something_unread_is_seen_to_go() -> None:
    inbox = inbox_of(2)
    inbox.put_control(Joined(ANN))
    offer(inbox, said(1))
    inbox.put_control(Left(ANN))
    assert [await inbox.next() for _ in range(3)] == [Joined(ANN), said(1), Left(ANN)]


async def test_a_reader_whose_event_another_task_has_taken_waits_for_the_next() -> None:
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


async def read_all(inbox: Inbox) -> list[Event]:
    return [await inbox.next() for _ in range(len(inbox))]


async def test_who_is_away_and_back_does_not_fill_the_inbox_of_a_room_that_never_reads() -> None:
    inbox = inbox_of(4)
    for n in range(4):
        offer(inbox, said(n))
    for _ in range(1000):
        inbox.put_control(Away(ANN))
        inbox.put_control(Back(ANN))
    assert len(inbox) == 4


async def test_below_the_limit_who_is_away_and_back_is_seen() -> None:
    inbox = inbox_of(4)
    inbox.put_control(Away(ANN))
    inbox.put_control(Back(ANN))
    assert await read_all(inbox) == [Away(ANN), Back(ANN)]


async def test_an_absence_that_the_room_has_seen_has_its_end() -> None:
    inbox = inbox_of(2)
    inbox.put_control(Away(ANN))
    assert await read_all(inbox) == [Away(ANN)]
    for n in range(2):
        offer(inbox, said(n, PlayerId("bob")))
    inbox.put_control(Back(ANN))
    assert (await read_all(inbox))[-1] == Back(ANN)


async def test_only_the_last_absence_is_made_void() -> None:
    inbox = inbox_of(3)
    for event in (Away(ANN), Back(ANN), Away(ANN), Back(ANN)):
        inbox.put_control(event)
    assert await read_all(inbox) == [Away(ANN), Back(ANN)]


async def test_who_leaves_while_he_is_away_is_seen_to_leave_alone() -> None:
    inbox = inbox_of(1)
    inbox.put_control(Joined(PlayerId("bob")))
    inbox.put_control(Away(ANN))
    inbox.put_control(Left(ANN))
    assert await read_all(inbox) == [Joined(PlayerId("bob")), Left(ANN)]


async def test_10_000_who_go_from_a_room_that_reads_nothing_are_not_sought_one_by_one() -> None:
    """To look through all that waits, for each of them, took 8 s."""
    inbox = inbox_of(8)
    players = [PlayerId(f"p{number}") for number in range(10_000)]
    began = time.process_time()
    for event in (Joined, Away, Left):
        for player in players:
            inbox.put_control(event(player))
    assert time.process_time() - began < 4
    assert len(await read_all(inbox)) <= 2 * 8  # the last ones, who found it no longer full


@given(
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("jablsr")), max_size=200),
)
def test_whatever_players_do_a_full_inbox_stays_in_its_bounds_and_tells_no_nonsense(  # noqa: C901
    full: int, story: list[tuple[int, str]]
) -> None:
    """Four seats; who leaves is another player when he sits down again."""
    limit, seats = 6, 4
    inbox = inbox_of(limit)
    for number in range(full):
        offer(inbox, said(number, HOST))
    read: list[Event] = []
    state: dict[int, str] = {}
    who: dict[int, PlayerId] = {}
    for count, (seat, what) in enumerate(story):
        now = state.get(seat, "gone")
        if what == "j" and now == "gone":
            who[seat], state[seat] = PlayerId(f"p{count}"), "here"
            inbox.put_control(Joined(who[seat]))
        elif what == "a" and now == "here":
            state[seat] = "away"
            inbox.put_control(Away(who[seat]))
        elif what == "b" and now == "away":
            state[seat] = "here"
            inbox.put_control(Back(who[seat]))
        elif what == "l" and now != "gone":
            state[seat] = "gone"
            inbox.put_control(Left(who[seat]))
        elif what == "s" and now == "here":
            offer(inbox, said(count, who[seat]))
        elif what == "r" and len(inbox):
            read.append(next_of(inbox))
        assert len(inbox) <= 2 * limit + 3 * seats + 1
    seen: dict[PlayerId, str] = {}
    while len(inbox):
        read.append(next_of(inbox))
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
    assert all(seen.get(who[seat], "gone") == end for seat, end in state.items() if end != "gone")
