"""A surviving room whose node drains, or that of its standby, while something else fails.

If the room's node goes silent while the node of its standby drains, that is noticed after 3 s. A
node that has nothing to do could be gone by then, and the room with it; so it stays until the
room's node has let it go, or until the room goes on there.
"""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.core.survival.actions import Protection
from lastcall.game.departures import LEAVE_SHARE
from lastcall.policy import LinkPolicy
from tests.harness.cluster import CLEAN, CUT, cluster
from tests.moves.survivors import holder, protected, standing, three_nodes, two_nodes
from tests.moves.talks import DRAIN, players, talk, undisturbed

SILENCE_SECONDS = LinkPolicy().silence_seconds
DELAY_SECONDS = 0.02
NOTICED_SECONDS = 1.0
"""Afterwards: until the vote is given, the room has gone on to the third node, and the api node has
confirmed with a heartbeat what it has heard."""


@pytest.mark.parametrize("milliseconds", [-400, *range(-150, 150, 15), 500, 1500, 2500])
async def test_a_room_goes_on_although_its_node_falls_silent_while_its_standby_is_about_to_end(
    autojump_clock: MockClock, milliseconds: int
) -> None:
    """The drain begins ``milliseconds`` after the silence, or before it."""
    async with cluster(milliseconds) as c:
        api, one, two, three = await three_nodes(c)
        c.bus.faults.delay_seconds = DELAY_SECONDS
        speakers = await players(c, api, "raft", 2)
        await talk(speakers, "a")
        await protected(one, 1)
        standby = holder([two, three])
        other = three if standby is two else two
        if milliseconds < 0:
            standby.signal()
            await trio.sleep(-milliseconds / 1000)
        c.bus.freeze("game-1")
        began = trio.current_time()
        if milliseconds >= 0:
            await trio.sleep(milliseconds / 1000)
            standby.signal()
        await standby.gone.wait()
        assert standby.exit_code == CLEAN
        assert trio.current_time() - began < SILENCE_SECONDS + NOTICED_SECONDS
        assert (await talk(speakers, "b"))["count"] == 2
        assert undisturbed(speakers)
        assert other.rooms == 1


@pytest.mark.parametrize("seed", range(10))
async def test_a_room_whose_standby_gets_no_vote_in_time_is_left_to_it_and_goes_on_later(
    autojump_clock: MockClock, seed: int
) -> None:
    async with cluster(seed) as c:
        api, one, two = await two_nodes(c)
        c.bus.faults.delay_seconds = DELAY_SECONDS
        speakers = await players(c, api, "ark", 2)
        await talk(speakers, "a")
        await protected(one, 1)
        c.bus.break_link("game-2", "api-1")  # which is the witness
        began = trio.current_time()
        one.signal()
        with capture_logs() as logs:
            await one.gone.wait()
        leave_at = DRAIN.cut_seconds + LEAVE_SHARE * DRAIN.farewell_seconds
        assert 0 <= trio.current_time() - began - leave_at < NOTICED_SECONDS
        assert [log["rooms"] for log in logs if log["event"] == "survival.left"] == [1]
        assert one.exit_code == CUT  # nobody has said that the room goes on
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.rooms_cut) == (0, 1)
        c.bus.heal("game-2")
        assert (await talk(speakers, "b"))["count"] == 2
        assert undisturbed(speakers)
        assert two.rooms == 1


@pytest.mark.parametrize("seconds", [-1.9, -1.5, -1.1, -0.9, -0.1, 0.1, 1.5])
async def test_a_room_whose_node_hears_only_the_witness_at_its_deadline_goes_on_at_the_standby(
    autojump_clock: MockClock, seconds: float
) -> None:
    """The two are parted ``seconds`` after the deadline, or before it: noticed 3 s later."""
    async with cluster(int(10 * seconds)) as c:
        api, one, two = await two_nodes(c)
        c.bus.faults.delay_seconds = DELAY_SECONDS
        speakers = await players(c, api, "ark", 2)
        await talk(speakers, "a")
        await protected(one, 1)
        one.signal()
        await trio.sleep(DRAIN.cut_seconds + seconds)
        c.bus.break_link("game-1", "game-2")
        await one.gone.wait()
        assert (await talk(speakers, "b"))["count"] == 2
        assert undisturbed(speakers)
        assert two.rooms == 1


async def test_a_node_ends_at_once_although_nobody_else_can_have_its_images(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        began = trio.current_time()
        two.signal()
        await two.gone.wait()
        assert two.exit_code == CLEAN
        assert trio.current_time() - began < NOTICED_SECONDS
        assert standing(one, Protection.UNPROTECTED) == 1
        assert (await talk(speakers, "a"))["count"] == 1
