"""The end of a local cluster: both tiers drain within one grace, or are cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from signal import SIGHUP

import trio

from lastcall.exception_groups import lone_error
from lastcall.local.cluster import LocalCluster


async def count_signals(signals: AsyncIterator[int], stop: trio.Event, cut: trio.Event) -> None:
    """Sets ``stop`` at the first signal, or ``cut`` if something else has set it; and then ``cut``.
    SIGHUP says that nobody looks on any more, and never cuts. Runs until cancelled.
    """
    async for number in signals:
        (cut if stop.is_set() and number != SIGHUP else stop).set()


async def drain(cluster: LocalCluster, cut: trio.Event, show: Callable[[str], None]) -> None:
    """Drains both tiers within one grace; at its end, the remaining clients are moved. From ``cut``
    on, what still runs is cut.
    """
    grace_at = trio.current_time() + cluster.plan.drain.grace_seconds
    show(
        "All nodes drain: first the game nodes, while their players stay connected; then the api "
        "nodes."
    )
    cluster.stop("game")
    if not await run_unless(cut, partial(cluster.wait_ended, "game")):
        show("Second request: what still runs is cut.")
        cluster.cut("game")
        await cluster.wait_ended("game")
    cluster.stop("api")
    with trio.move_on_at(grace_at):
        if await run_unless(cut, partial(cluster.wait_ended, "api")):
            return
    cluster.cut("api")
    await cluster.wait_ended("api")


async def run_unless(event: trio.Event, work: Callable[[], Awaitable[object]]) -> bool:
    """Runs ``work`` until ``event`` is set; returns whether it ran to its end."""
    ended = False
    with lone_error():
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(cancel)
            await work()
            ended = True
            nursery.cancel_scope.cancel()
    return ended
