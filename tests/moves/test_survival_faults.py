"""A surviving room to whose nodes and links something happens at any instant.

Each message takes up to 100 ms, and the players, who are at two api nodes, talk all the time.
Whatever happens to one of the room's nodes, all of them hear one history, in which each input
counts once, and no socket is closed.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import Cluster, GameProcess, cluster
from tests.moves.survivors import (
    guest,
    heard_all_once,
    holder,
    protected,
    speak,
    three_nodes,
)
from tests.moves.talks import players, undisturbed

pytestmark = pytest.mark.parametrize("schedule", range(4), indirect=True)
"""A whole cluster for many seconds: a few orders for each fault."""

DELAY_SECONDS = 0.1
INPUTS = 40
Fault = Callable[[Cluster, GameProcess, GameProcess, random.Random], Awaitable[None]]


async def kill_primary(
    _c: Cluster, primary: GameProcess, _standby: GameProcess, _rng: random.Random
) -> None:
    primary.kill()


async def kill_standby(
    _c: Cluster, _primary: GameProcess, standby: GameProcess, _rng: random.Random
) -> None:
    standby.kill()


async def drop_links(
    _c: Cluster, primary: GameProcess, standby: GameProcess, rng: random.Random
) -> None:
    """All links of one node are reset, twice."""
    game = rng.choice([primary, standby])
    for _ in range(2):
        game.drop_links()
        await trio.sleep(rng.uniform(0, 0.5))


async def drain_primary(
    _c: Cluster, primary: GameProcess, _standby: GameProcess, _rng: random.Random
) -> None:
    primary.signal()
    primary.signal()


async def freeze_primary(
    c: Cluster, primary: GameProcess, _standby: GameProcess, rng: random.Random
) -> None:
    c.bus.freeze(primary.name)
    await trio.sleep(rng.uniform(2.5, 7))
    c.bus.heal(primary.name)


async def part(c: Cluster, primary: GameProcess, standby: GameProcess, rng: random.Random) -> None:
    """The two nodes are parted, and perhaps one of them from an api node, too."""
    c.bus.break_link(primary.name, standby.name)
    cut_off = rng.choice([None, primary.name, standby.name])
    if cut_off is not None:
        c.bus.break_link(cut_off, "api-1")
    await trio.sleep(rng.uniform(2.5, 7))
    c.bus.heal(primary.name)
    c.bus.heal(standby.name)


@pytest.mark.parametrize(
    "fault", [kill_primary, kill_standby, drop_links, drain_primary, freeze_primary, part]
)
async def test_all_hear_one_history_whatever_happens(
    rng: random.Random, autojump_clock: MockClock, fault: Fault
) -> None:
    async with cluster() as c:
        api, *games = await three_nodes(c)
        other = c.api("api-2")
        await c.ready(other)
        speakers = await players(c, api, "ark", 1)
        late = await guest(c, other, speakers[0].room)
        speakers.append(late)
        await protected(games[0], 1)
        standby = holder(games[1:])
        c.bus.faults.delay_seconds = DELAY_SECONDS
        async with trio.open_nursery() as nursery:
            for player in speakers:
                nursery.start_soon(speak, player, INPUTS, 0.05)
            await trio.sleep(rng.uniform(0.2, 1.2))
            await fault(c, games[0], standby, rng)
        await heard_all_once(speakers, INPUTS)
        assert undisturbed(speakers)
