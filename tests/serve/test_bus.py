"""Messages of a process to itself stay in its memory, whatever address leads back to it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.bus.base import Probe
from lastcall.bus.memory import MemoryBus
from lastcall.serve.bus import HERE, LocalFirstBus

LINKS, FEED = "tcp://10.0.0.7:7101", "tcp://10.0.0.7:7001"


def reverse(request: bytes) -> bytes:
    return request[::-1]


@pytest.fixture
def network() -> MemoryBus:
    """Between processes; a break of it shows what still passes in memory."""
    return MemoryBus()


@pytest.mark.parametrize("address", [LINKS, HERE.url, "tcp://127.0.0.1:7101"])
async def test_a_call_to_an_address_of_this_process_needs_no_network(
    autojump_clock: MockClock, network: MemoryBus, nursery: trio.Nursery, address: str
) -> None:
    bus = LocalFirstBus(network.node("here"))
    nursery.start_soon(bus.respond(LINKS).serve, reverse)
    network.break_link(LINKS)
    assert await bus.caller(address).call(b"abc") == b"cba"
    assert await bus.probe(address, 1) is Probe.REACHED


async def test_others_call_by_the_network_and_a_refused_one_is_not_here(
    autojump_clock: MockClock, network: MemoryBus, nursery: trio.Nursery
) -> None:
    bus = LocalFirstBus(network.node("here"))
    nursery.start_soon(bus.respond(LINKS).serve, reverse)
    assert await network.node("there").caller(LINKS).call(b"abc") == b"cba"
    assert await bus.probe("tcp://10.0.0.8:7101", 1) is Probe.REFUSED
    nursery.start_soon(network.node("there").respond("tcp://10.0.0.8:7101").serve, bytes.upper)
    assert await bus.caller("tcp://10.0.0.8:7101").call(b"abc") == b"ABC"


async def test_a_subscriber_hears_its_own_process_and_others(
    autojump_clock: MockClock, network: MemoryBus
) -> None:
    bus = LocalFirstBus(network.node("here"))
    subscriber = bus.subscribe(FEED)
    ours, theirs = bus.publisher(FEED), network.node("there").publisher(FEED)
    heard: list[bytes] = []
    for n in range(10):
        ours.publish(b"ours %d" % n)
        theirs.publish(b"theirs %d" % n)
    while len(heard) < 20:
        heard += await subscriber.receive()
    for name in (b"ours", b"theirs"):
        assert [one for one in heard if one.startswith(name)] == [
            b"%s %d" % (name, n) for n in range(10)
        ]
    network.break_link(FEED)
    theirs.publish(b"lost")
    ours.publish(b"kept")
    assert await subscriber.receive() == [b"kept"]


async def test_a_process_alone_has_no_network_at_all(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    bus = LocalFirstBus()
    nursery.start_soon(bus.respond(LINKS).serve, reverse)
    assert await bus.caller(HERE.url).call(b"abc") == b"cba"
    subscriber = bus.subscribe(FEED)
    bus.publisher(subscriber.address).publish(b"kept")
    assert await subscriber.receive() == [b"kept"]
    assert await bus.probe("tcp://10.0.0.8:7101", 1) is Probe.REFUSED


async def test_a_caller_of_this_process_may_call_what_answers_and_nobody_within_that_call(
    autojump_clock: MockClock, network: MemoryBus
) -> None:
    bus, within = LocalFirstBus(network.node("here")), list[object]()
    responder, caller = bus.respond(LINKS), bus.caller(LINKS)
    assert caller.answers_here is None, "nothing answers yet"

    def here(value: int) -> int:
        within.append(caller.answers_here)
        return value + 1

    theirs = network.node("there").caller(LINKS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(responder.serve, reverse, here)
        for one in (caller, theirs):
            assert await one.call(b"abc") == b"cba"
        assert caller.answers_here is not None
        assert (caller.answers_here(1), within) == (2, [None])
        assert theirs.answers_here is None
        nursery.cancel_scope.cancel()
    assert caller.answers_here is None, "nothing answers any more"


async def test_a_subscriber_may_take_messages_of_this_process_at_once_and_in_order(
    autojump_clock: MockClock, network: MemoryBus
) -> None:
    bus = LocalFirstBus(network.node("here"))
    subscriber = bus.subscribe(FEED)
    publisher, theirs = bus.publisher(FEED), network.node("there").publisher(FEED)
    taken: list[object] = []

    def take(message: object) -> bool:
        if message == 1:
            assert publisher.takes_here is None, (
                "nothing arrives within the call of another message"
            )
            publisher.publish(b"1.1")
        if message != 2:
            taken.append(message)
        return message != 2

    assert publisher.takes_here is None, "nobody has asked for it"
    subscriber.take = take
    assert publisher.takes_here is not None
    assert publisher.takes_here(0)
    assert publisher.takes_here(1)
    assert taken == [0, 1]
    assert publisher.takes_here is None, "a message waits"
    assert await subscriber.receive() == [b"1.1"]
    assert publisher.takes_here is not None
    assert not publisher.takes_here(2)
    for message in (b"2", b"3"):
        publisher.publish(message)
    assert publisher.takes_here is None, "another message would overtake them"
    assert await subscriber.receive() == [b"2", b"3"]
    assert theirs.takes_here is None
    theirs.publish(b"theirs")
    assert await subscriber.receive() == [b"theirs"]
    assert taken == [0, 1]
