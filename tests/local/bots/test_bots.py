"""Bots against a server in memory, in virtual time."""

from __future__ import annotations

import random

import pytest
import trio

from lastcall.client import connect
from lastcall.local.bots.bot import ARRIVE_SECONDS
from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger, at_quantile
from lastcall.local.bots.player import THINK_SECONDS, WAIT_SECONDS


async def play(fake_server, *, bots=4, seconds=30.0):
    """Runs bots, then stops them; returns the ledger and the seconds that the stop took."""
    ledger = Ledger(trio.current_time)
    all_bots = Bots(
        ["ws://server/"], bots, ledger, random.Random(7), open_stream=fake_server.open_stream
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_bots.run)
        await trio.sleep(seconds)
        all_bots.stop()
        stopped = trio.current_time()
    return ledger, trio.current_time() - stopped


async def test_bots_play_clean_matches_and_finish_them_when_stopped(fake_server, autojump_clock):
    ledger, stop_seconds = await play(fake_server)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert ledger.matches >= 20
    assert ledger.unpaired == ledger.walkovers == 0
    assert ledger.first_match_seconds is not None
    assert ledger.first_match_seconds < 3
    assert stop_seconds < 9 * 0.25


async def test_a_bot_that_waits_alone_leaves_when_stopped(fake_server, autojump_clock):
    ledger, stop_seconds = await play(fake_server, bots=1, seconds=3)
    assert (fake_server.left, stop_seconds) == (1, 0)
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
async def test_each_fault_of_the_server_is_detected(
    fake_server, autojump_clock, fault, count, word
):
    fake_server.fault = fault
    ledger, _ = await play(fake_server, bots=2, seconds=15)
    assert getattr(ledger, count) >= 1
    assert not ledger.clean
    assert word in "".join(ledger.error_texts)


async def test_a_person_may_think_for_long_and_leave_a_match_with_a_bot(
    fake_server, autojump_clock
):
    async def think_and_leave():
        async with connect(
            ["ws://server/"], kind="tictactoe", open_stream=fake_server.open_stream
        ) as place:
            message = await anext(place)
            while message.data["turn"] != place.you:
                message = await anext(place)
            await trio.sleep(35)
            await place.say({"cell": message.data["board"].index("-")})
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(think_and_leave)
        ledger, stop_seconds = await play(fake_server, bots=1, seconds=60)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert (ledger.matches, ledger.walkovers, ledger.unpaired) == (0, 0, 0)
    assert stop_seconds <= 10


@pytest.mark.parametrize("first", [0.0, 3.0])
async def test_people_who_come_one_after_the_other_wait_for_one_match_of_bots_at_most(
    fake_server, autojump_clock, first
):
    waits = []

    async def come(at):
        await trio.sleep(at)
        async with connect(
            ["ws://server/"], kind="tictactoe", open_stream=fake_server.open_stream
        ) as place:
            await anext(place)
            waits.append(trio.current_time() - at)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(come, first + 1.7 * number)
        ledger, _ = await play(fake_server, bots=8, seconds=13)
    assert len(waits) == 6, list(ledger.error_texts)
    assert max(waits) < 9 * THINK_SECONDS[1]


async def test_a_bot_that_waits_in_vain_finds_the_person_who_waits_in_another_room(
    fake_server, autojump_clock
):
    async def wait_in_a_room_that_the_bot_did_not_find():
        await trio.sleep(1)
        async with connect(
            ["ws://server/"], kind="tictactoe", new=True, open_stream=fake_server.open_stream
        ) as place:
            await anext(place)
            assert fake_server.left == 1
            assert trio.current_time() - began <= ARRIVE_SECONDS + WAIT_SECONDS[1]
            nursery.cancel_scope.cancel()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_in_a_room_that_the_bot_did_not_find)
        await play(fake_server, bots=1)
        raise AssertionError("nobody came")


async def test_bots_that_come_at_the_same_time_do_not_all_wait(fake_server, autojump_clock):
    fake_server.join_seconds = 0.5
    ledger, _ = await play(fake_server, bots=6, seconds=5)
    assert ledger.matches >= 2
    assert ledger.clean


async def test_no_bot_takes_the_seat_that_a_person_keeps_for_a_friend(fake_server, autojump_clock):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, fake_server)
        request = {"urls": ["ws://server/"], "open_stream": fake_server.open_stream}
        async with connect(kind="tictactoe", private=True, **request) as mine:
            with trio.move_on_after(20) as waiting:
                await anext(mine)
            assert waiting.cancelled_caught
            async with connect(room=mine.room, **request) as theirs:
                assert (await anext(mine)).data == (await anext(theirs)).data
    assert fake_server.rooms > 20, "the bots have played meanwhile"


async def test_a_moved_bot_reconnects_at_once_and_that_is_not_an_error(fake_server, autojump_clock):
    fake_server.move_after_matches = True
    ledger, _ = await play(fake_server, bots=2, seconds=20)
    assert ledger.hops.total() >= 2 * ledger.matches - 2 > 0
    assert ledger.clean


async def test_a_join_refused_with_retry_is_sent_again(fake_server, autojump_clock):
    fake_server.refuse_joins = 3
    ledger, _ = await play(fake_server, bots=2, seconds=10)
    assert ledger.refused_joins == 3
    assert ledger.matches > 0
    assert ledger.clean


async def test_a_join_at_a_node_that_dies_is_sent_again(fake_server, autojump_clock):
    fake_server.die_in_joins = 3
    ledger, _ = await play(fake_server, bots=2, seconds=10)
    assert ledger.refused_joins == 3
    assert ledger.matches > 0
    assert ledger.clean


async def test_each_failed_connection_is_counted_as_an_error(autojump_clock):
    async def refuse(url):
        raise ConnectionRefusedError("refused")

    class UnreachableServer:
        open_stream = staticmethod(refuse)

    ledger, _ = await play(UnreachableServer, bots=1, seconds=5)
    assert 8 <= ledger.errors <= 25
    assert "refused" in ledger.error_texts[0]


async def test_a_match_continues_through_another_socket_when_its_socket_is_closed(
    fake_server, autojump_clock
):
    fake_server.move_in_matches = True
    ledger, _ = await play(fake_server, bots=2, seconds=20)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert ledger.matches >= 3
    assert ledger.hops.total() >= 2 * ledger.matches
    assert ledger.cut == ledger.unpaired == ledger.walkovers == 0


async def test_a_place_that_cannot_be_resumed_is_an_error(fake_server, autojump_clock):
    fake_server.move_in_matches = True
    fake_server.fault = "forgets"
    ledger, _ = await play(fake_server, bots=2, seconds=3)
    assert ledger.errors >= 2
    assert "4004" in ledger.error_texts[0]
    assert ledger.matches == 0


async def test_a_second_joined_before_the_match_is_not_a_fault(fake_server, autojump_clock):
    fake_server.regroup_first = True
    ledger, _ = await play(fake_server, bots=2, seconds=20)
    assert list(ledger.error_texts) == []
    assert ledger.clean
    assert ledger.matches > 0


async def test_the_wait_to_join_is_counted_from_the_first_request(fake_server, autojump_clock):
    fake_server.refuse_joins = 1
    ledger, _ = await play(fake_server, bots=2, seconds=10)
    assert 0.2 <= at_quantile(ledger.join_waits, 1) <= 0.6 + 0.001
    assert ledger.join_waits.total() >= 2 * ledger.matches


async def test_hops_are_counted_by_bot(fake_server, autojump_clock):
    fake_server.move_after_matches = True
    ledger, _ = await play(fake_server, bots=2, seconds=20)
    assert set(ledger.hops) == {"bot-1", "bot-2"}
    assert abs(ledger.hops["bot-1"] - ledger.hops["bot-2"]) <= 1
    assert ledger.cut == 0
