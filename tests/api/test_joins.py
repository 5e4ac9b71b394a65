"""How many joins one client may ask for."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from rooms.errors import JoinRefused
from tests.harness.cluster import cluster

pytestmark = pytest.mark.usefixtures("schedule")


async def test_one_client_cannot_open_rooms_without_measure(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        refused = 0
        for _ in range(300):
            try:
                place = await client.join(kind="countdown", new=True)
                await place.leave()
            except JoinRefused as refusal:
                refused += refusal.code == "too_many" and refusal.retry
        assert refused >= 150
        assert game.rooms <= 150
        await trio.sleep(1)
        assert (await client.join(kind="lounge")).room
