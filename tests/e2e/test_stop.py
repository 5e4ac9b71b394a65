"""Signals, the lifeline, grace and exit codes of real processes."""

from __future__ import annotations

import os
import time
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import pytest
import trio

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import Node, Nodes, until

pytestmark = pytest.mark.e2e

FINISHED = {
    "rooms_finished",
    "rooms_regrouped",
    "rooms_abandoned",
    "rooms_handed_off",
    "rooms_cut",
    "clients_finished",
    "clients_moved",
    "clients_cut",
    "seconds",
}
EVERY_LINE = {"at", "level", "event", "node"}
ODD = "game.examples,tests.e2e.odd_rooms"


def report(node: Node) -> dict[str, Any]:
    """``drain.finished``, which is the last line of all."""
    last = node.events[-1]
    assert last["event"] == "drain.finished"
    assert last.keys() == FINISHED | EVERY_LINE
    return last


async def seated(clients: Clients, api: Node, **request: object) -> Client:
    """A client in a room of its own."""
    client = await clients.connect(api)
    await client.join(new=True, **request)
    return client


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_a_node_with_nothing_to_drain_exits_0_at_once(nodes: Nodes, number: Signals) -> None:
    api, game = await nodes.one_of_each()
    for node in (api, game):
        start = trio.current_time()
        node.signal(number)
        assert await node.exit_code(within=5) == 0
        assert trio.current_time() - start < 1
        finished = report(node)
        assert {finished[key] for key in FINISHED - {"seconds"}} == {0}
        assert node.troubles == []


async def test_a_game_node_turns_unready_at_once_and_exits_0_as_its_last_room_ends(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.one_of_each()
    ann = await seated(clients, api, kind="countdown", options={"seconds": 2})
    signalled_at = trio.current_time()
    game.signal()
    asked_at = signalled_at
    while (answer := await game.get("/readyz")).status == 200:
        asked_at = trio.current_time()
    assert asked_at - signalled_at < 0.1, "when it was asked for the last time that said 200"
    assert (answer.status, answer.body) == (503, "draining")
    assert (await game.get("/livez")).status == 200
    notice = await ann.hear("draining")
    assert notice["tier"] == "game"
    assert notice["seconds"] == pytest.approx(22, abs=1), "to the cut, at 25 - 3"
    status = await game.status()
    assert (status["phase"], status["rooms"]) == ("draining", 1)
    assert "countdown" in status["why"][0]
    assert (await ann.refused(kind="lounge"))["code"] == "already_in_a_room"

    assert (await ann.hear("ended"))["reason"] == "finished"
    ended_at = trio.current_time()
    assert await game.exit_code(within=5) == 0
    assert trio.current_time() - ended_at < 1
    assert ended_at - signalled_at > 1, "the room had its time"
    assert ann.seqs == [1, 2]
    finished = report(game)
    assert (finished["rooms_finished"], finished["rooms_cut"]) == (1, 0)
    assert (await ann.refused(kind="lounge"))["code"] == "no_game_node"


async def test_an_api_node_lets_its_clients_finish_and_exits_0_with_the_last(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.one_of_each("--spread", "0.5")
    ann = await seated(clients, api, kind="countdown", options={"seconds": 2})
    idle = await clients.connect(api)
    api.signal()
    assert (await idle.hear("draining"))["tier"] == "api"
    assert (await idle.hear("move"))["after"] <= 0.5
    assert await idle.close_code() == 1012
    assert (await api.get("/readyz")).status == 503
    with pytest.raises(ConnectionRefusedError):
        await clients.connect(api)
    assert api.running
    assert (await ann.hear("ended"))["reason"] == "finished"
    await ann.hear("move")
    assert await ann.close_code() == 1012
    assert await api.exit_code(within=2) == 0
    finished = report(api)
    assert (finished["clients_moved"], finished["clients_cut"]) == (2, 0)
    assert (await game.get("/readyz")).status == 200


async def test_a_cluster_that_is_stopped_as_a_whole_plays_its_room_to_the_end(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.one_of_each()
    ann = await seated(clients, api, kind="countdown", options={"seconds": 2})
    for node in (game, api):
        node.signal()
    assert {(await ann.hear("draining"))["tier"] for _ in range(2)} == {"api", "game"}
    assert (await ann.hear("ended"))["result"] == {"left": 0}
    assert await ann.close_code() == 1012
    for node in (game, api):
        assert await node.exit_code(within=2) == 0
    assert (report(game)["rooms_finished"], report(api)["clients_moved"]) == (1, 1)


async def test_the_second_signal_cuts_and_the_exit_code_is_3(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.one_of_each()
    ann = await seated(clients, api, kind="lounge")
    game.signal(SIGTERM)
    await ann.hear("draining")
    assert game.running
    game.signal(SIGINT)
    assert (await ann.hear("ended", within=2))["reason"] == "cut"
    assert await game.exit_code(within=2) == 3
    assert report(game)["rooms_cut"] == 1


async def test_the_second_signal_moves_the_clients_of_an_api_node_at_once(
    nodes: Nodes, clients: Clients
) -> None:
    api, _ = await nodes.one_of_each()
    ann = await seated(clients, api, kind="lounge")
    api.signal()
    await ann.hear("draining")
    api.signal()
    await ann.hear("move")
    assert await ann.close_code() == 1012
    assert await api.exit_code(within=3) == 0
    assert (report(api)["clients_moved"], report(api)["clients_cut"]) == (1, 0)


async def test_a_room_without_an_end_is_cut_at_grace_minus_farewell(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.one_of_each(game_options=("--grace", "2", "--farewell", "1"))
    ann = await seated(clients, api, kind="lounge")
    start = trio.current_time()
    game.signal()
    assert (await ann.hear("draining"))["seconds"] == pytest.approx(1, abs=0.3)
    assert (await ann.hear("ended"))["reason"] == "cut"
    assert await game.exit_code(within=5) == 3
    assert 0.9 < trio.current_time() - start < 2.2
    finished = report(game)
    assert (finished["rooms_cut"], finished["rooms_finished"]) == (1, 0)


async def test_a_room_that_blocks_the_loop_does_not_outlive_grace(
    nodes: Nodes, clients: Clients
) -> None:
    grace = ("--grace", "1.5", "--farewell", "0.5")
    games = {kind: nodes.game(*grace, rooms=ODD) for kind in ("spinner", "sleeper")}
    for game in games.values():
        await game.started()
    async with trio.open_nursery() as nursery:
        for kind, game in games.items():
            nursery.start_soon(blocked_to_the_end, nodes, clients, kind, game)


async def blocked_to_the_end(nodes: Nodes, clients: Clients, kind: str, game: Node) -> None:
    api = nodes.api(game.listen)
    await api.ready()
    ann = await clients.connect(api)
    await ann.send({"t": "join", "kind": kind})
    await until(lambda: game.event("blocking"), within=5)
    start = trio.current_time()
    game.signal()
    assert await game.exit_code(within=5) == 3
    assert 1.4 < trio.current_time() - start < 2.5
    last = game.events[-1]
    assert (last["event"], last["grace_seconds"]) == ("drain.overrun", 1.5)
    assert (await ann.next())["t"] in {"joined", "error"}, "its api node knows what to say"


def spawned(nodes: Nodes, tier: str) -> Node:
    return nodes.game() if tier == "game" else nodes.api("tcp://127.0.0.1:9")


@pytest.mark.parametrize("tier", ["game", "api"])
async def test_a_signal_at_any_moment_of_the_start_is_heard(nodes: Nodes, tier: str) -> None:
    async def stop_after(seconds: float) -> None:
        node = spawned(nodes, tier)
        await until(lambda: node.catches(SIGTERM), within=10)
        await trio.sleep(seconds)
        node.signal()
        assert await node.exit_code(within=10) == 0, f"after {seconds} s"
        assert node.troubles == []
        assert report(node)["rooms_cut"] == 0

    for pair in ((0.0, 0.6), (0.05, 0.5), (0.1, 0.4), (0.2, 0.3)):  # two cores: two at a time
        async with trio.open_nursery() as nursery:
            for seconds in pair:
                nursery.start_soon(stop_after, seconds)


async def test_a_signal_before_the_handler_stands_ends_the_process_too(nodes: Nodes) -> None:
    for tier in ("game", "api"):
        node = spawned(nodes, tier)
        node.signal()
        assert await node.exit_code(within=10) in {0, -SIGTERM}
        assert "Traceback" not in node.words


async def test_two_signals_while_starting_end_it_with_0_too(nodes: Nodes) -> None:
    node = nodes.game()
    await until(lambda: node.catches(SIGTERM), within=10)
    node.signal(SIGTERM)
    node.signal(SIGINT)
    assert await node.exit_code(within=10) == 0


async def importing(nodes: Nodes, *options: str) -> Node:
    """A game node in the middle of its author's module, for as long as it is let."""
    nodes.folder.joinpath("slow.py").write_text(
        "import pathlib, time\npathlib.Path('imports').touch()\ntime.sleep(300)\n"
    )
    node = nodes.game(*options, rooms="slow")
    await until(lambda: nodes.folder.joinpath("imports").exists(), within=10)
    return node


async def test_grace_holds_while_the_rooms_are_imported(nodes: Nodes) -> None:
    node = await importing(nodes, "--grace", "1", "--farewell", "0.5")
    start = time.monotonic()
    node.signal()
    assert await node.exit_code(within=5) == 3
    assert 0.9 < time.monotonic() - start < 2
    (last,) = node.events
    assert (last["event"], last["grace_seconds"]) == ("drain.overrun", 1)
    assert "slow.py" in last["traceback"]


async def test_a_second_signal_while_the_rooms_are_imported_ends_it_at_once(nodes: Nodes) -> None:
    node = await importing(nodes)
    start = time.monotonic()
    node.signal(SIGTERM)
    node.signal(SIGINT)
    assert await node.exit_code(within=5) == 0
    assert time.monotonic() - start < 1
    assert [event["event"] for event in node.events] == ["start.aborted"]


async def test_a_node_drains_when_its_parent_is_gone(nodes: Nodes, clients: Clients) -> None:
    theirs, ours = os.pipe()
    lifeline = {"LASTCALL_LIFELINE": str(theirs)}
    game = nodes.game(env=lifeline, pass_fds=[theirs])
    os.close(theirs)
    await game.started()
    api = nodes.api(game.listen)
    await api.ready()
    ann = await seated(clients, api, kind="countdown", options={"seconds": 1})
    assert game.running
    os.close(ours)
    assert (await ann.hear("draining"))["tier"] == "game"
    assert (await ann.hear("ended"))["reason"] == "finished"
    assert await game.exit_code(within=2) == 0
    assert report(game)["rooms_finished"] == 1


async def test_a_reader_of_stderr_that_goes_away_changes_nothing(nodes: Nodes) -> None:
    """A log shipper that dies must not take the node along, nor change its exit code."""
    reading, writing = os.pipe()
    node = nodes.game(stderr=writing)
    os.close(writing)
    words = b""
    while b"node.ready" not in words:
        words += await trio.to_thread.run_sync(os.read, reading, 4096)
    os.close(reading)
    start = time.monotonic()
    node.signal()
    assert await node.exit_code(within=5) == 0
    assert time.monotonic() - start < 2
