"""Rolling updates behind HAProxy, under load, that nobody notices.

HAProxy runs ``deploy/haproxy.cfg``. Signals in the middle of a start, twice in a row, and SIGINT
are in ``test_stop.py``.
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

from tests.e2e.balancer import HAPROXY, HOSTS, HTTP, TCP, Balancer, Place
from tests.e2e.clients import Client, Clients
from tests.e2e.crowd import UNNOTICED
from tests.e2e.nodes import Node, Nodes, Process

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed: apt-get install haproxy"),
]

BOTS = 200
VISITORS_PER_SECOND = 50
READYZ_SECONDS = 0.1
GRACE = ("--grace", "40")
"""More than a roll takes, so that matches from before it can be played after it."""

log = logging.getLogger(__name__)
"""Says each run's figures: ``pytest --log-cli-level=info``."""


@pytest.fixture
def balancer(nodes: Nodes) -> Iterator[Balancer]:
    balancer = Balancer(nodes)
    yield balancer
    balancer.close()


class Roll:
    """Two nodes of each tier; then new ones, and the old ones told to stop."""

    def __init__(self, nodes: Nodes, balancer: Balancer, *api_options: str) -> None:
        self._nodes = nodes
        self._balancer = balancer
        self._api_options = api_options
        self._games: list[Node] = []
        self._apis: dict[Place, Node] = {}
        self.old, self.new = balancer.places[:2], balancer.places[2:]
        self.leaving: list[Node] = []
        self.seconds_to_503: dict[str, float] = {}

    async def begin(self) -> None:
        """Returns when the balancer knows which of its places are taken."""
        async with trio.open_nursery() as nursery:
            for host in HOSTS:
                nursery.start_soon(self._add_game, host, "old")
        async with trio.open_nursery() as nursery:
            for place in self.old:
                nursery.start_soon(self._add_api, place, "old")
            for place in self.new:
                nursery.start_soon(self._balancer.finds_nobody, place)

    async def replace_games(self) -> None:
        """One after another; nobody waits for an old one's end."""
        for old in self._games[:2]:
            await self._add_game(old.admin.partition(":")[0], "new")
            await self._stop(old)

    async def replace_apis(self, backend: str) -> None:
        """The same; a new one has its share of the visitors before an old one leaves.

        Else it were the emptiest, the balancer would choose it, and nobody meet a closed door.
        """
        for old, new in zip(self.old, self.new, strict=True):
            await self._add_api(new, "new")
            await self._balancer.has_sent(backend, new, VISITORS_PER_SECOND)
            await self._stop(self._apis[old])

    @property
    def everybody(self) -> list[Node]:
        return [*self._games, *self._apis.values()]

    async def gone(self) -> dict[str, dict[str, Any]]:
        """Waits until all that were told to stop have ended, with 0; their last words by name."""
        for node in self.leaving:
            assert await node.exit_code(within=20) == 0, node.name
        return {node.name: node.events[-1] for node in self.leaving}

    async def _add_game(self, host: str, version: str) -> None:
        where = ("--listen", f"tcp://{host}:0", "--admin", f"{host}:0")
        node = self._nodes.game(*where, "--version", version, *GRACE)
        await node.ready()
        self._games.append(node)
        self._nodes.games_file(*self._games)  # api nodes look every 0.5 s

    async def _add_api(self, place: Place, version: str) -> None:
        where = ("--listen", place.listen, "--admin", place.admin)
        feed = ("--feed", f"tcp://{place.host}:0")
        options = (*where, *feed, "--version", version, *GRACE, *self._api_options)
        node = self._nodes.api(self._nodes.games_file(*self._games), *options, name=place.name)
        await node.ready()
        await self._balancer.finds_ready(place)
        self._apis[place] = node

    async def _stop(self, node: Node) -> None:
        self.seconds_to_503[node.name] = await trio.to_thread.run_sync(stop_and_watch, node)
        self.leaving.append(node)


def stop_and_watch(node: Node) -> float:
    """SIGTERM; returns after how many seconds ``/readyz`` had said 503, on an open connection."""
    connection = http.client.HTTPConnection(node.admin, timeout=5)

    def readyz() -> tuple[int, str]:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode()

    assert readyz() == (200, "ok")
    told_at = time.monotonic()
    node.signal()
    while (answer := readyz()) == (200, "ok"):
        pass
    seconds = time.monotonic() - told_at
    connection.close()
    assert answer == (503, "draining")
    return seconds


def start_crowd(nodes: Nodes, what: str, where: str, how_many: int) -> Process:
    command = (sys.executable, "-m", "tests.e2e.crowd", what, where, str(how_many))
    return nodes.run(what, *command)


async def report_of(crowd: Process) -> dict[str, Any]:
    """Tells it to end."""
    crowd.signal()
    assert await crowd.exit_code(within=20) == 0, crowd.words
    report: dict[str, Any] = json.loads(crowd.words.splitlines()[-1])
    return report


def game_of(room: str) -> str:
    return room.partition(".")[0]


async def open_room(player: Client, *, but_not_on: set[str]) -> str:
    """A lounge, on a game node that is not among those."""
    while True:
        room = str((await player.join(kind="lounge", new=True))["room"])
        if game_of(room) not in but_not_on:
            return room
        await player.send({"t": "leave"})
        await player.hear("ended")


class Lounges:
    """A lounge on each game node, with a player from each api node, as long as the test likes.

    They hold every old node for the whole of the roll, so that all four drain at the same time.
    """

    def __init__(self, pairs: list[tuple[Client, Client]]) -> None:
        self._pairs = pairs

    @classmethod
    async def open(cls, clients: Clients, where: str) -> Lounges:
        by_api: dict[str, list[Client]] = {}
        while [len(some) for some in by_api.values()] != [2, 2]:
            client = await clients.connect(where)
            by_api.setdefault(client.heard[0]["node"], []).append(client)
        pairs = list(zip(*by_api.values(), strict=True))
        games: set[str] = set()
        for ann, bob in pairs:
            room = await open_room(ann, but_not_on=games)
            games.add(game_of(room))
            await bob.join(room=room)
        return cls(pairs)

    async def talk(self) -> None:
        """Each says something, and both hear it."""
        for pair in self._pairs:
            for speaker in pair:
                await speaker.say("still here")
                for listener in pair:
                    assert (await listener.hear("msg"))["d"]["said"] == "still here"

    async def close(self) -> None:
        """Each leaves its room, and then its node."""
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
    await roll.begin()
    lounges = await Lounges.open(clients, balancer.http)
    bots = start_crowd(nodes, "bots", balancer.http, BOTS)
    visitors = start_crowd(nodes, "visitors", balancer.http, VISITORS_PER_SECOND)
    for place in roll.old:
        await balancer.has_sent(HTTP, place, BOTS // 2)

    await roll.replace_games()
    await roll.replace_apis(HTTP)
    for place in roll.new:
        await balancer.has_sent(HTTP, place, BOTS // 2)
    assert [node.running for node in roll.leaving] == [True] * 4, "they drain at the same time"
    await lounges.talk()
    await lounges.close()
    drained = await roll.gone()
    visited, played = await report_of(visitors), await report_of(bots)
    log.info("%s", {"to 503": roll.seconds_to_503, "visitors": visited, "bots": played})

    assert_no_visitor_noticed(visited, roll)
    assert {name: played[name] for name in UNNOTICED} == dict.fromkeys(UNNOTICED, 0), played
    assert played["walkovers"] == 0
    assert played["matches"] > BOTS // 2, "most bots have played more than once"
    assert_nothing_was_cut(drained)
    assert {node.name: node.troubles for node in roll.everybody if node.troubles} == {}
    assert min(drained[name]["rooms_finished"] for name in ("game-1", "game-2")) > 0
    assert min(drained[name]["clients_moved"] for name in ("api-1", "api-2")) > 0
    assert max(roll.seconds_to_503.values()) < READYZ_SECONDS, roll.seconds_to_503


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("backend", "lame_duck"),
    [
        pytest.param(HTTP, "0", id="by the balancer, which asks another node"),
        pytest.param(TCP, "1.5", id="by the lame duck, since the balancer never asks twice"),
    ],
)
async def test_who_comes_while_an_api_node_leaves_is_saved(
    nodes: Nodes, balancer: Balancer, backend: str, lame_duck: str
) -> None:
    """Nobody but visitors, who stay for a second at most.

    So an old node soon has the fewest sockets, and the balancer goes on choosing it until a check
    has failed. (With the bots' long-lived ones it has the most, and nobody new is sent there.)
    """
    roll = Roll(nodes, balancer, "--lame-duck", lame_duck)
    await roll.begin()
    where = balancer.http if backend == HTTP else balancer.tcp
    visitors = start_crowd(nodes, "visitors", where, VISITORS_PER_SECOND)
    for place in roll.old:
        await balancer.has_sent(backend, place, VISITORS_PER_SECOND // 2)

    await roll.replace_apis(backend)
    drained = await roll.gone()
    visited = await report_of(visitors)
    log.info("%s", {"to 503": roll.seconds_to_503, "visitors": visited})

    assert_no_visitor_noticed(visited, roll)
    assert_nothing_was_cut(drained)
    assert max(roll.seconds_to_503.values()) < READYZ_SECONDS, roll.seconds_to_503


def assert_no_visitor_noticed(visited: dict[str, Any], roll: Roll) -> None:
    assert visited["failed"] == []
    assert visited["troubles"] == []
    assert visited["opens"].keys() == {place.name for place in (*roll.old, *roll.new)}
    assert visited["countdowns"] > 0


def assert_nothing_was_cut(drained: dict[str, dict[str, Any]]) -> None:
    for finished in drained.values():
        assert finished["event"] == "drain.finished"
        assert (finished["rooms_cut"], finished["clients_cut"]) == (0, 0), finished
