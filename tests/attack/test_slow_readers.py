"""Clients that do not read: when they read at last, their last frame says why they are closed."""

from __future__ import annotations

import pytest
import trio

from lastcall.limits import Limits, Rate
from lastcall.policy import SocketPolicy
from tests.api.paths import CLOSE
from tests.api.world import open_world, say

FEW = SocketPolicy(backlog_bytes=256 * 1024, limits=Limits(inputs=Rate(300, 2_000)))


@pytest.mark.parametrize("pump", ["on", "off"])
@pytest.mark.parametrize("later_seconds", [0.0, 4.0, 20.0])
@pytest.mark.parametrize("buffer_bytes", [4096, 0])
async def test_a_reader_that_stopped_reads_4100_at_last(
    autojump_clock,
    monkeypatch: pytest.MonkeyPatch,
    pump: str,
    later_seconds: float,
    buffer_bytes: int,
) -> None:
    monkeypatch.setenv("LASTCALL_PUMP", pump)
    async with open_world(FEW) as world:
        peer, _ = await world.seated(buffer_bytes=buffer_bytes)
        for n in range(1, 11):
            await say(peer, {"t": "say", "n": n, "d": "flood"})
        while world.api.clients:
            await trio.sleep(1)
        await trio.sleep(later_seconds)
        assert (await peer.rest())[-1] == (CLOSE, 4100)
