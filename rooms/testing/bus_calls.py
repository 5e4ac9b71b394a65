"""The bus suite's checks of requests and replies."""

from __future__ import annotations

from contextlib import closing

import trio
import trio.testing

from lastcall.bus.base import Bus
from lastcall.testing.bus_checks import ANYWHERE, POLL_SECONDS, echo, expect, free_address, serving

__all__ = ["CALL_CHECKS"]

REQUESTS = 2_000
BEGUN = 200


async def check_requests_in_lockstep_are_answered_in_order(bus: Bus) -> None:
    """2 000 requests, one after the other: each once, each with its own reply."""
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return echo(request)

    sent = [b"%d" % number for number in range(REQUESTS)]
    with (
        closing(bus.respond(ANYWHERE)) as responder,
        closing(bus.caller(responder.address)) as caller,
    ):
        async with serving(responder, answer):
            for request in sent:
                expect(await caller.call(request) == echo(request), "the reply of another call")
    expect(seen == sent, "requests were lost, repeated or out of order")


async def check_a_request_that_is_begun_before_its_call_is_sent_once(bus: Bus) -> None:
    """Also if another one is called, or it is begun while no responder is up."""
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return echo(request)

    address = free_address(bus)
    with closing(bus.caller(address)) as caller:
        early, requests = b"early", [b"%d" % number for number in range(BEGUN)]
        caller.begin(early)
        with closing(bus.respond(address)) as responder:
            async with serving(responder, answer):
                expect(await caller.call(early) == echo(early), "the reply of another call")
                for request in requests:
                    caller.begin(request)
                    await trio.lowlevel.checkpoint()
                    expect(await caller.call(request) == echo(request), "another call's reply")
                expect(seen == [early, *requests], f"{BEGUN} requests came as {len(seen) - 1}")
                caller.begin(b"given up")
                expect(await caller.call(b"last") == echo(b"last"), "the reply of a former call")
    expect(seen[-1] == b"last", "a request that was given up came after the next one")


async def check_a_call_waits_for_a_responder_that_is_not_up_yet(bus: Bus) -> None:
    """The request goes out when a responder binds the address."""
    address = free_address(bus)
    with closing(bus.caller(address)) as caller:
        with trio.move_on_after(5 * POLL_SECONDS):
            await caller.call(b"too early")
            expect(holds=False, otherwise="a responder answers at a free address")
        async with trio.open_nursery() as nursery:
            replies: list[bytes] = []

            async def ask() -> None:
                replies.append(await caller.call(b"early"))
                nursery.cancel_scope.cancel()

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            with closing(bus.respond(address)) as responder:
                await responder.serve(echo)
    expect(replies == [b"re: early"], f"the replies are {replies}")


async def check_a_call_is_answered_by_the_next_process_at_the_address(bus: Bus) -> None:
    """A request that a responder left unanswered goes to the next responder at the address."""
    with closing(bus.respond(ANYWHERE)) as first, closing(bus.caller(first.address)) as caller:
        async with serving(first, echo):
            await caller.call(b"hello")
        replies: list[bytes] = []

        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                replies.append(await caller.call(b"anyone"))
                replies.append(await caller.call(b"again"))
                nursery.cancel_scope.cancel()

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            first.close()
            with closing(bus.respond(first.address)) as second:
                await second.serve(lambda request: b"second: " + request)
    expect(replies == [b"second: anyone", b"second: again"], f"the replies are {replies}")


async def check_a_cancelled_call_leaves_the_caller_usable(bus: Bus) -> None:
    """The late reply to an abandoned call is dropped, whether it comes soon or later."""
    with (
        closing(bus.respond(ANYWHERE)) as responder,
        closing(bus.caller(responder.address)) as caller,
    ):
        with trio.move_on_after(POLL_SECONDS):
            await caller.call(b"nobody serves yet")
        scope = trio.CancelScope()

        def answer(request: bytes) -> bytes:
            if request.startswith(b"drop"):
                scope.cancel()
            return echo(request)

        async with serving(responder, answer):
            for number in range(200):
                with trio.CancelScope() as scope:
                    await caller.call(b"drop %d" % number)
                if number % 4 == 0:
                    await trio.sleep(POLL_SECONDS)  # the late reply arrives before the next call
                reply = await caller.call(b"keep %d" % number)
                expect(reply == b"re: keep %d" % number, f"call {number} got {reply!r}")


async def check_a_caller_makes_one_call_at_a_time(bus: Bus) -> None:
    """A second call during the first raises :class:`trio.BusyResourceError`."""
    with closing(bus.caller(free_address(bus))) as caller:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.call, b"first")
            await trio.testing.wait_all_tasks_blocked()
            try:
                await caller.call(b"second")
                expect(holds=False, otherwise="two calls at once")
            except trio.BusyResourceError:
                nursery.cancel_scope.cancel()


async def check_a_caller_learns_that_its_connection_has_broken(bus: Bus) -> None:
    """Not before there was one; and a break that nobody waited for counts later, once."""
    with closing(bus.respond(ANYWHERE)) as first, closing(bus.caller(first.address)) as caller:
        for responder in (first, None):
            with closing(responder or bus.respond(first.address)) as there:
                async with serving(there, echo):
                    await caller.call(b"hello")
                    with trio.move_on_after(5 * POLL_SECONDS):
                        await caller.wait_broken()
                        expect(holds=False, otherwise="the connection stands")
            await caller.wait_broken()
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                try:
                    await caller.wait_broken()
                except trio.ClosedResourceError:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            caller.close()
            await trio.sleep_forever()


CALL_CHECKS = (
    check_requests_in_lockstep_are_answered_in_order,
    check_a_request_that_is_begun_before_its_call_is_sent_once,
    check_a_call_waits_for_a_responder_that_is_not_up_yet,
    check_a_call_is_answered_by_the_next_process_at_the_address,
    check_a_cancelled_call_leaves_the_caller_usable,
    check_a_caller_makes_one_call_at_a_time,
    check_a_caller_learns_that_its_connection_has_broken,
)
