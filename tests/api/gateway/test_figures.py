"""The figures of an api node, as a scrape of its metrics reads them."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.api.world import open_world, say, until


async def test_messages_that_wait_beyond_a_clients_share_are_measured_until_it_reads(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        peer, _ = await world.seated(buffer_bytes=4096)
        await say(peer, {"t": "say", "n": 1, "d": "flood"})  # 20 messages of 60 kB
        await trio.sleep(1)
        assert 500_000 < world.api.node.figures().unsent_excess_bytes < 1_200_000
        for _ in range(20):
            await until(peer, "msg")
        await trio.sleep(1)
        assert world.api.node.figures().unsent_excess_bytes == 0
