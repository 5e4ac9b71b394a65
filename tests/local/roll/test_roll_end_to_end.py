"""A roll of a cluster of real nodes, with bots that check every message."""

from __future__ import annotations

from io import StringIO

import pytest
import trio
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.local.control.messages import AskRoll, RollReport
from lastcall.local.control.paths import find
from lastcall.local.control.socket import open_call
from lastcall.local.plan import Plan
from lastcall.local.up import Up

FREE = HostPort("127.0.0.1", 0)
LIMIT_SECONDS = 30


async def request_roll(output):
    """Requests a roll on the control socket once all nodes are ready; returns its report."""
    while "are ready" not in output.getvalue():
        await trio.sleep(0.05)
    async with open_call(await find(None), AskRoll()) as call:
        while not isinstance(report := await call.next(), RollReport):
            pass
    return report


@pytest.mark.e2e
async def test_no_player_notices_a_roll_of_two_api_nodes_and_two_game_nodes():
    output = StringIO()
    stops, requests = trio.open_memory_channel(1)
    plan = Plan(apis=2, games=2, client=FREE, admin=FREE, version="1.0")
    up = Up(plan, bots=20, seconds=None, console=Console(file=output, width=200))
    codes = []

    async def run():
        codes.append(await up.run(requests))

    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            report = await request_roll(output)
            await stops.send(2)
    players = report.players
    assert report.failure is None
    assert (players.refused, players.cut, players.lost, players.repeated) == (0, 0, 0, 0), output
    assert players.hops_max == 1
    assert players.joins >= 20
    assert [node.name for node in report.nodes] == ["game-1", "game-2", "api-1", "api-2"]
    assert all(node.clean for node in report.nodes)
    assert report.started == ("game-3", "game-4", "api-3", "api-4")
    assert (report.exit_code, codes) == (0, [0])
