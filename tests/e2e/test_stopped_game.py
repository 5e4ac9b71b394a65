"""A game process stops for longer than a link lasts, and goes on: its players keep their places."""

from __future__ import annotations

from signal import SIGCONT, SIGSTOP

import pytest
import trio
from websockets.exceptions import ConnectionClosed

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import Node, Nodes

pytestmark = pytest.mark.e2e

STOP_SECONDS = 8.5
"""After 6 s without a word the api node gives the link up; a seat is kept for 30 s."""


async def resume_until_answered(clients: Clients, api: Node, ticket: str) -> int:
    """Resumes on new sockets, again after each 1013; returns another close code, or 0."""
    while True:
        client = await clients.connect(api)
        await client.send({"t": "resume", "ticket": ticket, "seen": 0})
        code = await client.close_code(within=25) if not await was_resumed(client) else 0
        client.close()
        if code != 1013:
            return code
        await trio.sleep(0.2)


async def was_resumed(client: Client) -> bool:
    try:
        return (await client.hear("resumed", within=20))["t"] == "resumed"
    except ConnectionClosed:
        return False


@pytest.mark.parametrize("games", [1, 3])
async def test_a_player_who_is_away_while_the_game_node_is_stopped_gets_their_place_back(
    nodes: Nodes, clients: Clients, games: int
) -> None:
    started = [nodes.game() for _ in range(games)]
    for game in started:
        await game.wait_started()
    api = nodes.api(",".join(game.listen for game in started))
    await api.wait_ready()
    ann, bob = await clients.connect(api), await clients.connect(api)
    joined = await ann.join(kind="lounge")
    await bob.join(room=joined["room"])
    home = next(game for game in started if joined["room"].startswith(f"{game.name}."))
    home.signal(SIGSTOP)
    await trio.sleep(STOP_SECONDS / 2)
    ann.close()
    await trio.sleep(STOP_SECONDS / 2)
    home.signal(SIGCONT)
    assert await resume_until_answered(clients, api, joined["ticket"]) == 0
    assert (await home.status())["rooms"] == 1
