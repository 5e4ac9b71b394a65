"""A game node that knows others drains as one that does not, and tells them that it goes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.links.link_counts import Loss
from lastcall.policy import DrainPolicy
from tests.harness.cluster import CLEAN, CUT, cluster
from tests.harness.player import Player
from tests.links.test_peers import Recorder, in_any_order, linked, no_complaints
from tests.moves.rooms import KINDS

LONG = DrainPolicy(grace_seconds=60, farewell_seconds=3)


@in_any_order
async def test_the_links_to_peers_stand_until_the_last_room_of_a_drain_is_cut(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        drain = DrainPolicy(grace_seconds=10, farewell_seconds=3)
        one, two = await linked(c, "game-1", "game-2", drain=drain, kinds=KINDS)
        api = c.api()
        await c.ready(api)
        await Player(c.nursery).join(api, kind="cell")
        log = Recorder(two)
        start, old = trio.current_time(), one.node.incarnation
        one.signal()
        await trio.sleep(6.9)
        assert (one.peers, one.rooms) == ({"game-2"}, 1)
        assert [peer.state.phase for peer in two.node.others.peers.candidates] == ["draining"]
        await one.gone.wait()
        assert 7 <= trio.current_time() - start <= 8.5
        assert one.exit_code == CUT
        await trio.sleep(1.5)
        assert log.take() == [("down", old, Loss.FAREWELL), ("gone", old)]


async def test_a_node_that_has_said_its_farewell_is_gone_although_it_still_waits_for_others(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two, _ = await linked(c, "game-1", "game-2", "game-3", drain=LONG)
        log, old = Recorder(two), one.node.incarnation
        c.bus.freeze("game-3")
        one.signal()
        await trio.sleep(2)
        assert one.exit_code is None
        assert log.take() == [("down", old, Loss.FAREWELL), ("gone", old)]
        assert two.peers == {"game-3"}
        await one.gone.wait()


@in_any_order
async def test_nodes_that_stop_at_the_same_moment_do_not_wait_for_each_other(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with no_complaints():
            games = await linked(c, "game-1", "game-2", "game-3", drain=LONG)
            start = trio.current_time()
            for game in games:
                game.signal()
            for game in games:
                await game.gone.wait()
        assert trio.current_time() - start <= 1.5
        assert {game.exit_code for game in games} == {CLEAN}


async def test_a_frozen_peer_delays_the_end_of_a_drain_by_the_farewell_at_most(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, _ = await linked(c, "game-1", "game-2", drain=LONG)
        c.bus.freeze("game-2")
        start = trio.current_time()
        one.signal()
        await one.gone.wait()
        assert trio.current_time() - start <= LONG.farewell_seconds + 1
        assert one.exit_code == CLEAN


async def test_a_node_with_a_frozen_peer_ends_within_its_grace(autojump_clock: MockClock) -> None:
    """It takes half a second to find that the peer does not hear that this node leaves."""
    drain = DrainPolicy(grace_seconds=10, farewell_seconds=1)
    async with cluster() as c:
        one, _ = await linked(c, "game-1", "game-2", drain=drain, kinds=KINDS)
        api = c.api()
        await c.ready(api)
        await Player(c.nursery).join(api, kind="cell")
        start = trio.current_time()
        one.signal()
        await trio.sleep(8.9)
        c.bus.freeze("game-2")
        await one.gone.wait()
        assert 9 <= trio.current_time() - start <= drain.grace_seconds


@in_any_order
@pytest.mark.parametrize("seconds", [0.05, 0.15])
async def test_a_stop_during_an_attach_ends_the_node_at_once(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with cluster() as c:
        [one] = await linked(c, "game-1")
        c.bus.faults.delay_seconds = 0.2
        two = c.game("game-2", peers=True)
        await c.ready(two)
        await trio.sleep(seconds)
        start = trio.current_time()
        two.signal()
        await two.gone.wait()
        assert trio.current_time() - start <= 2
        assert two.exit_code == CLEAN
        await trio.sleep(6)
        assert (one.peers, one.links) == (set(), {})


async def test_a_node_whose_peers_are_unreachable_serves_and_drains_as_one_without(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        for name in ("game-2", "game-3"):
            c.address(name)
        c.bus.break_link("game-3")
        with no_complaints():
            game, api = c.game("game-1", peers=True, drain=LONG), c.api()
            await c.ready(game, api)
            ann = Player(c.nursery)
            await ann.join(api, kind="countdown", options={"seconds": 10})
            start = trio.current_time()
            game.signal()
            await game.gone.wait()
        assert 9 <= trio.current_time() - start <= 11
        assert game.exit_code == CLEAN
