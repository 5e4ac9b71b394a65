"""A surviving room whose node and whose standby's node drain at nearly the same time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import CLEAN, Cluster, GameProcess, cluster
from tests.harness.player import Player
from tests.moves.survivors import SURVIVORS, protected, two_nodes
from tests.moves.talks import DRAIN, players, talk, undisturbed

DELAY_SECONDS = 0.05
MET_SECONDS = 1.0
GONE_SECONDS = 3.0


def successor(c: Cluster) -> GameProcess:
    """A new node, which the others meet within a second."""
    return c.game("game-3", kinds=SURVIVORS, peers=True, drain=DRAIN)


async def goes_on_at(node: GameProcess, speakers: list[Player]) -> None:
    assert (await talk(speakers, "b"))["count"] == 2
    assert undisturbed(speakers)
    assert node.rooms == 1


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize("milliseconds", range(0, 1000, 100))
async def test_a_room_goes_on_although_its_node_drains_while_its_standby_is_about_to_end(
    autojump_clock: MockClock, milliseconds: int, hurried: bool
) -> None:
    """The standby's node alone knows the new one, and has no room of its own. If it is ``hurried``,
    its rooms are cut in the same instant.
    """
    async with cluster(milliseconds) as c:
        c.address("game-3")
        api, one, two = await two_nodes(c)
        c.bus.faults.delay_seconds = DELAY_SECONDS
        speakers = await players(c, api, "raft", 2)
        await talk(speakers, "a")
        await protected(one, 1)
        c.bus.break_link("game-2", "api-1")
        two.signal()
        c.bus.break_link("game-1", "game-3")
        three = successor(c)
        await trio.sleep(MET_SECONDS)
        c.bus.heal("game-2")
        await trio.sleep(milliseconds / 1000)
        began = trio.current_time()
        one.signal()
        if hurried:
            two.signal()
        await trio.sleep(MET_SECONDS)
        c.bus.heal("game-1")
        for node in (one, two):
            await node.gone.wait()
            assert node.exit_code == CLEAN
        assert trio.current_time() - began < GONE_SECONDS
        await goes_on_at(three, speakers)
