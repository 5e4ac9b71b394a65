"""A connection that has ended leaves nothing that only a full collection would find.

A node collects its oldest generation only once in hours: its objects are many and long-lived. So a
cycle of 36 objects for each connection is a leak of 0.6 MB a minute at 60 connections a second.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.api.endings import ENDINGS, Ending
from tests.api.world import open_world

CONNECTIONS = 5


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def unreachable() -> Counter[str]:
    """The types of all objects that only the collector finds, with their numbers."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = Counter(type(one).__qualname__ for one in gc.garbage)
    gc.garbage.clear()
    return found


@pytest.mark.usefixtures("no_collections", "path", "log_lines")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_connections_that_have_ended_leave_no_garbage(
    ending: Ending, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        for connections in (1, CONNECTIONS):
            gc.collect()
            for _ in range(connections):
                await ending.run(world)
                await wait_all_tasks_blocked()
            await world.api.node.gateway.wait_empty()
            await trio.sleep(1)
            world.close_peers()
        assert not unreachable()
