"""A roll of a cluster of real nodes, with bots that check every message."""

from __future__ import annotations

import re
from io import StringIO

import httpx
import pytest
import trio
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.client import connect
from lastcall.local.control.messages import AskRoll, RollReport
from lastcall.local.control.paths import find
from lastcall.local.control.socket import open_call
from lastcall.local.plan import Plan
from lastcall.local.up import Up
from lastcall.policy import DrainPolicy

FREE = HostPort("127.0.0.1", 0)
LIMIT_SECONDS = 55


async def printed_page(output):
    """Fetches the page from the printed address, once all nodes are ready."""
    while "Ctrl-C drains" not in output.getvalue():
        await trio.sleep(0.05)
    (address,) = re.findall(r"http://\S+", output.getvalue())
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(address)
    return answer.status_code, answer.headers["content-type"], answer.text


async def request_roll(tier="all"):
    """Requests a roll on the control socket; returns its report."""
    async with open_call(find(None), AskRoll(tier)) as call:
        while not isinstance(report := await call.next(), RollReport):
            pass
    return report


@pytest.mark.e2e
async def test_no_player_notices_a_roll_of_two_api_nodes_and_two_game_nodes():
    output = StringIO()
    stops, requests = trio.open_memory_channel(1)
    drain = DrainPolicy(grace_seconds=9, farewell_seconds=4)
    plan = Plan(apis=2, games=2, client=FREE, admin=FREE, version="1.0", drain=drain)
    up = Up(plan, bots=20, talkers=5, seconds=None, console=Console(file=output, width=200))
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
    assert "Lastcall" in page[2]
    players = report.players
    assert report.failure is None
    assert (players.refused, players.cut, players.lost, players.repeated) == (0, 0, 0, 0), output
    assert players.hops_max == 1
    assert players.joins >= 20
    assert [node.name for node in report.nodes] == ["game-1", "game-2", "api-1", "api-2"]
    assert all(node.clean for node in report.nodes)
    assert report.started == ("game-3", "game-4", "api-3", "api-4")
    handed_off = sum(node.finished.rooms_handed_off for node in report.nodes)
    assert handed_off >= 1, "the lounges have no end of their own"
    assert "handed off: the players went on at another game node." in output.getvalue()
    assert (report.exit_code, codes) == (0, [0])


ROOMS = """
import msgspec
from lastcall import Room, Said, room

class Talk(msgspec.Struct):
    count: int = 0

@room("den", seats=8, state=Talk)
async def den(table: Room[Talk]) -> None:
    async for event in table:
        if isinstance(event, Said):
            table.state.count += 1
            table.broadcast(table.state.count)
"""


@pytest.mark.e2e
async def test_a_roll_to_code_that_cannot_read_the_state_cuts_the_room_and_reports_why(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    module = tmp_path / "dens.py"
    module.write_text(ROOMS)
    output = StringIO()
    stops, requests = trio.open_memory_channel(1)
    drain = DrainPolicy(grace_seconds=6, farewell_seconds=4)
    plan = Plan(apis=1, games=1, client=FREE, admin=FREE, rooms="dens", drain=drain)
    up = Up(plan, bots=0, seconds=None, console=Console(file=output, width=200))
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(up.run, requests)
            await printed_page(output)
            url = output.getvalue().partition("Clients connect to ")[2].partition(";")[0]
            async with connect(url, kind="den") as place:
                await place.say("?")
                assert (await anext(place)).data == 1
                module.write_text(ROOMS.replace("count: int = 0", "count: list[int] = []"))
                report = await request_roll("game")
                assert [message async for message in place] == []
            await stops.send(2)
    (node,) = report.nodes
    assert place.ended.reason == "cut"
    assert (node.exit_code, node.finished.rooms_handed_off, node.finished.rooms_cut) == (3, 0, 1)
    assert [refusal.kind for refusal in node.refusals] == ["den"]
    assert "the state does not fit" in node.refusals[0].reason
    assert "hand-offs that were refused:\n    game-1: den: " in output.getvalue()
    assert report.exit_code == 3
