"""How long players wait for a room that survives its node, if each message between two nodes takes
10 ms, and computing takes no time."""

from __future__ import annotations

import random
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from lastcall.bus.net import Faults
from lastcall.ids import new_incarnation
from lastcall.links.node_watch import BROKEN_SECONDS
from tests.harness.cluster import Cluster, cluster
from tests.harness.player import Player
from tests.moves.survivors import protected, two_nodes
from tests.moves.talks import players, talk, undisturbed

DELAY = 0.01
CALM_SECONDS = 0.2
"""Long enough that all is over which the words before have caused, but for a heartbeat."""

pytestmark = pytest.mark.parametrize("schedule", range(3), indirect=True)


class Latest(random.Random):
    """Draws the longest delay."""

    def uniform(self, _a: float, b: float) -> float:
        return b


def slow_down(c: Cluster) -> None:
    """Each message between nodes takes exactly :data:`DELAY` from now on."""
    c.bus.faults = Faults(rng=Latest(0), delay_seconds=DELAY)


async def wait_for_words(speakers: list[Player], said: str) -> float:
    """How long it takes until all have heard what the first one says, with nothing else to do."""
    await talk(speakers, f"before {said}")
    await trio.sleep(CALM_SECONDS)
    began = trio.current_time()
    await talk(speakers, said)
    return trio.current_time() - began


def seed_where(first_calls: bool) -> int:
    """A seed by which game-1, which has the first room, calls game-2 or is called by it: the one
    with the lower incarnation calls."""
    for seed in count():
        one, two = (new_incarnation(random.Random(f"{seed} game-{n}")) for n in (1, 2))
        if (one < two) is first_calls:
            return seed
    raise AssertionError


@pytest.mark.parametrize("calls", [True, False])
async def test_words_of_a_room_that_survives_leave_after_one_round_trip_to_its_standby(
    autojump_clock: MockClock, schedule: int, calls: bool
) -> None:
    async with cluster(seed_where(calls)) as c:
        api, one, two = await two_nodes(c)
        assert (one.node.incarnation < two.node.incarnation) is calls
        speakers = await players(c, api, "ark", 2)
        plain = await players(c, api, "den", 2)
        await protected(one, 1)
        slow_down(c)
        assert await wait_for_words(plain, "a") == pytest.approx(2 * DELAY)
        assert await wait_for_words(speakers, "a") == pytest.approx(4 * DELAY)


async def test_a_room_whose_node_is_killed_speaks_again_after_8_messages_between_nodes(
    autojump_clock: MockClock, schedule: int
) -> None:
    """The connections break, and are probed; the vote is asked for, and given; the api node is
    told, and renews the places; the input is sent again, and heard.

    A heartbeat may be under way, whose answer the next request has to wait for.
    """
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        slow_down(c)
        await wait_for_words(speakers, "a")
        await trio.sleep(CALM_SECONDS)
        one.kill()
        began = trio.current_time()
        assert (await talk(speakers, "b"))["moves"] == 1
        seconds = trio.current_time() - began - BROKEN_SECONDS[0]
        assert 8 * DELAY <= round(seconds, 9) < 10 * DELAY
        assert undisturbed(speakers)


async def test_a_room_whose_standby_is_killed_speaks_again_after_4_messages_between_nodes(
    autojump_clock: MockClock, schedule: int
) -> None:
    """The connections break, and are probed; the vote is asked for, and given; the words leave."""
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        slow_down(c)
        await wait_for_words(speakers, "a")
        await trio.sleep(CALM_SECONDS)
        two.kill()
        began = trio.current_time()
        assert (await talk(speakers, "b"))["moves"] == 0
        assert trio.current_time() - began == pytest.approx(4 * DELAY + BROKEN_SECONDS[0])
        assert undisturbed(speakers)
