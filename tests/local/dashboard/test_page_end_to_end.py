"""The page of ``lastcall up`` with real nodes: it says what they say, and does what it says."""

from __future__ import annotations

from io import StringIO

import httpx
import pytest
import trio
from rich.console import Console

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.local.plan import Plan
from lastcall.local.up import Up
from lastcall.policy import DrainPolicy
from tests.harness.event_source import event_source

pytestmark = pytest.mark.e2e

FREE = HostPort("127.0.0.1", 0)
LIMIT_SECONDS = 90
TALKERS = 4
COMMAND = {"X-Lastcall": "1"}


async def printed_page(output):
    """The address of the page, once all nodes are ready."""
    while "Ctrl-C drains" not in output.getvalue():
        await trio.sleep(0.05)
    first, *_ = output.getvalue().splitlines()
    return first.removeprefix("See and play: ")


async def next_state(source, condition):
    """The next event ``cluster`` for which the condition holds."""
    while True:
        state = (await source.next("cluster")).data
        if condition({node["name"]: node for node in state["nodes"]}, state):
            return state


async def statuses(http, state):
    """Rooms and clients of each node, as it says itself."""
    found = {}
    for node in state["nodes"]:
        now = (await http.get(f"http://{node['admin']}/status")).json()
        found[now["name"]] = (now["rooms"], now["clients"])
    return found


async def look_on(http, url):
    async with event_source(parse_host_port(url.removeprefix("http://").rstrip("/"))) as source:
        state = (await source.next("cluster")).data
        assert [node["phase"] for node in state["nodes"]] == ["serving"] * 3
        while True:  # a talker may just have joined
            figures = (await source.next("figures")).data
            shown = {name: (of["rooms"], of["clients"]) for name, of in figures["nodes"].items()}
            if shown == await statuses(http, state) and shown["game-1"][1] == TALKERS:
                break
        assert sum(clients for name, (_, clients) in shown.items() if "api" in name) == TALKERS
        assert figures["players"]["lost"] == 0
        kinds = (await http.get("/cluster/kinds")).json()
        assert "lounge" in {kind["name"] for kind in kinds}
        # Killed, one of two api nodes is dead, and its players go on through the other one.
        assert (await post(http, "kill", node="api-1")).text == "{}"
        await next_state(source, lambda nodes, _: nodes["api-1"]["dead"] == "killed by SIGKILL")
        # Rolled, the game node has a successor with a version of its own, and is gone.
        assert (await post(http, "roll", tier="game")).text == "{}"
        await next_state(source, lambda _nodes, state: state["roll"] is not None)
        rolled = await next_state(
            source, lambda nodes, state: state["roll"] is None and "game-2" in nodes
        )
        names = {node["name"]: node["generation"] for node in rolled["nodes"]}
        assert names == {"api-1": 0, "api-2": 0, "game-2": 1}
        while True:
            figures = (await source.next("figures")).data
            if figures["nodes"].get("game-2", {"clients": 0})["clients"] == TALKERS:
                break
        players = figures["players"]
        assert (players["refused"], players["cut"], players["lost"], players["repeated"]) == (
            (0, 0, 0, 0)
        )
        assert 0 < players["round_trip_p50"] <= players["round_trip_p99"]


async def post(http, verb, **body):
    return await http.post(f"/cluster/{verb}", json=body, headers=COMMAND)


async def test_the_page_of_up_shows_what_the_nodes_say_and_kills_and_rolls_them():
    output = StringIO()
    stops, requests = trio.open_memory_channel(1)
    drain = DrainPolicy(grace_seconds=9, farewell_seconds=4)
    plan = Plan(apis=2, games=1, client=FREE, admin=FREE, version="1.0", drain=drain)
    console = Console(file=output, width=200)
    up = Up(plan, bots=0, talkers=TALKERS, seconds=None, console=console)
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(up.run, requests)
            url = await printed_page(output)
            async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                await look_on(http, url)
            await stops.send(2)
