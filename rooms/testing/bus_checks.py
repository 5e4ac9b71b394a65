"""The helpers of the bus suite's checks."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, closing
from itertools import pairwise

import trio

from lastcall.bus.base import RECEIVE_AT_ONCE, Bus, Publisher, Responder, Subscriber

__all__ = [
    "ANYWHERE",
    "MEETING",
    "PATIENCE_SECONDS",
    "POLL_SECONDS",
    "Check",
    "bounded",
    "collect",
    "echo",
    "expect",
    "expect_error",
    "free_address",
    "meet",
    "rises",
    "serving",
]

Check = Callable[[Bus], Awaitable[None]]

ANYWHERE = "tcp://127.0.0.1:0"
PATIENCE_SECONDS = 20.0
"""How long a check may take. It is generous, since only a failing check waits for it."""
POLL_SECONDS = 0.01
MEETING = b"meeting"
"""The message that :func:`meet` publishes and :func:`collect` leaves out."""


def bounded(check: Check) -> Check:
    """Ends ``check`` by :class:`trio.TooSlowError` after :data:`PATIENCE_SECONDS`."""

    @functools.wraps(check)
    async def run(bus: Bus) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            await check(bus)

    return run


def expect(holds: bool, otherwise: str) -> None:
    """Asserts ``holds``, also under ``python -O`` and outside pytest."""
    if not holds:
        raise AssertionError(otherwise)


def expect_error(error: type[Exception], act: Callable[[], object]) -> None:
    """Asserts that ``act()`` raises ``error``."""
    try:
        act()
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")


def echo(request: bytes) -> bytes:
    """An answer that contains its request."""
    return b"re: " + request


@asynccontextmanager
async def serving(responder: Responder, answer: Callable[[bytes], bytes]) -> AsyncIterator[None]:
    """Answers requests for as long as the block runs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(responder.serve, answer)
        yield
        nursery.cancel_scope.cancel()


async def meet(publisher: Publisher, subscriber: Subscriber) -> None:
    """Publishes until the two are connected; later messages arrive."""
    while True:
        publisher.publish(MEETING)
        with trio.move_on_after(POLL_SECONDS):
            await subscriber.receive()
            return


async def collect(subscriber: Subscriber, last: bytes) -> list[bytes]:
    """Receives up to ``last``; leaves out the messages of :func:`meet`."""
    found: list[bytes] = []
    while not found or found[-1] != last:
        messages = await subscriber.receive()
        expect(0 < len(messages) <= RECEIVE_AT_ONCE, f"received {len(messages)} at once")
        found += [message for message in messages if message != MEETING]
    return found


def rises(messages: Iterable[bytes]) -> bool:
    """Whether numbered messages are in order, without repeats."""
    numbers = [int(message) for message in messages]
    return all(before < after for before, after in pairwise(numbers))


def free_address(bus: Bus) -> str:
    """An address that was just released, where no process listens."""
    with closing(bus.respond(ANYWHERE)) as responder:
        return responder.address
