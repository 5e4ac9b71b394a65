"""Bots against a server in memory, in virtual time."""

from __future__ import annotations

import random

import pytest
import trio

from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger, at_quantile


async def play(house, *, bots=4, seconds=30.0):
    """Lets bots play, then stops them; returns the ledger and the seconds that the stop took."""
    ledger = Ledger(trio.current_time)
    crowd = Bots(["ws://house/"], bots, ledger, random.Random(7), open_stream=house.open_stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await trio.sleep(seconds)
        crowd.stop()
        stopped = trio.current_time()
    return ledger, trio.current_time() - stopped


async def test_bots_play_clean_matches_and_finish_theirs_when_stopped(house, autojump_clock):
    ledger, stopping = await play(house)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert ledger.matches >= 20
    assert ledger.unpaired == ledger.walkovers == 0
    assert ledger.first_match_seconds is not None
    assert ledger.first_match_seconds < 3
    assert stopping < 9 * 0.25


async def test_a_bot_that_waits_alone_leaves_when_stopped(house, autojump_clock):
    ledger, stopping = await play(house, bots=1, seconds=5)
    assert (house.leaves, stopping) == (1, 0)
    assert (ledger.matches, ledger.errors) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "count", "word"),
    [
        ("repeat", "repeats", ""),
        ("gap", "gaps", ""),
        ("wrong winner", "errors", "but the winner is"),
        ("two results", "errors", "after the board"),
        ("cheat", "errors", "does not follow"),
        ("silence", "errors", "nothing happened for 10 s"),
    ],
)
async def test_each_fault_of_the_server_is_detected(house, autojump_clock, fault, count, word):
    house.fault = fault
    ledger, _ = await play(house, bots=2, seconds=15)
    assert getattr(ledger, count) >= 1
    assert not ledger.clean
    assert word in "".join(ledger.error_texts)


async def test_a_moved_bot_reconnects_at_once_and_that_is_not_an_error(house, autojump_clock):
    house.move_after_matches = True
    ledger, _ = await play(house, bots=2, seconds=20)
    assert ledger.reconnects >= 2 * ledger.matches - 2 > 0
    assert ledger.clean


async def test_a_join_that_may_be_tried_again_is_tried_again(house, autojump_clock):
    house.refuse_joins = 3
    ledger, _ = await play(house, bots=2, seconds=10)
    assert ledger.refused_joins == 3
    assert ledger.matches > 0
    assert ledger.clean


async def test_a_server_that_cannot_be_reached_is_an_error_each_time(autojump_clock):
    async def nobody(url):
        raise ConnectionRefusedError("refused")

    class Nowhere:
        open_stream = staticmethod(nobody)

    ledger, _ = await play(Nowhere, bots=1, seconds=5)
    assert 8 <= ledger.errors <= 25
    assert "refused" in ledger.error_texts[0]


async def test_a_match_continues_through_another_socket_when_its_socket_is_closed(
    house, autojump_clock
):
    house.hang_up_in_matches = True
    ledger, _ = await play(house, bots=2, seconds=20)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert ledger.matches >= 3
    assert ledger.reconnects >= 2 * ledger.matches
    assert ledger.cut == ledger.unpaired == ledger.walkovers == 0


async def test_a_place_that_cannot_be_resumed_is_an_error(house, autojump_clock):
    house.hang_up_in_matches = True
    house.fault = "forgets"
    ledger, _ = await play(house, bots=2, seconds=3)
    assert ledger.errors >= 2
    assert "4004" in ledger.error_texts[0]
    assert ledger.matches == 0


async def test_a_second_joined_before_the_match_is_not_a_fault(house, autojump_clock):
    house.regroup_first = True
    ledger, _ = await play(house, bots=2, seconds=20)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert ledger.matches > 0


async def test_a_wait_begins_with_the_first_request_and_a_refusal_does_not_restart_it(
    house, autojump_clock
):
    house.refuse_joins = 1
    ledger, _ = await play(house, bots=2, seconds=10)
    assert 0.2 <= at_quantile(ledger.join_waits, 1) <= 0.6 + 0.001
    assert ledger.join_waits.total() >= 2 * ledger.matches


async def test_hops_are_counted_by_bot(house, autojump_clock):
    house.move_after_matches = True
    ledger, _ = await play(house, bots=2, seconds=20)
    assert set(ledger.hops) == {"bot-1", "bot-2"}
    assert abs(ledger.hops["bot-1"] - ledger.hops["bot-2"]) <= 1
    assert ledger.cut == 0
