"""Rooms outlive real game nodes: killed, stopped, and parted from others.

The kills of ``SURVIVAL_KILLS`` come one after the other under ``SURVIVAL_PLAYERS`` players::

    SURVIVAL_PLAYERS=100 SURVIVAL_KILLS=15 python -m pytest -s tests/e2e/test_survival.py -k killed
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import pytest
import trio

from tests.e2e.choir import open_choir
from tests.e2e.network import Host, Network, open_network
from tests.e2e.nodes import ANY_URL, POLL_SECONDS, Node, Nodes

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("SURVIVAL_KILLS", "2"))
PLAYERS = int(os.environ.get("SURVIVAL_PLAYERS", "20"))
SEATS = 4
ROOMS = "tests.e2e.surviving_rooms"
STOP_SECONDS = 5.0
PROTECTED_WITHIN = 20.0


async def figures(node: Node) -> Counter[str]:
    """The metrics of a node about surviving rooms."""
    lines = (await node.get("/metrics")).body.splitlines()
    found = Counter[str]()
    for name in ("rooms_protected", "rooms_unprotected", "promotions_total"):
        found[name] = sum(
            int(float(line.split()[1])) for line in lines if line.startswith(f"lastcall_{name} ")
        )
    return found


async def wait_protected(rooms: int, games: Sequence[Node]) -> None:
    """Waits until all rooms have standbys."""
    with trio.fail_after(PROTECTED_WITHIN):
        while True:
            total = sum([await figures(game) for game in games], Counter())
            if (total["rooms_protected"], total["rooms_unprotected"]) == (rooms, 0):
                return
            await trio.sleep(POLL_SECONDS)


async def home_of(games: Sequence[Node]) -> tuple[Node, list[Node]]:
    """The node with most of the rooms, and the others."""
    rooms = {game: (await game.status())["rooms"] for game in games}
    home = max(games, key=lambda game: rooms[game])
    return home, [game for game in games if game is not home]


def start_game(nodes: Nodes, *options: str, **more: Any) -> Node:
    return nodes.game("--games", f"file://{nodes.folder}/games", *options, rooms=ROOMS, **more)


async def start_cluster(nodes: Nodes, games: int, apis: int = 1) -> tuple[list[Node], list[str]]:
    """Starts game nodes that know each other, and api nodes; returns the games and the urls."""
    nodes.games_file()
    started = [start_game(nodes, "--feed", ANY_URL) for _ in range(games)]
    for game in started:
        await game.wait_started()
    listed = nodes.games_file(*started)
    doors = [nodes.api(listed) for _ in range(apis)]
    for door in doors:
        await door.wait_ready()
    return started, [f"ws://{door.listen}" for door in doors]


async def test_nodes_are_killed_again_and_again_and_no_player_notices_more_than_a_silence(
    nodes: Nodes,
) -> None:
    games, urls = await start_cluster(nodes, games=3, apis=2)
    async with open_choir(urls, PLAYERS // SEATS, SEATS) as choir, choir.singing():
        for number in range(1, KILLS + 1):
            new = start_game(nodes, "--feed", ANY_URL)
            await new.wait_started()
            await wait_protected(PLAYERS // SEATS, games)
            killed, rest = await home_of(games)
            rooms = (await killed.status())["rooms"]
            began = trio.current_time()
            killed.signal(SIGKILL)
            await choir.all_hear(10)
            print(f"kill {number}, of {rooms} rooms: {choir.silences(began)}")  # noqa: T201
            games = [*rest, new]
            nodes.games_file(*games)
        await wait_protected(PLAYERS // SEATS, games)
    assert choir.resumes == 0, "all have kept their sockets"


async def test_a_node_that_is_stopped_for_a_while_finds_its_room_elsewhere_and_says_nothing(
    nodes: Nodes,
) -> None:
    games, urls = await start_cluster(nodes, games=2)
    async with open_choir(urls, 1, SEATS) as choir, choir.singing():
        await wait_protected(1, games)
        stopped, [other] = await home_of(games)
        began = trio.current_time()
        stopped.signal(SIGSTOP)
        await choir.all_hear(STOP_SECONDS)
        print(f"stopped: {choir.silences(began)}")  # noqa: T201
        await trio.sleep_until(began + STOP_SECONDS)
        stopped.signal(SIGCONT)
        await stopped.wait_for_status(5, rooms=0)
        await wait_protected(1, games)
        await choir.all_hear(5)
    assert (await figures(other))["promotions_total"] == 1
    assert [event["event"] for event in stopped.warnings] == ["survival.fenced"]
    assert choir.resumes == 0, "all have kept their sockets"


@pytest.fixture
def network() -> Iterator[Network]:
    with open_network() as network:
        yield network


async def start_spread_cluster(
    nodes: Nodes, network: Network
) -> tuple[list[Node], dict[str, Host]]:
    """Two game nodes and two api nodes, each on a host of its own; and the hosts by name."""
    nodes.games_file()
    hosts = {name: network.add_host() for name in ("game-1", "game-2", "api-1", "api-2")}

    def at(name: str, scheme: str = "tcp://") -> tuple[str, ...]:
        address = hosts[name].address
        return (
            "--listen",
            f"{scheme}{address}:0",
            "--admin",
            f"{address}:0",
            "--feed",
            f"tcp://{address}:0",
        )

    def where(name: str) -> dict[str, Any]:
        return {"name": name, "prefix": hosts[name].prefix}

    games = [start_game(nodes, *at(name), **where(name)) for name in ("game-1", "game-2")]
    for game in games:
        await game.wait_started()
    listed = nodes.games_file(*games)
    doors = [nodes.api(listed, *at(name, ""), **where(name)) for name in ("api-1", "api-2")]
    for door in doors:
        await door.wait_ready()
    return [*games, *doors], hosts


async def test_whatever_a_partition_parts_all_players_hear_one_history_and_play_on_when_it_heals(
    nodes: Nodes, network: Network
) -> None:
    """First the game nodes are parted, then also an api node from the room's."""
    [*games, near, far], hosts = await start_spread_cluster(nodes, network)
    urls = [f"ws://{door.listen}" for door in (near, far)]
    async with open_choir(urls, 1, SEATS) as choir, choir.singing():
        for also_parted in ([], [near]):
            await wait_protected(1, games)
            home, [standby] = await home_of(games)
            began = trio.current_time()
            for other in (standby, *also_parted):
                network.part(hosts[home.name], hosts[other.name])
            if also_parted:
                await choir.any_hears(25)
                await trio.sleep_until(began + STOP_SECONDS)
            else:
                await choir.all_hear(10)
            print(f"parted: {choir.silences(began)}")  # noqa: T201
            network.heal()
            await choir.all_hear(15)
            print(f"healed: {choir.silences(began)}")  # noqa: T201
        await wait_protected(1, games)
    assert sorted([(await game.status())["rooms"] for game in games]) == [0, 1]
