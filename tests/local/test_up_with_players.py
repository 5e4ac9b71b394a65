"""What players are told when ``lastcall up`` is stopped, with real nodes."""

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
LIMIT_SECONDS = 30


class Played:
    """One ``up`` with one player, and ``stops`` requests to stop once they have joined."""

    def __init__(self, stops, **join):
        self.shown = StringIO()
        self._stops = stops
        self._join = join
        self.code = None
        self.ended = None

    async def to_its_end(self):
        up = Up(PLAN, bots=0, seconds=None, console=Console(file=self.shown, width=200))
        stops, requests = trio.open_memory_channel(9)
        with trio.fail_after(LIMIT_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._player, stops)
                self.code = await up.run(requests)

    async def _player(self, stops):
        while "Ctrl-C drains" not in self.shown.getvalue():
            await trio.sleep(0.01)
        url = self.shown.getvalue().partition("Clients connect to ")[2].partition(";")[0]
        async with connect(url, **self._join) as place:
            for _ in range(self._stops):
                await stops.send(2)
                await trio.sleep(0.5)
            async for _ in place:
                pass
            self.ended = place.ended


async def test_a_room_plays_to_its_end_and_its_player_gets_the_result():
    played = Played(1, kind="countdown", options={"seconds": 3})
    await played.to_its_end()
    assert (played.ended.reason, played.ended.result) == ("finished", {"left": 0})
    assert played.code == ExitCode.DRAINED


async def test_a_second_request_cuts_the_room_and_its_player_is_told():
    played = Played(2, kind="lounge")
    await played.to_its_end()
    assert played.ended.reason == "cut"
    assert played.code == ExitCode.CUT
