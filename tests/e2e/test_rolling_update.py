"""Rolling updates behind HAProxy and under load: no player notices.

HAProxy runs ``deploy/proxies/haproxy.cfg``. ``test_stop.py`` tests signals during a start, a second
signal, and SIGINT.
"""

from __future__ import annotations

import http.client
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from tests.e2e.balancer import HAPROXY, HOSTS, HTTP, TCP, Balancer, ServerSlot
from tests.e2e.clients import Client, Clients
from tests.e2e.crowd import UNNOTICED
from tests.e2e.nodes import Node, Nodes, Process

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed: apt-get install haproxy"),
]

BOTS = 100
VISITORS_PER_SECOND = 30
READYZ_SECONDS = 0.1
GRACE_OPTIONS = ("--grace", "40")
"""A grace longer than a roll, so that old nodes can finish their matches."""

log = logging.getLogger(__name__)
"""Logs the figures of each run; ``pytest --log-cli-level=info`` shows them."""


@pytest.fixture
def balancer(nodes: Nodes) -> Iterator[Balancer]:
    balancer = Balancer(nodes)
    yield balancer
    balancer.close()


class Roll:
    """Starts two nodes of each tier, then replaces them."""

    def __init__(self, nodes: Nodes, balancer: Balancer, *api_options: str) -> None:
        self._nodes = nodes
        self._balancer = balancer
        self._api_options = api_options
        self._games: list[Node] = []
        self._apis: dict[ServerSlot, Node] = {}
        self.old, self.new = balancer.slots[:2], balancer.slots[2:]
        self.stopped: list[Node] = []
        self.seconds_to_503: dict[str, float] = {}

    async def start(self) -> None:
        """Starts the old nodes; returns when the balancer has checked all slots."""
        async with trio.open_nursery() as nursery:
            for host in HOSTS:
                nursery.start_soon(self._add_game, host, "old")
        async with trio.open_nursery() as nursery:
            for slot in self.old:
                nursery.start_soon(self._add_api, slot, "old")
            for slot in self.new:
                nursery.start_soon(self._balancer.wait_down, slot)

    async def replace_games(self) -> None:
        """Replaces one game node after the other, without waiting for the end of an old one."""
        for old in self._games[:2]:
            await self._add_game(old.admin.partition(":")[0], "new")
            await self._stop(old)

    async def replace_apis(self, proxy: str) -> None:
        """Replaces the api nodes in the same way, but lets each new one get visitors first.

        Otherwise the balancer would send all visitors to the new node, since it has the fewest
        connections, and the test would not show that the draining one still serves.
        """
        for old, new in zip(self.old, self.new, strict=True):
            await self._add_api(new, "new")
            await self._balancer.wait_sessions(proxy, new, VISITORS_PER_SECOND)
            await self._stop(self._apis[old])

    @property
    def all_nodes(self) -> list[Node]:
        return [*self._games, *self._apis.values()]

    async def wait_stopped(self) -> dict[str, dict[str, Any]]:
        """Waits until all stopped nodes have exited with 0; returns their last event by name."""
        for node in self.stopped:
            assert await node.exit_code(within=20) == 0, node.name
        return {node.name: node.events[-1] for node in self.stopped}

    async def _add_game(self, host: str, version: str) -> None:
        addresses = ("--listen", f"tcp://{host}:0", "--admin", f"{host}:0")
        node = self._nodes.game(*addresses, "--version", version, *GRACE_OPTIONS)
        await node.wait_ready()
        self._games.append(node)
        self._nodes.games_file(*self._games)  # api nodes read it every 0.2 s

    async def _add_api(self, slot: ServerSlot, version: str) -> None:
        addresses = ("--listen", slot.listen, "--admin", slot.admin)
        feed = ("--feed", f"tcp://{slot.host}:0")
        options = (*addresses, *feed, "--version", version, *GRACE_OPTIONS, *self._api_options)
        node = self._nodes.api(self._nodes.games_file(*self._games), *options, name=slot.name)
        await node.wait_ready()
        await self._balancer.wait_up(slot)
        self._apis[slot] = node

    async def _stop(self, node: Node) -> None:
        self.seconds_to_503[node.name] = await trio.to_thread.run_sync(stop_and_watch, node)
        self.stopped.append(node)


def stop_and_watch(node: Node) -> float:
    """Sends SIGTERM; returns the seconds until ``/readyz`` answers 503 on an open connection."""
    connection = http.client.HTTPConnection(node.admin, timeout=5)

    def readyz() -> tuple[int, str]:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode()

    assert readyz() == (200, "ok")
    signalled_at = time.monotonic()
    node.signal()
    while (response := readyz()) == (200, "ok"):
        pass
    seconds = time.monotonic() - signalled_at
    connection.close()
    assert response == (503, "draining")
    return seconds


def start_crowd(nodes: Nodes, kind: str, address: str, count: int) -> Process:
    command = (sys.executable, "-m", "tests.e2e.crowd", kind, address, str(count))
    return nodes.run(kind, *command)


async def report_of(crowd: Process) -> dict[str, Any]:
    """Stops a crowd, and returns its report."""
    crowd.signal()
    assert await crowd.exit_code(within=20) == 0, crowd.stderr_text
    report: dict[str, Any] = json.loads(crowd.stderr_text.splitlines()[-1])
    return report


def game_of(room: str) -> str:
    return room.partition(".")[0]


async def open_room(player: Client, *, excluding: set[str]) -> str:
    """Opens a lounge on a game node that is not in ``excluding``; returns its id."""
    while True:
        room = str((await player.join(kind="lounge", new=True))["room"])
        if game_of(room) not in excluding:
            return room
        await player.send({"t": "leave"})
        await player.hear("ended")


class Lounges:
    """One lounge on each game node, with one player from each api node.

    The lounges keep all four old nodes from ending, so that they drain at the same time.
    """

    def __init__(self, pairs: list[tuple[Client, Client]]) -> None:
        self._pairs = pairs

    @classmethod
    async def open(cls, clients: Clients, address: str) -> Lounges:
        by_api: dict[str, list[Client]] = {}
        while [len(opened) for opened in by_api.values()] != [2, 2]:
            client = await clients.connect(address)
            by_api.setdefault(client.heard[0]["node"], []).append(client)
        pairs = list(zip(*by_api.values(), strict=True))
        games: set[str] = set()
        for ann, bob in pairs:
            room = await open_room(ann, excluding=games)
            games.add(game_of(room))
            await bob.join(room=room)
        return cls(pairs)

    async def talk(self) -> None:
        """Each player says something, and both players of the lounge hear it."""
        for pair in self._pairs:
            for speaker in pair:
                await speaker.say("still here")
                for listener in pair:
                    assert (await listener.hear("msg"))["d"]["said"] == "still here"

    async def close(self) -> None:
        """Each player leaves the room, and is then moved by its node."""
        for pair in self._pairs:
            for player in pair:
                await player.send({"t": "leave"})
                await player.hear("ended")
                await player.hear("move")
                assert await player.close_code() == 1012
                assert player.seqs == list(range(1, len(player.seqs) + 1))


@pytest.mark.timeout(80)
async def test_every_node_of_both_tiers_is_replaced_and_nobody_notices(
    nodes: Nodes, balancer: Balancer, clients: Clients
) -> None:
    roll = Roll(nodes, balancer)
    await roll.start()
    lounges = await Lounges.open(clients, balancer.http)
    bots = start_crowd(nodes, "bots", balancer.http, BOTS)
    visitors = start_crowd(nodes, "visitors", balancer.http, VISITORS_PER_SECOND)
    for slot in roll.old:
        await balancer.wait_sessions(HTTP, slot, BOTS // 2)

    await roll.replace_games()
    await roll.replace_apis(HTTP)
    for slot in roll.new:
        await balancer.wait_sessions(HTTP, slot, BOTS // 2)
    assert [node.running for node in roll.stopped] == [True] * 4, "all four drain at the same time"
    await lounges.talk()
    await lounges.close()
    drained = await roll.wait_stopped()
    visitor_report, bot_report = await report_of(visitors), await report_of(bots)
    log.info("%s", {"to 503": roll.seconds_to_503, "visitors": visitor_report, "bots": bot_report})

    assert_no_visitor_noticed(visitor_report, roll)
    assert {name: bot_report[name] for name in UNNOTICED} == dict.fromkeys(UNNOTICED, 0), bot_report
    assert bot_report["walkovers"] == 0
    assert bot_report["matches"] > BOTS // 2, "most bots have played more than one match"
    assert_nothing_was_cut(drained)
    assert {node.name: node.warnings for node in roll.all_nodes if node.warnings} == {}
    assert min(drained[name]["rooms_finished"] for name in ("game-1", "game-2")) > 0
    assert min(drained[name]["clients_moved"] for name in ("api-1", "api-2")) > 0
    assert max(roll.seconds_to_503.values()) < READYZ_SECONDS, roll.seconds_to_503


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("proxy", "lame_duck"),
    [
        pytest.param(HTTP, "0", id="the balancer retries on another node"),
        pytest.param(TCP, "1.5", id="the lame duck covers a balancer without retries"),
    ],
)
async def test_a_client_that_connects_while_an_api_node_drains_is_served(
    nodes: Nodes, balancer: Balancer, proxy: str, lame_duck: str
) -> None:
    """The clients are visitors, who stay for a second at most.

    So a draining node soon has the fewest connections, and the balancer chooses it until a health
    check fails. (With bots, whose connections last, it would have the most, and get no new client.)
    """
    roll = Roll(nodes, balancer, "--lame-duck", lame_duck)
    await roll.start()
    address = balancer.http if proxy == HTTP else balancer.tcp
    visitors = start_crowd(nodes, "visitors", address, VISITORS_PER_SECOND)
    for slot in roll.old:
        await balancer.wait_sessions(proxy, slot, VISITORS_PER_SECOND // 2)

    await roll.replace_apis(proxy)
    drained = await roll.wait_stopped()
    visitor_report = await report_of(visitors)
    log.info("%s", {"to 503": roll.seconds_to_503, "visitors": visitor_report})

    assert_no_visitor_noticed(visitor_report, roll)
    assert_nothing_was_cut(drained)
    assert max(roll.seconds_to_503.values()) < READYZ_SECONDS, roll.seconds_to_503


def assert_no_visitor_noticed(visitor_report: dict[str, Any], roll: Roll) -> None:
    assert visitor_report["failed"] == []
    assert visitor_report["errors"] == []
    assert visitor_report["opens"].keys() == {slot.name for slot in (*roll.old, *roll.new)}
    assert visitor_report["countdowns"] > 0


def assert_nothing_was_cut(drained: dict[str, dict[str, Any]]) -> None:
    for finished in drained.values():
        assert finished["event"] == "drain.finished"
        assert (finished["rooms_cut"], finished["clients_cut"]) == (0, 0), finished
