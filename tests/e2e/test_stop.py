"""The end of real processes: signals, the lifeline, grace and exit codes."""

from __future__ import annotations

import os
import time
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import pytest
import trio

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import ANY_PORT, Node, Nodes, wait_until

pytestmark = pytest.mark.e2e

REPORT_KEYS = {
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
COMMON_KEYS = {"at", "level", "event", "node"}
ROOMS = "game.examples,tests.e2e.odd_rooms"


def drain_report(node: Node) -> dict[str, Any]:
    """Returns the ``drain.finished`` event, which is the last line of the log."""
    last = node.events[-1]
    assert last["event"] == "drain.finished"
    assert last.keys() == REPORT_KEYS | COMMON_KEYS
    return last


async def join_new_room(clients: Clients, api: Node, **request: object) -> Client:
    """Returns a client that has joined a new room."""
    client = await clients.connect(api)
    await client.join(new=True, **request)
    return client


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_a_node_with_nothing_to_drain_exits_0_at_once(nodes: Nodes, number: Signals) -> None:
    api, game = await nodes.start_pair()
    for node in (api, game):
        start = trio.current_time()
        node.signal(number)
        assert await node.exit_code(within=5) == 0
        assert trio.current_time() - start < 1
        finished = drain_report(node)
        assert {finished[key] for key in REPORT_KEYS - {"seconds"}} == {0}
        assert node.warnings == []


async def test_a_draining_game_node_is_unready_at_once_and_exits_0_after_its_last_room(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair()
    ann = await join_new_room(clients, api, kind="countdown", options={"seconds": 2})
    signalled_at = trio.current_time()
    game.signal()
    last_ready_at = signalled_at
    while (response := await game.get("/readyz")).status == 200:
        last_ready_at = trio.current_time()
    assert last_ready_at - signalled_at < 0.1, "the last request that was answered 200"
    assert (response.status, response.body) == (503, "draining")
    assert (await game.get("/livez")).status == 200
    notice = await ann.hear("draining")
    assert notice["tier"] == "game"
    assert notice["seconds"] == pytest.approx(22, abs=1), "the cut comes at 25 - 3 s"
    status = await game.status()
    assert (status["phase"], status["rooms"]) == ("draining", 1)
    assert "countdown" in status["why"][0]
    assert (await ann.join_refused(kind="lounge"))["code"] == "already_in_a_room"

    assert (await ann.hear("ended"))["reason"] == "finished"
    ended_at = trio.current_time()
    assert await game.exit_code(within=5) == 0
    assert trio.current_time() - ended_at < 1
    assert ended_at - signalled_at > 1, "the room ended by itself"
    assert ann.seqs == [1, 2]
    finished = drain_report(game)
    assert (finished["rooms_finished"], finished["rooms_cut"]) == (1, 0)
    assert (await ann.join_refused(kind="lounge"))["code"] == "no_game_node"


async def test_a_draining_api_node_lets_its_clients_finish_and_exits_0_after_the_last_one(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair("--spread", "0.5")
    ann = await join_new_room(clients, api, kind="countdown", options={"seconds": 2})
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
    finished = drain_report(api)
    assert (finished["clients_moved"], finished["clients_cut"]) == (2, 0)
    assert (await game.get("/readyz")).status == 200


async def test_a_room_finishes_when_all_nodes_are_stopped_at_once(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair()
    ann = await join_new_room(clients, api, kind="countdown", options={"seconds": 2})
    for node in (game, api):
        node.signal()
    assert {(await ann.hear("draining"))["tier"] for _ in range(2)} == {"api", "game"}
    assert (await ann.hear("ended"))["result"] == {"left": 0}
    assert await ann.close_code() == 1012
    for node in (game, api):
        assert await node.exit_code(within=2) == 0
    assert (drain_report(game)["rooms_finished"], drain_report(api)["clients_moved"]) == (1, 1)


async def test_a_second_signal_cuts_the_rooms_and_the_exit_code_is_3(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair()
    ann = await join_new_room(clients, api, kind="lounge")
    game.signal(SIGTERM)
    await ann.hear("draining")
    assert game.running
    game.signal(SIGINT)
    assert (await ann.hear("ended", within=2))["reason"] == "cut"
    assert await game.exit_code(within=2) == 3
    assert drain_report(game)["rooms_cut"] == 1


async def test_a_second_signal_moves_the_clients_of_an_api_node_at_once(
    nodes: Nodes, clients: Clients
) -> None:
    api, _ = await nodes.start_pair()
    ann = await join_new_room(clients, api, kind="lounge")
    api.signal()
    await ann.hear("draining")
    api.signal()
    await ann.hear("move")
    assert await ann.close_code() == 1012
    assert await api.exit_code(within=3) == 0
    assert (drain_report(api)["clients_moved"], drain_report(api)["clients_cut"]) == (1, 0)


async def test_a_room_that_does_not_end_is_cut_at_grace_minus_farewell(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair(game_options=("--grace", "2", "--farewell", "1"))
    ann = await join_new_room(clients, api, kind="lounge")
    start = trio.current_time()
    game.signal()
    assert (await ann.hear("draining"))["seconds"] == pytest.approx(1, abs=0.3)
    assert (await ann.hear("ended"))["reason"] == "cut"
    assert await game.exit_code(within=5) == 3
    assert 0.9 < trio.current_time() - start < 2.2
    finished = drain_report(game)
    assert (finished["rooms_cut"], finished["rooms_finished"]) == (1, 0)


async def test_a_room_that_blocks_the_loop_does_not_outlive_grace(
    nodes: Nodes, clients: Clients
) -> None:
    grace = ("--grace", "1.5", "--farewell", "0.5")
    games = {kind: nodes.game(*grace, rooms=ROOMS) for kind in ("spinner", "sleeper")}
    for game in games.values():
        await game.wait_started()
    async with trio.open_nursery() as nursery:
        for kind, game in games.items():
            nursery.start_soon(stop_blocked_node, nodes, clients, kind, game)


async def stop_blocked_node(nodes: Nodes, clients: Clients, kind: str, game: Node) -> None:
    api = nodes.api(game.listen)
    await api.wait_ready()
    ann = await clients.connect(api)
    await ann.send({"t": "join", "kind": kind})
    await wait_until(lambda: game.event("blocking"), within=5)
    start = trio.current_time()
    game.signal()
    assert await game.exit_code(within=5) == 3
    assert 1.4 < trio.current_time() - start < 2.5
    overrun, finished = game.events[-2:]
    assert (overrun["event"], overrun["grace_seconds"]) == ("drain.overrun", 1.5)
    assert (finished["event"], finished["rooms_cut"]) == ("drain.finished", 1)
    assert finished["seconds"] == pytest.approx(1.5, abs=0.5)
    assert (await ann.next())["t"] in {"joined", "error"}, "the api node answers the join"


def start_node(nodes: Nodes, tier: str) -> Node:
    """In a fresh interpreter: its imports are a part of the start."""
    match tier:
        case "game":
            return nodes.game(fresh=True)
        case "api":
            return nodes.api("tcp://127.0.0.1:9", fresh=True)
        case _:
            return nodes.start("lastcall.serve", "--listen", ANY_PORT, fresh=True)


TIERS = ("game", "api", "serve")


@pytest.mark.parametrize("tier", TIERS)
async def test_a_signal_at_any_moment_of_the_start_stops_the_node(nodes: Nodes, tier: str) -> None:
    async def stop_after(seconds: float) -> None:
        node = start_node(nodes, tier)
        await wait_until(lambda: node.has_handler(SIGTERM), within=10)
        await trio.sleep(seconds)
        node.signal()
        assert await node.exit_code(within=10) == 0, f"after {seconds} s"
        assert node.warnings == []
        assert drain_report(node)["rooms_cut"] == 0

    # Two nodes at a time, for machines with two cores.
    for pair in ((0.0, 0.6), (0.05, 0.5), (0.1, 0.4), (0.2, 0.3)):
        async with trio.open_nursery() as nursery:
            for seconds in pair:
                nursery.start_soon(stop_after, seconds)


async def test_a_signal_before_the_handler_is_installed_ends_the_process(nodes: Nodes) -> None:
    for tier in TIERS:
        node = start_node(nodes, tier)
        node.signal()
        assert await node.exit_code(within=10) in {0, -SIGTERM}
        assert "Traceback" not in node.stderr_text


async def test_two_signals_during_the_start_end_the_node_with_exit_code_0(nodes: Nodes) -> None:
    node = start_node(nodes, "game")
    await wait_until(lambda: node.has_handler(SIGTERM), within=10)
    node.signal(SIGTERM)
    node.signal(SIGINT)
    assert await node.exit_code(within=10) == 0


async def node_during_import(nodes: Nodes, *options: str) -> Node:
    """Starts a game node that is importing its rooms, which takes 300 s."""
    nodes.folder.joinpath("slow.py").write_text(
        "import pathlib, time\npathlib.Path('imports').touch()\ntime.sleep(300)\n"
    )
    node = nodes.game(*options, rooms="slow", fresh=True)
    await wait_until(lambda: nodes.folder.joinpath("imports").exists(), within=10)
    return node


async def test_grace_applies_while_the_rooms_are_imported(nodes: Nodes) -> None:
    node = await node_during_import(nodes, "--grace", "1", "--farewell", "0.5")
    start = time.monotonic()
    node.signal()
    assert await node.exit_code(within=5) == 3
    assert 0.9 < time.monotonic() - start < 2
    overrun, finished = node.events
    assert (overrun["event"], overrun["grace_seconds"]) == ("drain.overrun", 1)
    assert "slow.py" in overrun["traceback"]
    assert (finished["event"], finished["rooms_cut"]) == ("drain.finished", 0)


async def test_a_second_signal_while_the_rooms_are_imported_ends_the_node_at_once(
    nodes: Nodes,
) -> None:
    node = await node_during_import(nodes)
    start = time.monotonic()
    node.signal(SIGTERM)
    node.signal(SIGINT)
    assert await node.exit_code(within=5) == 0
    assert time.monotonic() - start < 1
    assert [event["event"] for event in node.events] == ["start.aborted"]


async def test_a_node_drains_when_its_parent_has_exited(nodes: Nodes, clients: Clients) -> None:
    reading, writing = os.pipe()
    lifeline = {"LASTCALL_LIFELINE": str(reading)}
    game = nodes.game(env=lifeline, pass_fds=[reading])
    os.close(reading)
    await game.wait_started()
    api = nodes.api(game.listen)
    await api.wait_ready()
    ann = await join_new_room(clients, api, kind="countdown", options={"seconds": 1})
    assert game.running
    os.close(writing)
    assert (await ann.hear("draining"))["tier"] == "game"
    assert (await ann.hear("ended"))["reason"] == "finished"
    assert await game.exit_code(within=2) == 0
    assert drain_report(game)["rooms_finished"] == 1


async def test_a_node_exits_0_after_the_reader_of_its_stderr_is_gone(nodes: Nodes) -> None:
    """A log shipper that dies must not end the node or change its exit code."""
    reading, writing = os.pipe()
    node = nodes.game(stderr=writing)
    os.close(writing)
    output = b""
    while b"node.ready" not in output:
        output += await trio.to_thread.run_sync(os.read, reading, 4096)
    os.close(reading)
    start = time.monotonic()
    node.signal()
    assert await node.exit_code(within=5) == 0
    assert time.monotonic() - start < 2
