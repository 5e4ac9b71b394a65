"""A roll of a cluster of real nodes, with bots that check every message."""

from __future__ import annotations

import re
from io import StringIO

import httpx
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


async def printed_page(output):
    """Fetches the demo page from the printed address, once all nodes are ready."""
    while "Ctrl-C drains" not in output.getvalue():
        await trio.sleep(0.05)
    (address,) = re.findall(r"http://\S+", output.getvalue())
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(address)
    return answer.status_code, answer.headers["content-type"], answer.text


async def request_roll():
    """Requests a roll on the control socket; returns its report."""
    async with open_call(find(None), AskRoll()) as call:
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
            page = await printed_page(output)
            report = await request_roll()
            assert await printed_page(output) == page, "no node that served it is left"
            await stops.send(2)
    assert page[:2] == (200, "text/html; charset=utf-8")
    assert "A lounge" in page[2]
    players = report.players
    assert report.failure is None
    assert (players.refused, players.cut, players.lost, players.repeated) == (0, 0, 0, 0), output
    assert players.hops_max == 1
    assert players.joins >= 20
    assert [node.name for node in report.nodes] == ["game-1", "game-2", "api-1", "api-2"]
    assert all(node.clean for node in report.nodes)
    assert report.started == ("game-3", "game-4", "api-3", "api-4")
    assert (report.exit_code, codes) == (0, [0])
