"""Game nodes that are not up yet, come, go, and are killed."""

from __future__ import annotations

import socket
from signal import SIGKILL

import pytest
import trio

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import LASTS, Node, Nodes

pytestmark = pytest.mark.e2e


def free_address() -> str:
    """Where nobody listens, and so that no other process gets the port by asking for any."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{sock.getsockname()[1]}"


async def node_of(client: Client, **request: object) -> str:
    """Joins, and leaves again; returns the name of the game node that had the room."""
    room = str((await client.join(**request))["room"])
    await client.send({"t": "leave"})
    await client.hear("ended")
    return room.partition(".")[0]


async def test_an_api_node_without_game_node_lives_and_becomes_ready_when_it_comes(
    nodes: Nodes, clients: Clients
) -> None:
    where = free_address()
    api = nodes.api(where)
    await api.started()
    assert ((await api.get("/livez")).status, (await api.get("/readyz")).status) == (200, 503)
    ann = await clients.connect(api)
    start = trio.current_time()
    error = await ann.refused(kind="lounge")
    assert (error["code"], error["retry"]) == ("no_game_node", True)
    assert trio.current_time() - start < 1.5, "within 1 s, and what this machine takes"

    game = nodes.game("--listen", where)
    await api.ready()
    assert game.listen == where
    assert (await ann.join(kind="lounge"))["room"].startswith("game-1.")


async def test_a_join_that_waits_gets_the_game_node_that_comes_just_then(
    nodes: Nodes, clients: Clients
) -> None:
    games = nodes.games_file()
    api = nodes.api(games)
    game = nodes.game()
    await api.started()
    await game.started()
    ann = await clients.connect(api)
    await ann.send({"t": "join", "kind": "lounge"})
    nodes.games_file(game)  # read within 0.5 s
    assert (await ann.next())["t"] == "joined"


async def test_a_games_list_that_changes_is_followed_and_no_room_is_lost(
    nodes: Nodes, clients: Clients
) -> None:
    old, new = nodes.game(), nodes.game()
    await old.started()
    await new.started()
    api = nodes.api(nodes.games_file(old))
    await api.ready()
    ann, bob = await clients.connect(api), await clients.connect(api)
    room = (await ann.join(kind="lounge", new=True))["room"]

    nodes.games_file(old, new)
    with trio.fail_after(5):
        while await node_of(bob, kind="lounge", new=True) != "game-2":
            await trio.sleep(0.02)  # a client may join 50 times a second

    await read(nodes, new)  # the old one is taken off the list
    await bob.join(room=room)
    await ann.say("still here?")
    for player in (ann, bob):
        assert (await player.hear("msg"))["d"]["said"] == "still here?"

    await read(nodes, old, new)  # and put back;
    await read(nodes, old, new)  # half a second later it has been met anew, if at all
    await bob.say("back again")
    for player in (ann, bob):
        assert (await player.hear("msg"))["d"]["said"] == "back again"
    assert {frame["t"] for frame in ann.heard} == {"hello", "joined", "msg", "ack"}


async def read(nodes: Nodes, *games: Node) -> None:
    """Writes the list, and returns when the api node has read it: it dials who is new on it."""
    (sign,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with sign:
        nodes.games_file(*games, f"tcp://127.0.0.1:{sign.socket.getsockname()[1]}")
        with trio.fail_after(5):
            async with await sign.accept():
                pass


async def test_players_of_a_killed_game_node_are_told_within_4_s_and_join_elsewhere(
    nodes: Nodes, clients: Clients
) -> None:
    games = [nodes.game(), nodes.game()]
    for game in games:
        await game.started()
    urls = ",".join(game.listen for game in games)
    apis = [nodes.api(urls), nodes.api(urls)]
    for api in apis:
        await api.ready()
    ann, bob = await clients.connect(apis[0]), await clients.connect(apis[1])
    room = (await ann.join(kind="lounge", new=True))["room"]
    await bob.join(room=room)
    killed = next(game for game in games if room.startswith(f"{game.name}."))
    survivor = next(game for game in games if game is not killed)
    eve = await clients.connect(apis[0])
    while not (await eve.join(kind="lounge", new=True))["room"].startswith(f"{survivor.name}."):
        await eve.send({"t": "leave"})
        await eve.hear("ended")

    killed.signal(SIGKILL)
    with trio.fail_after(4):
        for player in (ann, bob):
            ended = await player.hear("ended")
            assert ended == {"t": "ended", "room": room, "reason": "node_lost"}
    for player in (ann, bob):
        assert (await player.join(kind="tictactoe"))["room"].startswith(f"{survivor.name}.")
    for player in (ann, bob):
        assert (await player.hear("msg"))["seq"] == 1, "the match has begun"
    await eve.say("what happened?")
    assert (await eve.hear("msg"))["d"]["said"] == "what happened?"


async def test_a_game_node_killed_and_started_again_at_its_address_is_another(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.one_of_each()
    ann, bob = await clients.connect(api), await clients.connect(api)
    room = (await ann.join(kind="lounge", key="k"))["room"]
    game.signal(SIGKILL)
    await game.exit_code(within=2)
    again = nodes.game("--listen", game.listen, name="game-1")
    with trio.fail_after(4):
        assert (await ann.hear("ended"))["reason"] == "node_lost"
    await again.started()
    await api.ready()
    joined = await ann.join(kind="lounge", key="k")
    assert joined["room"] != room
    await bob.join(room=joined["room"])
    await ann.say("as if nothing had been")
    assert (await bob.hear("msg"))["seq"] == 1
    assert (await (await clients.connect(api)).refused(room=room))["code"] == "no_such_room"


async def test_a_match_goes_on_when_the_api_node_of_one_of_its_players_is_killed(
    nodes: Nodes, clients: Clients
) -> None:
    game = nodes.game(*LASTS)
    await game.started()
    apis = [nodes.api(game.listen), nodes.api(game.listen)]
    for api in apis:
        await api.ready()
    ann, bob = await clients.connect(apis[0]), await clients.connect(apis[1])
    joined = await ann.join(kind="tictactoe")
    me = (await bob.join(room=joined["room"]))["you"]
    apis[0].signal(SIGKILL)
    again = await clients.connect(apis[1])
    await again.send({"t": "resume", "ticket": joined["ticket"], "seen": 0})
    await again.hear("resumed")
    await again.say({"cell": 4})
    await bob.hear("msg")
    assert (await bob.hear("msg"))["d"]["board"] == "----X----"
    await again.send({"t": "leave"})
    assert (await bob.hear("ended"))["result"]["winner"] == me
    await game.has(within=2, rooms=0, clients=0)
