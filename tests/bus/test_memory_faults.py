"""The faults of the memory bus, each alone, in virtual time."""

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
    """A bus; a test that hangs fails, since the virtual clock then jumps to the error."""

    async def expire() -> None:
        await trio.sleep(1_000)
        raise trio.TooSlowError("the test hangs")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expire)
        yield MemoryBus(Faults(rng=random.Random(7)))
        nursery.cancel_scope.cancel()


class CountingAnswer:
    """Answers each request with the number of requests up to now, and records the requests."""

    def __init__(self, name: bytes = b"") -> None:
        self.name = name
        self.requests: list[bytes] = []

    def __call__(self, request: bytes) -> bytes:
        self.requests.append(request)
        return b"%s%d" % (self.name, len(self.requests))


async def receive_all(subscriber: MemorySubscriber) -> list[bytes]:
    """Receives messages for 10 s."""
    found: list[bytes] = []
    with trio.move_on_after(10):
        while True:
            found += await subscriber.receive()
    return found


async def publish(bus: MemoryBus, count: int) -> list[int]:
    """Publishes the numbers from 0 to ``count`` - 1; returns those that arrive, in order."""
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    for number in range(count):
        publisher.publish(b"%d" % number)
    return [int(message) for message in await receive_all(subscriber)]


async def test_calls_without_faults_take_no_time(bus: MemoryBus, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, CountingAnswer())
        caller = bus.caller(GAME)
        assert [await caller.call(b"?") for _ in range(3)] == [b"1", b"2", b"3"]
        nursery.cancel_scope.cancel()
    assert trio.current_time() == start


async def test_a_request_is_not_delivered_within_the_call_itself(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting = CountingAnswer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        nursery.start_soon(bus.caller(GAME).call, b"?")
        assert counting.requests == []
        await trio.testing.wait_all_tasks_blocked()
        assert counting.requests == [b"?"]
        nursery.cancel_scope.cancel()


async def test_some_published_messages_are_dropped_and_the_rest_stay_in_order(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.drop = 0.25
    found = await publish(bus, 1_000)
    assert 700 < len(found) < 800
    assert found == sorted(set(found))


async def test_a_published_message_may_arrive_twice(
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


async def test_messages_of_two_publishers_may_overtake_each_other(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 1.0
    subscriber, first, second = bus.subscribe(FEED), bus.publisher(FEED), bus.publisher(FEED)
    for _ in range(20):
        first.publish(b"1")
        second.publish(b"2")
    found = await receive_all(subscriber)
    assert len(found) == 40
    assert any(before == after for before, after in pairwise(found))


async def test_a_delay_is_never_longer_than_its_setting(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 0.2
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, CountingAnswer())
        await bus.caller(GAME).call(b"?")
        nursery.cancel_scope.cancel()
    assert 0 < trio.current_time() - start <= 0.4


async def test_a_request_may_arrive_twice_and_the_caller_gets_either_reply(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.repeat_request = 1.0
    counting = CountingAnswer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        caller = bus.caller(GAME)
        assert await caller.call(b"one") in (b"1", b"2")
        assert await caller.call(b"two") in (b"3", b"4")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert counting.requests == [b"one", b"one", b"two", b"two"]


async def test_a_late_copy_may_arrive_after_a_newer_request(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.repeat_request, bus.faults.delay_seconds = 1.0, 1.0
    counting = CountingAnswer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        caller = bus.caller(GAME)
        for number in range(20):
            await caller.call(b"%02d" % number)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert len(counting.requests) == 40
    assert counting.requests != sorted(counting.requests)


async def test_a_full_buffer_keeps_the_newest_messages_and_counts_the_dropped_ones(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    for number in range(BUFFER_MESSAGES + 3):
        publisher.publish(b"%d" % number)
    found = [int(message) for message in await receive_all(subscriber)]
    assert found == list(range(3, BUFFER_MESSAGES + 3))
    assert subscriber.dropped == 3


async def test_messages_published_over_a_broken_link_are_lost(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    for message in (b"before", b"during", b"after"):
        if message == b"during":
            bus.break_link(FEED)
        publisher.publish(message)
        bus.heal(FEED)
    assert await receive_all(subscriber) == [b"before", b"after"]


async def test_a_call_over_a_broken_link_is_answered_once_the_link_is_healed(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting = CountingAnswer()
    bus.break_link(GAME)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)

        async def heal() -> None:
            await trio.sleep(5)
            assert counting.requests == []
            bus.heal(GAME)

        nursery.start_soon(heal)
        await bus.caller(GAME).call(b"?")
        assert trio.current_time() - start == 5
        nursery.cancel_scope.cancel()
    assert counting.requests == [b"?"]


async def test_a_request_is_repeated_if_its_reply_is_lost_with_the_link(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting = CountingAnswer()

    def answer_and_break(request: bytes) -> bytes:
        if not counting.requests:
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
    assert counting.requests == [b"?", b"?"]


async def test_a_broken_link_affects_only_its_two_nodes(
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
async def test_a_node_answers_all_waiting_requests_after_a_freeze(
    bus: MemoryBus, autojump_clock: MockClock, place: str
) -> None:
    counting = CountingAnswer()
    responder = bus.node("game-1").respond(GAME)
    connected = bus.caller(GAME)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(responder.serve, counting)
        await connected.call(b"before")
        bus.freeze(place)
        start = trio.current_time()
        assert await bus.probe(GAME, 0.25) is Probe.REACHED, "its kernel accepts"
        for caller, request in ((connected, b"abandoned"), (bus.caller(GAME), b"never sent")):
            with trio.move_on_after(0.5):
                await caller.call(request)
            caller.close()

        async def heal() -> None:
            await trio.sleep(2)
            bus.heal(place)

        nursery.start_soon(heal)
        assert await bus.caller(GAME).call(b"patient") == b"3"
        assert trio.current_time() - start == 3
        nursery.cancel_scope.cancel()
    assert counting.requests == [b"before", b"abandoned", b"patient"]


async def test_a_subscriber_gets_its_waiting_messages_after_a_freeze(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    subscriber, publisher = bus.subscribe(FEED), bus.publisher(FEED)
    bus.freeze(FEED)
    publisher.publish(b"kept")
    assert await receive_all(subscriber) == []
    bus.heal(FEED)
    assert await receive_all(subscriber) == [b"kept"]


async def test_a_frozen_node_sends_no_requests_and_no_messages(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    counting, node = CountingAnswer(), bus.node("api-1")
    subscriber = bus.subscribe(FEED)
    bus.freeze("api-1")
    node.publisher(FEED).publish(b"unsent")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.respond(GAME).serve, counting)
        with trio.move_on_after(1):
            await node.caller(GAME).call(b"unasked")
        nursery.cancel_scope.cancel()
    assert counting.requests == []
    assert await receive_all(subscriber) == []


async def test_unanswered_requests_to_a_crashed_node_go_to_the_next_one(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    old, new = CountingAnswer(b"old "), CountingAnswer(b"new ")
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
    assert len(old.requests) == 1
    assert sorted(new.requests) == [b"1", b"2"]
    assert sorted(replies) == [b"new 1", b"new 2"]


async def test_messages_in_flight_are_lost_when_their_publisher_is_closed(
    bus: MemoryBus, autojump_clock: MockClock
) -> None:
    bus.faults.delay_seconds = 1.0
    subscriber, publisher, other = bus.subscribe(FEED), bus.publisher(FEED), bus.publisher(FEED)
    publisher.publish(b"lost")
    other.publish(b"kept")
    publisher.close()
    assert await receive_all(subscriber) == [b"kept"]


async def test_the_same_seed_causes_the_same_faults(autojump_clock: MockClock) -> None:
    runs = []
    for _ in range(2):
        bus = MemoryBus(Faults(rng=random.Random(1), drop=0.5, delay_seconds=0.1))
        runs.append(await publish(bus, 200))
    assert runs[0] == runs[1]
    assert 50 < len(runs[0]) < 150
