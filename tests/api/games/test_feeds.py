"""What game nodes send, on its way to its links: in order, whole, and never for long at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest
import trio
import trio.abc

from lastcall.api.games.connector import TURN_SECONDS, FeedReader
from lastcall.api.socket.cork import Cork
from lastcall.core.link.feed import FeedReceiver
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes

BURST_MESSAGES, ITEMS = 16, 2_600
"""A message holds 256 KiB: so many items of 100 bytes."""


class Once:
    """A subscriber that brings one burst."""

    address = "tcp://api:1"

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages

    async def receive(self) -> list[bytes]:
        await trio.lowlevel.checkpoint()
        if not self.messages:
            await trio.sleep_forever()
        messages, self.messages = self.messages, []
        return messages

    def close(self) -> None:
        pass


class Busy:
    """A link that has work with each item."""

    def __init__(self, number: int, seconds_each: float = 0.0) -> None:
        self.id = LinkId(number)
        self.address = f"tcp://game-{number}:1"
        self.numbers: list[int] = []
        self.seconds_each = seconds_each
        self.resets = 0
        self.feed: FeedReceiver[nodes.Down] = FeedReceiver(
            repair_seconds=1.0, ahead_max=100_000, ahead_bytes_max=100_000_000
        )

    @property
    def more(self) -> bool:
        return self.feed.more

    def on_feed(self, batch: nodes.FeedBatch, enough: Callable[[], bool]) -> None:
        ready = self.feed.receive(batch.first, batch.items, 0.0, item_bytes=100, at_once=256)
        first = self.feed.arrived - len(ready) + 1
        for number in range(first, self.feed.arrived + 1):
            self.numbers.append(number)
            until = time.thread_time() + self.seconds_each
            while time.thread_time() < until:
                pass
            if enough():
                self.feed.put_back(ready[number - first + 1 :], item_bytes=100)
                break

    def reset(self) -> None:
        self.resets += 1


class Turn:
    """Is full after so many turns' items; remembers whether a task ran within it."""

    def __init__(self) -> None:
        self.inside = False
        self.turns = 0
        self.full = False
        self.waits = 0

    async def settled(self) -> None:
        self.waits += 1
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> None:
        assert not self.inside
        self.inside = True
        self.turns += 1

    def __exit__(self, *_: object) -> None:
        self.inside = False


class Watch(trio.abc.Instrument):
    """The most work that links had in one step of a task, and whether a turn was left open.

    By what they have to do, not by a clock: the machine may be taken from us in the middle.
    """

    def __init__(self, turn: Turn, *links: Busy) -> None:
        self.turn = turn
        self.links = links
        self.before = self.work()
        self.seconds = 0.0
        self.left_open = False

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.left_open |= self.turn.inside
        self.before = self.work()

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.seconds = max(self.seconds, self.work() - self.before)

    def work(self) -> float:
        return sum(len(link.numbers) * link.seconds_each for link in self.links)


def burst(link: int, messages: int = BURST_MESSAGES, items: int = ITEMS) -> list[bytes]:
    item = msgspec.Raw(nodes.encode(nodes.Message(RoomId("r"), 0, 1, b"x" * 64)))
    return [
        nodes.encode(nodes.FeedRun(LinkId(link), 1 + at * items, [item] * items))
        for at in range(messages)
    ]


@pytest.mark.parametrize("microseconds", [1, 20, 900])
async def test_a_burst_of_one_link_does_not_hold_the_loop(microseconds: int) -> None:
    messages = 4 if microseconds < 100 else 1
    link = Busy(1, microseconds / 1e6)
    turn = Turn()
    watch = Watch(turn, link)
    feeds = FeedReader(Once(burst(1, messages, ITEMS if messages > 1 else 300)), turn)
    wanted = messages * (ITEMS if messages > 1 else 300)
    with feeds.reading_for(link), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            trio.lowlevel.add_instrument(watch)
            while len(link.numbers) < wanted:
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(watch)
            nursery.cancel_scope.cancel()
    assert link.numbers == list(range(1, wanted + 1))
    assert 0 < watch.seconds <= TURN_SECONDS + link.seconds_each
    assert not watch.left_open


async def test_items_that_suddenly_cost_much_do_not_hold_the_loop() -> None:
    cheap, dear, turn = Busy(1), Busy(2, 400e-6), Turn()
    watch = Watch(turn, cheap, dear)
    feeds = FeedReader(Once([*burst(1, 2), *burst(2, 1, 300)]), turn)
    with feeds.reading_for(cheap), feeds.reading_for(dear), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            trio.lowlevel.add_instrument(watch)
            while len(dear.numbers) < 300:
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(watch)
            nursery.cancel_scope.cancel()
    assert cheap.numbers == list(range(1, 2 * ITEMS + 1))
    assert dear.numbers == list(range(1, 301))
    assert 0 < watch.seconds <= TURN_SECONDS + dear.seconds_each


@pytest.mark.parametrize("microseconds", [1, 20])
async def test_what_waited_for_a_hole_does_not_hold_the_loop(microseconds: int) -> None:
    first, *rest = burst(1, 5)
    link, turn = Busy(1, microseconds / 1e6), Turn()
    watch = Watch(turn, link)
    feeds = FeedReader(Once([*rest, first]), turn)
    with feeds.reading_for(link), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            trio.lowlevel.add_instrument(watch)
            while len(link.numbers) < 5 * ITEMS:
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(watch)
            nursery.cancel_scope.cancel()
    assert link.numbers == list(range(1, 5 * ITEMS + 1))
    assert 0 < watch.seconds <= TURN_SECONDS + link.seconds_each
    assert not watch.left_open


async def test_a_link_that_is_over_has_nothing_more_of_its_burst() -> None:
    link, other = Busy(1, 1e-5), Busy(2)
    feeds = FeedReader(Once(burst(1) + burst(2, 1, 10)), Cork())
    async with trio.open_nursery() as nursery:
        with feeds.reading_for(other), trio.fail_after(20):
            with feeds.reading_for(link):
                nursery.start_soon(feeds.run)
                while not link.numbers:
                    await trio.lowlevel.checkpoint()
            had = len(link.numbers)
            while len(other.numbers) < 10:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert len(link.numbers) == had < BURST_MESSAGES * ITEMS
    assert other.numbers == list(range(1, 11))


async def test_after_a_full_turn_it_waits() -> None:
    turn, link = Turn(), Busy(1)
    turn.full = True
    feeds = FeedReader(Once(burst(1, 1, 10)), turn)
    with feeds.reading_for(link):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert link.numbers == list(range(1, 11))
    assert turn.waits == turn.turns == 1  # what it has said leaves before more is
