"""Real game nodes that know each other, with mutual TLS and a secret."""

from __future__ import annotations

from signal import SIGKILL

import pytest
import trio
import trustme

from tests.e2e.nodes import ANY_URL, POLL_SECONDS, SHORT_GRACE, Node, Nodes, wait_until
from tests.e2e.test_cluster_security import certificates

pytestmark = pytest.mark.e2e


async def wait_for_peers(count: int, *games: Node) -> None:
    """Waits until each node has links to ``count`` others."""
    with trio.fail_after(15):
        for game in games:
            while f"lastcall_peers {count}.0" not in (await game.get("/metrics")).body:
                await trio.sleep(POLL_SECONDS)


async def test_game_nodes_find_each_other_and_notice_who_is_killed_comes_and_leaves(
    nodes: Nodes,
) -> None:
    tls = certificates(nodes.folder / "tls", trustme.CA(), "lastcall")
    secret, wrong = nodes.folder / "secret", nodes.folder / "wrong"
    secret.write_text("a secret of the cluster\n")
    wrong.write_text("the secret of another one\n")
    known = ("--cluster-tls", str(tls), "--cluster-tls-name", "lastcall", *SHORT_GRACE)
    listed = ("--games", nodes.games_file(), "--feed", ANY_URL)

    def start(**options: str) -> Node:
        key = options.get("key", str(secret))
        return nodes.game(*known, *listed, "--cluster-secret-file", key)

    one, two, three = games = [start() for _ in range(3)]
    for game in games:
        await game.wait_started()
    nodes.games_file(*games)  # each is in its own list, too
    await wait_for_peers(2, *games)

    three.signal(SIGKILL)
    await wait_for_peers(1, one, two)
    four = start()
    await four.wait_started()
    nodes.games_file(one, two, four)
    await wait_for_peers(2, one, two, four)
    assert [event["loss"] for event in one.events if event["event"] == "link.down"] == ["gone"]

    two.signal()
    assert await two.exit_code(within=5) == 0
    await wait_for_peers(1, one, four)
    assert [game.warnings for game in (one, two, four)] == [[], [], []]

    stranger = start(key=str(wrong))
    await wait_until(lambda: stranger.event("link.refused"), within=15)
    assert "the secrets of --cluster-secret-file differ" in stranger.warnings[0]["why"]
    await wait_until(lambda: one.event("link.refused"), within=15)
    assert {event["game"] for event in one.warnings} == {stranger.name}
    await wait_for_peers(1, one, four)


async def test_a_feed_beyond_loopback_is_open_to_everybody_only_if_there_is_one(
    nodes: Nodes,
) -> None:
    wide = ("--feed", "tcp://0.0.0.0:0", "--advertise", "127.0.0.1")
    alone, with_peers = nodes.game(*wide), nodes.game(*wide, "--games", nodes.games_file())
    for node in (alone, with_peers):
        await node.wait_started()
    [warning] = with_peers.warnings
    assert (warning["event"], alone.warnings) == ("node.exposed", [])
    assert "the port for other nodes is bound beyond loopback" in warning["hint"]
