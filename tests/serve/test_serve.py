"""Both tiers in one process: the same rooms, drains and moves as those of a cluster."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import CLEAN, CUT, cluster
from tests.harness.player import Player
from tests.moves.talks import players, talk
from tests.serve.nodes import DRAIN, alone, two_nodes

in_any_order = pytest.mark.usefixtures("schedule")


@in_any_order
async def test_a_node_alone_opens_no_port_for_others_and_its_players_talk(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        node = await alone(c)
        speakers = await players(c, node, "cell", 2)
        assert await talk(speakers, "a") == {"said": "a", "count": 1, "moves": 0}
        assert c.bus._net._bound == {}


@in_any_order
async def test_a_drain_waits_for_the_last_room_and_then_for_its_players(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        node = await alone(c)
        (player,) = await players(c, node, "short", 1)
        began = trio.current_time()
        node.signal()
        await trio.sleep(2)
        assert node.node.why()[0].startswith("short ")
        assert node.node.left == 2
        await player.say("end")
        assert (await player.socket.hear("ended"))["reason"] == "finished"
        await node.gone.wait()
        confirmed, left = 0.5, 0.5  # both by a heartbeat of the link, at the latest
        assert 2 <= round(node.exited_at - began, 6) <= 2 + confirmed + left + 0.1
        assert node.exit_code == CLEAN
        assert node.counts is not None
        assert (node.counts.rooms_finished, node.counts.clients_moved) == (1, 1)


@in_any_order
async def test_a_room_that_is_alone_with_its_node_is_cut_at_the_deadline(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        node = await alone(c)
        (player,) = await players(c, node, "den", 1)
        began = trio.current_time()
        node.signal()
        await node.gone.wait()
        assert node.exit_code == CUT
        assert DRAIN.cut_seconds <= node.exited_at - began < DRAIN.grace_seconds
        assert (await player.socket.hear("ended"))["reason"] == "cut"


@in_any_order
async def test_a_client_finds_a_room_of_another_node(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        one, two = await two_nodes(c)
        (ann,) = await players(c, one, "den", 1)
        bob = Player(c.nursery)
        await bob.join(two, room=ann.room)
        assert await talk([ann, bob], "a") == {"said": "a", "count": 1, "moves": 0}
        assert one.rooms + two.rooms == 1


@in_any_order
async def test_a_room_moves_to_another_node_and_its_players_follow_at_the_cut(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await two_nodes(c)
        speakers = await players(c, one, "den", 2)
        if two.rooms:
            one, two = two, one
        one.signal()
        await trio.sleep(DRAIN.cut_seconds + 0.5)
        assert (one.rooms, two.rooms) == (0, 1)
        for player in speakers:
            assert await player.socket.close_code() == 1012
            await player.resume(two)
        assert (await talk(speakers, "b"))["moves"] == 1
        await one.gone.wait()
        assert one.exit_code == CLEAN
        assert two.exit_code is None
