"""The memory bus' faults: each alone, in virtual time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from lastcall.bus.base import BUFFER_MESSAGES, Probe
from lastcall.bus.memory import Faults, MemoryBus, MemorySubscriber

GAME, FEED = "tcp://game:7101", "tcp://api:7001"


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    """Ends a test in which nothing happens any more: the virtual clock jumps to the error."""

    async def expire() -> None:
        await trio.sleep(1_000)
        raise trio.TooSlowError("nothing happens any more")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expire)
        yield MemoryBus(Faults(rng=random.Random(7)))
        nursery.cancel_scope.cancel()


class Counting:
    """Answers with how many requests it has had, and keeps them."""

    def __init__(self, name: bytes = b"") -> None:
        self.name = name
        self.had: list[bytes] = []

    def __call__(self, request: bytes) -> bytes:
        self.had.append(request)
        return b"%s%d" % (self.name, len(self.had))


async def all_due(subscriber: MemorySubscriber) -> list[bytes]:
    found: list[bytes] = []
    with trio.move_on_after(10):
        while True:
            found += await subscriber.receive()
    return found


async def publish(bus: MemoryBus, count: int) -> list[int]:
    """What arrives of the messages 0, 1, 2 …"""
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    for number in range(count):
        publisher.publish(b"%d" % number)
    return [int(message) for message in await all_due(subscriber)]


async def test_without_faults_nothing_takes_time(bus: MemoryBus, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, Counting())
        caller = bus.caller(GAME)
        assert [await caller.call(b"?") for _ in range(3)] == [b"1", b"2", b"3"]
        nursery.cancel_scope.cancel()
    assert trio.current_time() == start


async def test_nothing_is_handed_over_inside_the_call(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting = Counting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        nursery.start_soon(bus.caller(GAME).call, b"?")
        assert counting.had == []
        await trio.testing.wait_all_tasks_blocked()
        assert counting.had == [b"?"]
        nursery.cancel_scope.cancel()


async def test_some_published_messages_are_dropped_and_the_rest_is_in_order(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.drop = 0.25
    found = await publish(bus, 1_000)
    assert 700 < len(found) < 800
    assert found == sorted(set(found))


async def test_a_published_message_may_come_twice(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.repeat_publish = 1.0
    assert await publish(bus, 3) == [0, 0, 1, 1, 2, 2]


async def test_delayed_messages_of_one_publisher_keep_their_order(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 1.0
    assert await publish(bus, 100) == list(range(100))


async def test_reordered_messages_arrive_in_another_order(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds, bus.faults.reorder_publish = 1.0, True
    found = await publish(bus, 100)
    assert found != list(range(100))
    assert sorted(found) == list(range(100))


async def test_two_publishers_overtake_each_other(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 1.0
    subscriber, first, second = bus.subscribe(FEED), bus.publisher(FEED), bus.publisher(FEED)
    for _ in range(20):
        first.publish(b"1")
        second.publish(b"2")
    found = await all_due(subscriber)
    assert len(found) == 40
    assert any(before == after for before, after in pairwise(found))


async def test_a_delay_ends_and_is_never_longer_than_asked(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 0.2
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, Counting())
        await bus.caller(GAME).call(b"?")
        nursery.cancel_scope.cancel()
    assert 0 < trio.current_time() - start <= 0.4


async def test_a_request_may_come_twice_and_either_reply_will_do(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.repeat_request = 1.0
    counting = Counting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        caller = bus.caller(GAME)
        assert await caller.call(b"one") in (b"1", b"2")
        assert await caller.call(b"two") in (b"3", b"4")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert counting.had == [b"one", b"one", b"two", b"two"]


async def test_a_late_copy_may_come_after_a_newer_request(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.repeat_request, bus.faults.delay_seconds = 1.0, 1.0
    counting = Counting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        caller = bus.caller(GAME)
        for number in range(20):
            await caller.call(b"%02d" % number)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert len(counting.had) == 40
    assert counting.had != sorted(counting.had)


async def test_a_full_buffer_keeps_the_newest_and_counts_the_lost(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    for number in range(BUFFER_MESSAGES + 3):
        publisher.publish(b"%d" % number)
    found = [int(message) for message in await all_due(subscriber)]
    assert found == list(range(3, BUFFER_MESSAGES + 3))
    assert subscriber.dropped == 3


async def test_what_is_published_over_a_broken_link_is_lost(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    for message in (b"before", b"during", b"after"):
        if message == b"during":
            bus.break_link(FEED)
        publisher.publish(message)
        bus.heal(FEED)
    assert await all_due(subscriber) == [b"before", b"after"]


async def test_a_call_over_a_broken_link_is_answered_once_it_is_healed(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting = Counting()
    bus.break_link(GAME)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)

        async def heal() -> None:
            await trio.sleep(5)
            assert counting.had == []
            bus.heal(GAME)

        nursery.start_soon(heal)
        await bus.caller(GAME).call(b"?")
        assert trio.current_time() - start == 5
        nursery.cancel_scope.cancel()
    assert counting.had == [b"?"]


async def test_a_reply_lost_with_the_link_brings_the_request_again(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting = Counting()

    def answer_and_break(request: bytes) -> bytes:
        if not counting.had:
            bus.break_link(GAME)
        return counting(request)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, answer_and_break)

        async def heal() -> None:
            await trio.sleep(1)
            bus.heal(GAME)

        nursery.start_soon(heal)
        assert await bus.caller(GAME).call(b"?") == b"2"
        nursery.cancel_scope.cancel()
    assert counting.had == [b"?", b"?"]


async def test_a_link_is_cut_between_two_nodes_alone(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    one, two, game = bus.node("api-1"), bus.node("api-2"), bus.node("game-1")
    game.respond(GAME)
    bus.break_link("api-1", GAME)
    bus.break_link("api-2", "game-9")
    assert await one.probe(GAME, 0.25) is Probe.SILENT
    assert await two.probe(GAME, 0.25) is Probe.REACHED
    bus.heal("api-1")
    assert await one.probe(GAME, 0.25) is Probe.REACHED


async def test_a_probe_of_a_partitioned_address_is_silent_after_its_timeout(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.break_link(GAME)
    start = trio.current_time()
    assert await bus.probe(GAME, 0.25) is Probe.SILENT
    assert trio.current_time() - start == 0.25
    bus.heal(GAME)
    assert await bus.probe(GAME, 0.25) is Probe.REFUSED
    assert trio.current_time() - start == 0.25


@pytest.mark.parametrize("place", [GAME, "game-1"])
async def test_a_frozen_node_answers_all_of_it_when_thawed(
    bus: MemoryBus, autojump_clock: MockClock, place: str
) -> None:
    counting = Counting()
    responder = bus.node("game-1").respond(GAME)
    bus.freeze(place)
    start = trio.current_time()
    assert await bus.probe(GAME, 0.25) is Probe.SILENT
    async with trio.open_nursery() as nursery:
        nursery.start_soon(responder.serve, counting)
        with trio.move_on_after(0.75):
            await bus.caller(GAME).call(b"abandoned")

        async def thaw() -> None:
            await trio.sleep(2)
            bus.heal(place)

        nursery.start_soon(thaw)
        assert await bus.caller(GAME).call(b"patient") == b"2"
        assert trio.current_time() - start == 3
        nursery.cancel_scope.cancel()
    assert counting.had == [b"abandoned", b"patient"]


async def test_a_frozen_subscriber_finds_its_messages_when_thawed(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    bus.freeze(FEED)
    publisher.publish(b"kept")
    assert await all_due(subscriber) == []
    bus.heal(FEED)
    assert await all_due(subscriber) == [b"kept"]


async def test_a_frozen_node_asks_and_publishes_nothing(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting, node = Counting(), bus.node("api-1")
    subscriber = bus.subscribe(FEED)
    bus.freeze("api-1")
    node.publisher(FEED).publish(b"unsent")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        with trio.move_on_after(1):
            await node.caller(GAME).call(b"unasked")
        nursery.cancel_scope.cancel()
    assert counting.had == []
    assert await all_due(subscriber) == []


async def test_requests_in_the_hands_of_a_crashed_node_go_to_the_next(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    old, new = Counting(b"old "), Counting(b"new ")
    node = bus.node("game-1")
    responder = node.respond(GAME)
    replies: list[bytes] = []

    def answer_and_crash(request: bytes) -> bytes:
        node.crash()
        return old(request)

    async def ask(request: bytes) -> None:
        replies.append(await bus.caller(GAME).call(request))

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as asking:
            asking.start_soon(ask, b"1")
            asking.start_soon(ask, b"2")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.ClosedResourceError):
                await responder.serve(answer_and_crash)
            assert await bus.probe(GAME, 0.25) is Probe.REFUSED
            nursery.start_soon(bus.respond(GAME).serve, new)
        nursery.cancel_scope.cancel()
    assert len(old.had) == 1
    assert sorted(new.had) == [b"1", b"2"]
    assert sorted(replies) == [b"new 1", b"new 2"]


async def test_what_a_closed_publisher_had_under_way_is_lost(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 1.0
    subscriber, publisher, other = bus.subscribe(FEED), bus.publisher(FEED), bus.publisher(FEED)
    publisher.publish(b"lost")
    other.publish(b"kept")
    publisher.close()
    assert await all_due(subscriber) == [b"kept"]


async def test_the_same_seed_brings_the_same_faults(autojump_clock: MockClock) -> None:
    runs = []
    for _ in range(2):
        bus = MemoryBus(Faults(rng=random.Random(1), drop=0.5, delay_seconds=0.1))
        runs.append(await publish(bus, 200))
    assert runs[0] == runs[1]
    assert 50 < len(runs[0]) < 150
