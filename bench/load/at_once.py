"""Opening many clients, a bounded number of them at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import trio

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Runs ``work`` for every item, at most ``at_once`` at a time.

    The first error cancels the others and is raised in an exception group.
    """
    limiter = trio.CapacityLimiter(at_once)

    async def limited(item: T) -> None:
        async with limiter:
            await work(item)

    async with trio.open_nursery() as nursery:
        for item in items:
            nursery.start_soon(limited, item)
