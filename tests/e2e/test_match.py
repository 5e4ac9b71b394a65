"""Matches across both tiers, with clients that share no code with Lastcall."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import Node, Nodes

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def two_of_each(shared_nodes: Nodes) -> tuple[list[Node], list[Node]]:
    """Returns two api nodes and two game nodes, all ready."""

    async def start() -> tuple[list[Node], list[Node]]:
        games = [shared_nodes.game("--version", "7"), shared_nodes.game("--version", "7")]
        for game in games:
            await game.wait_started()
        urls = ",".join(game.listen for game in games)
        apis = [shared_nodes.api(urls, "--version", "7") for _ in range(2)]
        for api in apis:
            await api.wait_ready()
        return apis, games

    return trio.run(start)


async def join_match(ann: Client, bob: Client) -> tuple[str, str]:
    """Both players join a new room; returns their ids."""
    first = await ann.join(kind="tictactoe", new=True)
    second = await bob.join(room=first["room"])
    return first["you"], second["you"]


async def play(players: Sequence[Client], cells: Sequence[int]) -> None:
    """The players move in turn; both see each move, and the player who made it gets an ack."""
    for number, cell in enumerate(cells):
        await players[number % 2].say({"cell": cell})
        await players[number % 2].hear("ack")
        for player in players:
            await player.hear("msg")


async def test_a_match_is_played_frame_by_frame(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, _), _ = two_of_each
    ann, bob = await clients.connect(api), await clients.connect(api)
    assert ann.socket.subprotocol == "lastcall.v1"
    assert ann.heard == [{"t": "hello", "v": 1, "node": "api-1", "version": "7"}]

    await ann.send({"t": "join", "kind": "tictactoe", "new": True, "name": "Ann", "x": "ignored"})
    joined = await ann.next()
    x, room = joined["you"], joined["room"]
    assert joined == {
        "t": "joined",
        "room": room,
        "kind": "tictactoe",
        "you": x,
        "seq": 0,
        "ticket": joined["ticket"],
        "players": [{"id": x, "name": "Ann"}],
    }
    assert isinstance(joined["ticket"], str)
    await ann.send({"t": "got", "seq": 0})

    await bob.send({"t": "join", "room": room})
    joined = await bob.next()
    o = joined["you"]
    assert joined["players"] == [{"id": x, "name": "Ann"}, {"id": o, "name": ""}]
    await bob.send({"t": "got", "seq": 0})
    for player in (ann, bob):
        assert await player.next() == {
            "t": "msg",
            "seq": 1,
            "d": {"board": "---------", "turn": x},
        }

    moves = [
        (ann, 1, 0, {"board": "X--------", "turn": o}),
        (bob, 1, 3, {"board": "X--O-----", "turn": x}),
        (ann, 2, 1, {"board": "XX-O-----", "turn": o}),
        (bob, 2, 4, {"board": "XX-OO----", "turn": x}),
        (ann, 3, 2, {"board": "XXXOO----", "turn": o}),
    ]
    for seq, (player, n, cell, board) in enumerate(moves, 2):
        await player.send({"t": "say", "n": n, "d": {"cell": cell}})
        assert await player.hear("ack") == {"t": "ack", "n": n}
        for receiver in (ann, bob):
            assert await receiver.hear("msg") == {"t": "msg", "seq": seq, "d": board}
    for player in (ann, bob):
        assert await player.next() == {
            "t": "ended",
            "room": room,
            "reason": "finished",
            "result": {"winner": x, "board": "XXXOO----"},
        }
        assert player.seqs == [1, 2, 3, 4, 5, 6]


async def test_a_client_that_offers_no_subprotocol_is_served(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, _), _ = two_of_each
    ann = await clients.connect(api, subprotocols=())
    bob = await clients.connect(api, subprotocols=("chat", "lastcall.v1"))
    assert (ann.socket.subprotocol, bob.socket.subprotocol) == (None, "lastcall.v1")
    x, _ = await join_match(ann, bob)
    for player in (ann, bob):
        assert (await player.hear("msg"))["d"]["turn"] == x


async def test_a_socket_stays_open_for_the_next_match(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, _), _ = two_of_each
    ann, bob = await clients.connect(api), await clients.connect(api)
    for winner in (ann, bob):
        loser = bob if winner is ann else ann
        x, _ = await join_match(winner, loser)
        for player in (winner, loser):
            await player.hear("msg")
        await play([winner, loser], [0, 3, 1, 4, 2])
        results = [(await player.hear("ended"))["result"]["winner"] for player in (ann, bob)]
        assert results == [x, x]


async def test_a_player_who_leaves_loses_the_match_and_may_join_again(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, _), _ = two_of_each
    ann, bob = await clients.connect(api), await clients.connect(api)
    _, o = await join_match(ann, bob)
    await ann.send({"t": "leave"})
    assert (await ann.hear("ended"))["reason"] == "left"
    ended = await bob.hear("ended")
    assert (ended["reason"], ended["result"]["winner"]) == ("finished", o)
    assert (await ann.join(kind="lounge"))["kind"] == "lounge"


async def test_a_player_who_loses_the_socket_resumes_the_match_and_loses_it_only_by_leaving(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, other), _ = two_of_each
    ann, bob = await clients.connect(api), await clients.connect(api)
    _, o = await join_match(ann, bob)
    joined = next(frame for frame in ann.heard if frame["t"] == "joined")
    await trio.to_thread.run_sync(ann.close)
    again = await clients.connect(other)
    await again.send({"t": "resume", "ticket": joined["ticket"], "seen": 0})
    assert (await again.hear("resumed"))["complete"]
    assert (await again.hear("msg"))["seq"] == 1
    await again.send({"t": "leave"})
    assert (await bob.hear("ended"))["result"]["winner"] == o


async def test_a_second_join_with_the_same_key_gets_the_same_place(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, other), _ = two_of_each
    first = await (await clients.connect(api)).join(kind="lounge", new=True, key="k1")
    again = await (await clients.connect(other)).join(kind="lounge", key="k1")
    assert (again["room"], again["you"]) == (first["room"], first["you"])


async def test_players_on_two_api_nodes_meet_in_the_same_room(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, other), _ = two_of_each
    ann, bob = await clients.connect(api), await clients.connect(other)
    assert [c.heard[0]["node"] for c in (ann, bob)] == ["api-1", "api-2"]
    joined = await ann.join(kind="tictactoe")
    assert (await bob.join(kind="tictactoe"))["room"] == joined["room"]
    await ann.hear("msg")
    await bob.hear("msg")
    await play([ann, bob], [4, 0, 2, 6, 3, 5, 1, 7, 8])
    for player in (ann, bob):
        ended = await player.hear("ended")
        assert ended["result"] == {"winner": None, "board": "OXXXXOOOX"}
        assert player.seqs == list(range(1, 11))


async def test_two_players_who_join_through_two_api_nodes_at_the_same_moment_meet(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, other), _ = two_of_each
    for _ in range(5):
        pair = [await clients.connect(api), await clients.connect(other)]
        async with trio.open_nursery() as nursery:
            for player in pair:
                nursery.start_soon(lambda client: client.join(kind="tictactoe"), player)
        for player in pair:  # the match starts with the second player
            assert (await player.hear("msg"))["seq"] == 1
        await pair[0].send({"t": "leave"})
        await pair[1].hear("ended")


async def test_every_api_node_finds_a_room_by_its_id_and_refuses_an_unknown_id(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    apis, _ = two_of_each
    ann, bob = await clients.connect(apis[0]), await clients.connect(apis[1])
    rooms = {(await ann.join(kind="lounge", new=True))["room"]}
    for _ in range(3):  # the load is spread: both game nodes have rooms
        ann = await clients.connect(apis[0])
        rooms.add((await ann.join(kind="lounge", new=True))["room"])
    assert {room.partition(".")[0] for room in rooms} == {"game-1", "game-2"}
    for room in rooms:
        assert (await bob.join(room=room))["room"] == room
        await bob.send({"t": "leave"})
        await bob.hear("ended")
    for api in apis:
        for unknown in ("game-1.nosuchroom", "nowhere", "game-9.x"):
            error = await (await clients.connect(api)).join_refused(room=unknown)
            assert (error["code"], error["retry"]) == ("no_such_room", False)


async def test_a_room_gets_the_options_of_the_join_and_its_clock_runs(
    two_of_each: tuple[list[Node], list[Node]], clients: Clients
) -> None:
    (api, _), _ = two_of_each
    ann = await clients.connect(api)
    await ann.join(kind="countdown", new=True, options={"seconds": 1})
    assert await ann.hear("msg") == {"t": "msg", "seq": 1, "d": {"left": 0}}
    assert (await ann.hear("ended"))["result"] == {"left": 0}
