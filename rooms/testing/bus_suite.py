"""Checks that every bus must pass, on the memory bus in virtual time and on nng in real time.

Each check is an async function that takes a bus and listens at a free port. It fails with
``AssertionError`` or, when something never happens, with :class:`trio.TooSlowError`. A check waits
for conditions, never for fixed times, so either clock works. Run them all::

    @pytest.mark.parametrize("check", CHECKS)
    async def test_my_bus(check: Check) -> None:
        await check(MyBus())
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import closing

import trio
import trio.testing

from lastcall.bus.base import MESSAGE_BYTES_MAX, Bus, Probe
from lastcall.errors import AddressInUse, BadAddress, MessageTooBig
from lastcall.testing.bus_calls import CALL_CHECKS
from lastcall.testing.bus_checks import (
    ANYWHERE,
    MEETING,
    PATIENCE_SECONDS,
    Check,
    bounded,
    collect,
    echo,
    expect,
    expect_error,
    free_address,
    meet,
    rises,
    serving,
)
from lastcall.testing.bus_messages import MESSAGE_CHECKS

__all__ = ["CHECKS", "Check"]


async def check_several_publishers_and_callers_do_not_mix(bus: Bus) -> None:
    """The messages of each publisher arrive in order, at its own subscriber."""
    with (
        closing(bus.subscribe(ANYWHERE)) as one,
        closing(bus.subscribe(ANYWHERE)) as other,
        closing(bus.publisher(one.address)) as first,
        closing(bus.publisher(one.address)) as second,
        closing(bus.publisher(other.address)) as third,
    ):
        for publisher, subscriber in ((first, one), (second, one), (third, other)):
            await meet(publisher, subscriber)
        for number in range(1_000):
            first.publish(b"1%04d" % number)
            second.publish(b"2%04d" % number)
            third.publish(b"3%04d" % number)
        found: list[bytes] = []
        while len(found) < 2_000:
            found += [message for message in await one.receive() if message != MEETING]
        for name in b"12":
            own = [message for message in found if message[0] == name]
            expect(len(own) == 1_000 and rises(own), "one publisher's messages are not its own")
        apart = await collect(other, b"30999")
        expect(len(apart) == 1_000 and rises(apart), "the other subscriber got something else")


async def check_messages_up_to_the_limit_pass_and_longer_ones_do_not(bus: Bus) -> None:
    """A message over the limit raises at its sender, and the connection works on."""
    largest = bytes(MESSAGE_BYTES_MAX)
    with (
        closing(bus.respond(ANYWHERE)) as responder,
        closing(bus.caller(responder.address)) as caller,
        closing(bus.subscribe(ANYWHERE)) as subscriber,
        closing(bus.publisher(subscriber.address)) as publisher,
    ):
        async with serving(responder, lambda request: request):
            for error, bad in ((MessageTooBig, largest + b"!"), (ValueError, b"")):
                try:
                    await caller.call(bad)
                    expect(holds=False, otherwise=f"{error.__name__} was not raised")
                except error:
                    expect(await caller.call(b"still here") == b"still here", "the call is broken")
            expect(await caller.call(largest) == largest, "the largest message does not pass")
        await meet(publisher, subscriber)
        expect_error(MessageTooBig, lambda: publisher.publish(largest + b"!"))
        expect_error(ValueError, lambda: publisher.publish(b""))
        publisher.publish(largest)
        expect(await collect(subscriber, largest) == [largest], "the largest does not pass")


async def check_a_probe_tells_whether_a_process_listens(bus: Bus) -> None:
    """A listener gives REACHED, a free or closed address REFUSED."""
    free = free_address(bus)
    with closing(bus.respond(ANYWHERE)) as responder, closing(bus.subscribe(ANYWHERE)) as other:
        for address in (responder.address, other.address):
            found = await bus.probe(address, PATIENCE_SECONDS)
            expect(found is Probe.REACHED, f"a process listens, and the probe says {found}")
    for address in (free, responder.address):
        found = await bus.probe(address, PATIENCE_SECONDS)
        expect(found is Probe.REFUSED, f"no process listens, and the probe says {found}")


async def check_a_probe_does_not_disturb_a_responder(bus: Bus) -> None:
    """Callers are answered as before."""
    with (
        closing(bus.respond(ANYWHERE)) as responder,
        closing(bus.caller(responder.address)) as caller,
    ):
        async with serving(responder, echo):
            for number in range(20):
                await bus.probe(responder.address, PATIENCE_SECONDS)
                expect(await caller.call(b"%d" % number) == b"re: %d" % number, "a wrong reply")


async def check_closing_wakes_the_tasks_that_wait(bus: Bus) -> None:
    """Receiving, serving and calling raise :class:`trio.ClosedResourceError`, then and later."""
    responder, subscriber, silent = (
        bus.respond(ANYWHERE),
        bus.subscribe(ANYWHERE),
        bus.respond(ANYWHERE),
    )
    caller, unmet = bus.caller(silent.address), bus.caller(free_address(bus))
    publisher = bus.publisher(subscriber.address)
    waits: dict[str, Callable[[], Awaitable[object]]] = {
        "receive": subscriber.receive,
        "serve": lambda: responder.serve(echo),
        "call": lambda: caller.call(b"unanswered"),
        "unmet": lambda: unmet.call(b"unsent"),
    }
    woken: list[str] = []

    async def wait(name: str) -> None:
        try:
            await waits[name]()
        except trio.ClosedResourceError:
            woken.append(name)

    for _ in range(2):  # the second time, all are closed before they wait
        async with trio.open_nursery() as nursery:
            for name in waits:
                nursery.start_soon(wait, name)
            await trio.testing.wait_all_tasks_blocked()
            for end in (caller, unmet, subscriber, responder, publisher, silent):
                end.close()
                end.close()
    expect(sorted(woken) == sorted([*waits, *waits]), f"woken: {woken}")
    expect_error(trio.ClosedResourceError, lambda: publisher.publish(b"closed"))


async def check_a_wrong_address_is_refused(bus: Bus) -> None:
    """An address in use raises ``AddressInUse``; an invalid one raises ``BadAddress``."""
    with closing(bus.subscribe(ANYWHERE)) as subscriber:
        for listen in (bus.subscribe, bus.respond):
            expect_error(AddressInUse, functools.partial(listen, subscriber.address))
    for bad in ("", "127.0.0.1:7101", "tcp://127.0.0.1", "tcp://127.0.0.1:70000", "http://a:1"):
        for make in (bus.subscribe, bus.respond, bus.caller, bus.publisher):
            expect_error(BadAddress, functools.partial(make, bad))
    for make in (bus.caller, bus.publisher):
        expect_error(BadAddress, functools.partial(make, ANYWHERE))


CHECKS: tuple[Check, ...] = tuple(
    bounded(check)
    for check in (
        *CALL_CHECKS,
        *MESSAGE_CHECKS,
        check_several_publishers_and_callers_do_not_mix,
        check_messages_up_to_the_limit_pass_and_longer_ones_do_not,
        check_a_probe_tells_whether_a_process_listens,
        check_a_probe_does_not_disturb_a_responder,
        check_closing_wakes_the_tasks_that_wait,
        check_a_wrong_address_is_refused,
    )
)
