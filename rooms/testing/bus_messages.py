"""The bus suite's checks of published messages."""

from __future__ import annotations

import resource
from contextlib import closing
from pathlib import Path

import trio

from lastcall.bus.base import BUFFER_MESSAGES, RECEIVE_AT_ONCE, Bus
from lastcall.testing.bus_checks import ANYWHERE, collect, expect, free_address, meet, rises

__all__ = ["MESSAGE_CHECKS"]

BURST = 100_000
BURST_BYTES = 1_024
BURST_KEPT_BYTES = 64 * 1024 * 1024
"""Two full buffers with their overhead take about 20 MiB; the whole burst would take over 100."""


def resident_bytes() -> int:
    """The memory of the process, from Linux' ``/proc``; 0 elsewhere, where nothing is checked."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


async def check_published_messages_keep_their_order(bus: Bus) -> None:
    """All messages that fit into the buffers arrive, in order."""
    sent = [b"%d" % number for number in range(BUFFER_MESSAGES // 2)]
    with (
        closing(bus.subscribe(ANYWHERE)) as subscriber,
        closing(bus.publisher(subscriber.address)) as publisher,
    ):
        await meet(publisher, subscriber)
        for message in sent:
            publisher.publish(message)
        expect(await collect(subscriber, sent[-1]) == sent, "lost, repeated or out of order")


async def check_a_publisher_connects_to_a_subscriber_that_binds_later(bus: Bus) -> None:
    """Messages from before the connection are lost; later ones arrive."""
    address = free_address(bus)
    with closing(bus.publisher(address)) as publisher:
        publisher.publish(b"to nobody")
        with closing(bus.subscribe(address)) as subscriber:
            await meet(publisher, subscriber)
            publisher.publish(b"1")
            expect(await collect(subscriber, b"1") == [b"1"], "earlier messages arrived too")


async def check_a_publisher_reaches_the_next_subscriber_at_the_address(bus: Bus) -> None:
    """A publisher connects again after its subscriber is closed and another one is bound."""
    with (
        closing(bus.subscribe(ANYWHERE)) as first,
        closing(bus.publisher(first.address)) as publisher,
    ):
        await meet(publisher, first)
        first.close()
        publisher.publish(b"to nobody")
        with closing(bus.subscribe(first.address)) as second:
            await meet(publisher, second)
            publisher.publish(b"1")
            found = await collect(second, b"1")
    expect(found[-1] == b"1", f"the second subscriber got {found}")


async def check_a_burst_to_a_reader_keeps_its_order(bus: Bus) -> None:
    """100 000 messages to a reader: in order, no repeats, and the last one arrives."""
    last = b"%d" % (BURST - 1)
    with (
        closing(bus.subscribe(ANYWHERE)) as subscriber,
        closing(bus.publisher(subscriber.address)) as publisher,
    ):
        await meet(publisher, subscriber)
        async with trio.open_nursery() as nursery:
            found: list[bytes] = []

            async def read() -> None:
                found.extend(await collect(subscriber, last))

            nursery.start_soon(read)
            for number in range(BURST):
                publisher.publish(b"%d" % number)
                if number % RECEIVE_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
    expect(rises(found), "out of order or repeated")
    expect(len(found) >= BUFFER_MESSAGES, f"only {len(found)} arrived")


async def check_a_burst_that_nobody_reads_is_bounded(bus: Bus) -> None:
    """100 000 messages of 1 KiB: at least one buffer of them is kept, with the newest."""
    last = b"%0*d" % (BURST_BYTES, BURST - 1)
    with (
        closing(bus.subscribe(ANYWHERE)) as subscriber,
        closing(bus.publisher(subscriber.address)) as publisher,
    ):
        await meet(publisher, subscriber)
        before = resident_bytes()
        for number in range(BURST):
            publisher.publish(b"%0*d" % (BURST_BYTES, number))
        grown = resident_bytes() - before
        found = await collect(subscriber, last)
    expect(grown <= BURST_KEPT_BYTES, f"{grown} bytes are kept for a burst that nobody reads")
    expect(rises(found), "out of order or repeated")
    expect(BUFFER_MESSAGES <= len(found) < BURST, f"{len(found)} arrived")


MESSAGE_CHECKS = (
    check_published_messages_keep_their_order,
    check_a_publisher_connects_to_a_subscriber_that_binds_later,
    check_a_publisher_reaches_the_next_subscriber_at_the_address,
    check_a_burst_to_a_reader_keeps_its_order,
    check_a_burst_that_nobody_reads_is_bounded,
)
