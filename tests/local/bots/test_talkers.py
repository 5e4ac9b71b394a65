"""Bots that talk in lounges, in a whole cluster in memory."""

from __future__ import annotations

import random

import pytest
import trio

from lastcall import Room, Said, room
from lastcall.game.examples import lounge
from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger
from tests.harness.cluster import cluster
from tests.harness.counts import players_in


def deaf():
    @room("lounge", seats=50)
    async def kind(table: Room) -> None:
        async for _ in table:
            pass

    return kind


def wrong():
    @room("lounge", seats=50)
    async def kind(table: Room) -> None:
        async for event in table:
            if isinstance(event, Said):
                table.broadcast({"from": event.player, "said": 7})

    return kind


def ends():
    @room("lounge", seats=50)
    async def kind(table: Room) -> None:
        await trio.sleep(1)

    return kind


async def talk(kind, seconds):
    """Three bots talk for that long, and are stopped; returns the ledger."""
    ledger = Ledger(trio.current_time)
    async with cluster(1) as c:
        game, api = c.game(kinds={"lounge": kind}), c.api()
        await c.ready(game, api)

        async def open_stream(_url):
            return await api.listener.connect()

        bots = Bots(["ws://a/"], 0, ledger, random.Random(1), talkers=3, open_stream=open_stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bots.run)
            await trio.sleep(seconds)
            bots.stop()
        await trio.sleep(1)
        assert players_in(game.node.host) == 0
    return ledger


async def test_bots_that_talk_find_no_fault_and_leave_when_stopped(autojump_clock):
    ledger = await talk(lounge.lounge, 20)
    assert ledger.clean
    assert ledger.join_waits.total() == 3
    assert (ledger.cut, ledger.matches) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "seconds", "text"),
    [
        (deaf, 15, "nothing happened for 10 s"),
        (wrong, 3, "the bot said 1, and heard 7"),
        (ends, 3, "the lounge ended with finished"),
    ],
)
async def test_each_fault_of_a_lounge_is_found(kind, seconds, text, autojump_clock):
    ledger = await talk(kind(), seconds)
    assert not ledger.clean
    assert any(text in each for each in ledger.error_texts), ledger.error_texts
