"""The feed reader passes items to their links: in order, all of them, and in short turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest
import trio
import trio.abc

from lastcall.api.socket.cork import Cork
from lastcall.core.link.feed import FeedReceiver
from lastcall.ids import LinkId, RoomId
from lastcall.links.feed_reader import TURN_SECONDS, FeedReader
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes

BURST_MESSAGES, ITEMS = 16, 2_600
"""A message holds 256 KiB, which is 2,600 items of 100 bytes."""


class OneBurst:
    """A subscriber that returns one burst of messages."""

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


class SlowLink:
    """A link and its feed, which needs ``seconds_each`` of processor time for each item."""

    def __init__(self, number: int, seconds_each: float = 0.0) -> None:
        self.link = self
        self.id = LinkId(number)
        self.address = f"tcp://game-{number}:1"
        self.numbers: list[int] = []
        self.seconds_each = seconds_each
        self.resets = 0
        self.receiver: FeedReceiver[nodes.Down] = FeedReceiver(
            LinkPolicy(repair_seconds=1.0, ring_items=100_000, ring_bytes=100_000_000)
        )

    @property
    def more(self) -> bool:
        return self.receiver.more

    def receive(self, batch: nodes.FeedBatch, enough: Callable[[], bool]) -> None:
        ready = self.receiver.receive(batch.first, batch.items, 0.0, item_bytes=100, at_once=256)
        first = self.receiver.arrived - len(ready) + 1
        for number in range(first, self.receiver.arrived + 1):
            self.numbers.append(number)
            until = time.thread_time() + self.seconds_each
            while time.thread_time() < until:
                pass
            if enough():
                self.receiver.put_back(ready[number - first + 1 :], item_bytes=100)
                break

    def reset(self) -> None:
        self.resets += 1


class RecordingCork:
    """A cork that counts turns and waits, and knows whether a turn is open."""

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


class StepWatch(trio.abc.Instrument):
    """Records the most work that links did in one task step, and whether a turn spanned two steps.

    Work is counted in items and not measured by a clock: the machine may pause this process.
    """

    def __init__(self, cork: RecordingCork, *links: SlowLink) -> None:
        self.cork = cork
        self.links = links
        self.work_before = self.work()
        self.longest = 0.0
        self.open_between_steps = False

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.open_between_steps |= self.cork.inside
        self.work_before = self.work()

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.longest = max(self.longest, self.work() - self.work_before)

    def work(self) -> float:
        return sum(len(link.numbers) * link.seconds_each for link in self.links)


def burst(link: int, messages: int = BURST_MESSAGES, items: int = ITEMS) -> list[bytes]:
    item = msgspec.Raw(nodes.encode(nodes.Message(RoomId("r"), 0, 1, b"x" * 64)))
    return [
        nodes.encode(nodes.FeedRun(LinkId(link), 1 + at * items, [item] * items))
        for at in range(messages)
    ]


@pytest.mark.parametrize("microseconds", [1, 20, 900])
async def test_a_burst_for_one_link_does_not_block_the_loop(microseconds: int) -> None:
    messages = 4 if microseconds < 100 else 1
    link = SlowLink(1, microseconds / 1e6)
    cork = RecordingCork()
    steps = StepWatch(cork, link)
    feeds = FeedReader(OneBurst(burst(1, messages, ITEMS if messages > 1 else 300)), cork)
    expected = messages * (ITEMS if messages > 1 else 300)
    with feeds.reading_for(link), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            trio.lowlevel.add_instrument(steps)
            while len(link.numbers) < expected:
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(steps)
            nursery.cancel_scope.cancel()
    assert link.numbers == list(range(1, expected + 1))
    assert 0 < steps.longest <= TURN_SECONDS + link.seconds_each
    assert not steps.open_between_steps


async def test_items_that_suddenly_become_costly_do_not_block_the_loop() -> None:
    cheap, costly, cork = SlowLink(1), SlowLink(2, 400e-6), RecordingCork()
    steps = StepWatch(cork, cheap, costly)
    feeds = FeedReader(OneBurst([*burst(1, 2), *burst(2, 1, 300)]), cork)
    with feeds.reading_for(cheap), feeds.reading_for(costly), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            trio.lowlevel.add_instrument(steps)
            while len(costly.numbers) < 300:
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(steps)
            nursery.cancel_scope.cancel()
    assert cheap.numbers == list(range(1, 2 * ITEMS + 1))
    assert costly.numbers == list(range(1, 301))
    assert 0 < steps.longest <= TURN_SECONDS + costly.seconds_each


@pytest.mark.parametrize("microseconds", [1, 20])
async def test_items_that_waited_for_a_gap_do_not_block_the_loop(microseconds: int) -> None:
    first, *rest = burst(1, 5)
    link, cork = SlowLink(1, microseconds / 1e6), RecordingCork()
    steps = StepWatch(cork, link)
    feeds = FeedReader(OneBurst([*rest, first]), cork)
    with feeds.reading_for(link), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            trio.lowlevel.add_instrument(steps)
            while len(link.numbers) < 5 * ITEMS:
                await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(steps)
            nursery.cancel_scope.cancel()
    assert link.numbers == list(range(1, 5 * ITEMS + 1))
    assert 0 < steps.longest <= TURN_SECONDS + link.seconds_each
    assert not steps.open_between_steps


async def test_a_link_that_has_ended_gets_no_more_items_of_its_burst() -> None:
    link, other = SlowLink(1, 1e-5), SlowLink(2)
    feeds = FeedReader(OneBurst(burst(1) + burst(2, 1, 10)), Cork())
    async with trio.open_nursery() as nursery:
        with feeds.reading_for(other), trio.fail_after(20):
            with feeds.reading_for(link):
                nursery.start_soon(feeds.run)
                while not link.numbers:
                    await trio.lowlevel.checkpoint()
            count = len(link.numbers)
            while len(other.numbers) < 10:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert len(link.numbers) == count < BURST_MESSAGES * ITEMS
    assert other.numbers == list(range(1, 11))


async def test_the_reader_waits_after_a_turn_that_filled_the_cork() -> None:
    cork, link = RecordingCork(), SlowLink(1)
    cork.full = True
    feeds = FeedReader(OneBurst(burst(1, 1, 10)), cork)
    with feeds.reading_for(link):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeds.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert link.numbers == list(range(1, 11))
    assert cork.waits == cork.turns >= 1, "frames are written after each turn, the last one too"
