"""Requests for rooms that go on elsewhere, while the node that had them does not answer."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import Cluster, cluster
from tests.harness.player import Player
from tests.moves import survivors
from tests.moves.survivors import protected
from tests.moves.talks import players, talk, two_nodes

in_any_order = pytest.mark.usefixtures("schedule")


async def parted(c: Cluster) -> tuple[list[Player], object]:
    """Two players of a room at game-1, which hears api-2 alone from now on; and api-2."""
    api, one, _ = await survivors.two_nodes(c)
    other = c.api("api-2")
    await c.ready(other)
    await trio.sleep(1)
    speakers = await players(c, api, "ark", 2)
    await talk(speakers, "a")
    await protected(one, 1)
    c.bus.break_link("game-1", "game-2")
    c.bus.break_link("game-1", "api-1")  # the witness, without which nobody may go on
    return speakers, other


@pytest.mark.parametrize("seconds", [0.1, 6])
@pytest.mark.parametrize("what", ["resume", "join"])
@in_any_order
async def test_a_request_that_a_fenced_node_holds_goes_to_the_node_that_runs_the_room(
    autojump_clock: MockClock, what: str, seconds: float
) -> None:
    async with cluster() as c:
        (ann, bob), other = await parted(c)
        await trio.sleep(seconds)
        bob.socket.drop()
        player = bob if what == "resume" else Player(c.nursery)
        began = trio.current_time()
        socket = await player.dial(other)
        if what == "resume":
            await socket.send(t="resume", ticket=bob.ticket, seen=bob.seen)
        else:
            await socket.send(t="join", room=ann.room)
        frame = await socket.hear("joined", "resumed", "error")
        assert frame["t"] in {"joined", "resumed"}
        assert trio.current_time() - began < 8


@pytest.mark.parametrize("seconds", [0.0, 0.05])
@in_any_order
async def test_a_join_by_id_waits_while_the_link_to_the_rooms_node_is_made_anew(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="cell", new=True)
        runs = one if one.rooms else two
        runs.drop_links()
        await trio.sleep(seconds)
        await bob.join(api, room=ann.room)
        assert bob.room == ann.room
