"""Players in a cluster of real nodes while ``lastcall up`` is stopped."""

from __future__ import annotations

from io import StringIO

import pytest
import trio
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.client import connect
from lastcall.local.plan import Plan
from lastcall.local.up import Up
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

pytestmark = pytest.mark.e2e

FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(apis=2, games=1, client=FREE, admin=FREE, drain=DrainPolicy(farewell_seconds=1))
TIMEOUT_SECONDS = 30


class UpWithPlayer:
    """One ``up`` with one player; ``stops`` requests to stop follow the player's join."""

    def __init__(self, stops, **join):
        self.output = StringIO()
        self._stops = stops
        self._join = join
        self.code = None
        self.ended = None

    async def run(self):
        up = Up(PLAN, bots=0, seconds=None, console=Console(file=self.output, width=200))
        stops, requests = trio.open_memory_channel(9)
        with trio.fail_after(TIMEOUT_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._play, stops)
                self.code = await up.run(requests)

    async def _play(self, stops):
        await self._wait_for_output("Ctrl-C drains")
        url = self.output.getvalue().partition("Clients connect to ")[2].partition(";")[0]
        async with connect(url, **self._join) as place:
            for _ in range(self._stops):
                await stops.send(2)
                await self._wait_for_output("All nodes drain")
            async for _ in place:
                pass
            self.ended = place.ended

    async def _wait_for_output(self, text):
        while text not in self.output.getvalue():
            await trio.sleep(0.01)


async def test_a_room_finishes_after_a_request_to_stop_and_its_player_gets_the_result():
    up = UpWithPlayer(1, kind="countdown", options={"seconds": 3})
    await up.run()
    assert (up.ended.reason, up.ended.result) == ("finished", {"left": 0})
    assert up.code == ExitCode.DRAINED


async def test_a_second_request_to_stop_cuts_the_room_and_its_player_is_told():
    up = UpWithPlayer(2, kind="lounge")
    await up.run()
    assert up.ended.reason == "cut"
    assert up.code == ExitCode.CUT
