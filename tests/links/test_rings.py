"""An api node is too far behind if items wait over time without progress, not after a burst."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.bus.memory import Faults
from lastcall.policy import LinkPolicy
from lastcall.wire import nodes
from tests.links.test_links import POLICY, ROOM, message, pair, settle

SHARE = 100
SMALL = LinkPolicy(ring_items=SHARE, ring_items_max=1_000)
SILENCE, LOST, PROBE = POLICY.silence_seconds, POLICY.lost_seconds, POLICY.probe_seconds


class StoppedFeed:
    """Nothing arrives of what a game node publishes; requests and replies do."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def __enter__(self) -> None:
        self.faults.drop = 1.0

    def __exit__(self, *_: object) -> None:
        self.faults.drop = 0.0


@pytest.mark.parametrize(("items", "dropped_after"), [(SHARE, LOST), (SHARE + 2, SILENCE)])
async def test_a_link_whose_feed_stands_still_is_dropped_sooner_if_it_is_over_its_share(
    items: int, dropped_after: float, autojump_clock: MockClock
) -> None:
    async with pair() as both:
        game = both.start_game(1, SMALL)
        link = await both.link()
        await settle(1)
        with StoppedFeed(both.bus.faults):
            for seq in range(1, items + 1):
                game.feeds.push(link.id, message(seq))
            begin = trio.current_time()
            while not game.handler.dropped:
                await trio.sleep(0.01)
        assert dropped_after - PROBE <= trio.current_time() - begin <= dropped_after + 2 * PROBE
        assert game.feeds.excess.bytes == 0


async def test_an_api_node_that_gets_a_little_every_two_seconds_is_never_dropped(
    autojump_clock: MockClock,
) -> None:
    """For a minute it is over its share."""
    async with pair() as both:
        game = both.start_game(1, SMALL)
        link = await both.link()
        await settle(1)
        ring, seq = game.feeds.links[link.id].ring, 0
        for _ in range(30):
            with StoppedFeed(both.bus.faults):
                for _ in range(2 * SHARE):
                    seq += 1
                    game.feeds.push(link.id, message(seq))
                await trio.sleep(2)
                assert ring.over_share
            await trio.sleep(0.2)
        await settle(1)
        assert game.handler.dropped == []
        assert both.listener.seqs[link.id] == list(range(1, seq + 1))
        assert game.feeds.excess.bytes == 0


async def test_a_burst_of_64_mib_is_confirmed_as_it_arrives_and_not_with_the_heartbeat(
    autojump_clock: MockClock,
) -> None:
    """The virtual clock stands still while everybody is busy: nothing here waits for it."""
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        await settle(POLICY.heartbeat_seconds / 2)
        ring = game.feeds.links[link.id].ring
        for seq in range(1, 257):
            game.feeds.push(link.id, nodes.Message(ROOM, 0, seq, bytes(250 * 1024)))
        assert ring.over_share
        await settle(POLICY.repair_seconds)
        assert ring.bytes_held < POLICY.confirm_bytes


async def test_while_8_mib_for_one_link_are_published_others_run_8_times_and_the_order_is_kept(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        await settle(1)
        ring, turns = game.feeds.links[link.id].ring, 0
        for seq in range(1, 34):
            game.feeds.push(link.id, nodes.Message(ROOM, 0, seq, bytes(250 * 1024)))
        while ring.has_fresh:
            await trio.lowlevel.checkpoint()
            turns += 1
            if turns == 4:
                game.feeds.push(link.id, message(34))
        assert turns >= 8
        await settle(1)
        assert both.listener.seqs[link.id] == list(range(1, 35))
        assert game.handler.dropped == []
