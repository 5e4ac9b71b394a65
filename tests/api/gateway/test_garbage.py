"""A connection that has ended leaves nothing that only a full collection would find.

A node collects its oldest generation only once in hours: its objects are many and long-lived. So a
cycle of 1 KiB for each connection is a leak of 3.5 MB a minute at 60 connections a second.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.api.endings import ENDINGS, Ending
from tests.api.world import open_world
from tests.harness.garbage import left_by

CONNECTIONS = 5


@pytest.mark.usefixtures("path", "log_lines")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_connections_that_have_ended_leave_no_garbage(
    ending: Ending, autojump_clock: MockClock
) -> None:
    async with open_world() as world:

        async def some() -> None:
            for _ in range(CONNECTIONS):
                await ending.run(world)
                await wait_all_tasks_blocked()
            await world.api.node.gateway.wait_empty()
            await trio.sleep(1)
            world.close_peers()

        assert not await left_by(some)
