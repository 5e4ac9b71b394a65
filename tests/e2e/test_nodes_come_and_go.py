"""Game nodes that start late, appear, disappear, restart, and are killed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from signal import SIGKILL

import pytest
import trio

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import SHORT_GRACE, Node, Nodes

pytestmark = pytest.mark.e2e


@pytest.fixture
def address() -> Iterator[str]:
    """An address that is bound but not listened on, so that the system gives the port to nobody."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{sock.getsockname()[1]}"


async def node_of(client: Client, **request: object) -> str:
    """Joins and leaves; returns the name of the game node that hosted the room."""
    room = str((await client.join(**request))["room"])
    await client.send({"t": "leave"})
    await client.hear("ended")
    return room.partition(".")[0]


async def test_an_api_node_is_live_without_a_game_node_and_ready_once_there_is_one(
    nodes: Nodes, clients: Clients, address: str
) -> None:
    api = nodes.api(address)
    await api.wait_started()
    assert ((await api.get("/livez")).status, (await api.get("/readyz")).status) == (200, 503)
    assert (await api.get("/readyz")).body == "no game node"
    ann = await clients.connect(api)
    start = trio.current_time()
    error = await ann.join_refused(kind="lounge")
    assert (error["code"], error["retry"]) == ("no_game_node", True)
    assert trio.current_time() - start < 1.5, "1 s, plus the time that this machine needs"

    game = nodes.game("--listen", address)
    await api.wait_ready()
    assert game.listen == address
    assert (await ann.join(kind="lounge"))["room"].startswith("game-1.")


async def test_a_waiting_join_gets_the_game_node_that_appears_meanwhile(
    nodes: Nodes, clients: Clients
) -> None:
    games = nodes.games_file()
    api = nodes.api(games)
    game = nodes.game()
    await api.wait_started()
    await game.wait_started()
    ann = await clients.connect(api)
    await ann.send({"t": "join", "kind": "lounge"})
    nodes.games_file(game)  # read within 0.2 s
    assert (await ann.next())["t"] == "joined"


async def test_an_api_node_follows_a_changed_games_list_and_loses_no_room(
    nodes: Nodes, clients: Clients
) -> None:
    old, new = nodes.game(), nodes.game()
    await old.wait_started()
    await new.wait_started()
    api = nodes.api(nodes.games_file(old))
    await api.wait_ready()
    ann, bob = await clients.connect(api), await clients.connect(api)
    room = (await ann.join(kind="lounge", new=True))["room"]

    nodes.games_file(old, new)
    with trio.fail_after(5):
        while await node_of(bob, kind="lounge", new=True) != "game-2":
            await trio.sleep(0.02)  # a client may join 50 times a second

    await update_games(nodes, new)  # without the old node
    await bob.join(room=room)
    await ann.say("still here?")
    for player in (ann, bob):
        assert (await player.hear("msg"))["d"]["said"] == "still here?"

    await update_games(nodes, old, new)  # with the old node again
    await update_games(nodes, old, new)  # by now the api node has dialled it again, if it does
    await bob.say("back again")
    for player in (ann, bob):
        assert (await player.hear("msg"))["d"]["said"] == "back again"
    assert {frame["t"] for frame in ann.heard} == {"hello", "joined", "msg", "ack"}


async def update_games(nodes: Nodes, *games: Node) -> None:
    """Changes the games list; returns when the api node has read it, and so dials the marker."""
    (marker,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with marker:
        nodes.games_file(*games, f"tcp://127.0.0.1:{marker.socket.getsockname()[1]}")
        with trio.fail_after(5):
            async with await marker.accept():
                pass


async def test_players_of_a_killed_game_node_are_told_within_4_s_and_join_elsewhere(
    nodes: Nodes, clients: Clients
) -> None:
    games = [nodes.game(), nodes.game()]
    for game in games:
        await game.wait_started()
    urls = ",".join(game.listen for game in games)
    apis = [nodes.api(urls), nodes.api(urls)]
    for api in apis:
        await api.wait_ready()
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


async def test_a_game_node_that_restarts_at_its_address_is_a_new_node(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair()
    ann, bob = await clients.connect(api), await clients.connect(api)
    room = (await ann.join(kind="lounge", key="k"))["room"]
    game.signal(SIGKILL)
    await game.exit_code(within=2)
    restarted = nodes.game("--listen", game.listen, name="game-1")
    with trio.fail_after(4):
        assert (await ann.hear("ended"))["reason"] == "node_lost"
    await restarted.wait_started()
    await api.wait_ready()
    joined = await ann.join(kind="lounge", key="k")
    assert joined["room"] != room
    await bob.join(room=joined["room"])
    await ann.say("a new room")
    assert (await bob.hear("msg"))["seq"] == 1
    assert (await (await clients.connect(api)).join_refused(room=room))["code"] == "no_such_room"


async def test_a_match_goes_on_after_the_api_node_of_one_player_is_killed(
    nodes: Nodes, clients: Clients
) -> None:
    game = nodes.game(*SHORT_GRACE)
    await game.wait_started()
    apis = [nodes.api(game.listen), nodes.api(game.listen)]
    for api in apis:
        await api.wait_ready()
    ann, bob = await clients.connect(apis[0]), await clients.connect(apis[1])
    joined = await ann.join(kind="tictactoe")
    bobs_id = (await bob.join(room=joined["room"]))["you"]
    apis[0].signal(SIGKILL)
    resumed = await clients.connect(apis[1])
    await resumed.send({"t": "resume", "ticket": joined["ticket"], "seen": 0})
    await resumed.hear("resumed")
    await resumed.say({"cell": 4})
    await bob.hear("msg")
    assert (await bob.hear("msg"))["d"]["board"] == "----X----"
    await resumed.send({"t": "leave"})
    assert (await bob.hear("ended"))["result"]["winner"] == bobs_id
    await game.wait_for_status(within=2, rooms=0, clients=0)
