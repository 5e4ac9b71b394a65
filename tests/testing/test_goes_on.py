"""The test kit: what goes on at another node, by a move or after the loss of the node alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from lastcall import Kind
from lastcall.errors import JoinRefused
from lastcall.reasons import EndReason
from lastcall.testing import Table, play
from tests.testing.adding import each_way

Leave = Callable[[Table], Awaitable[None]]


@each_way
async def test_the_state_stays_and_the_locals_begin_anew(kind: Kind, leave: Leave) -> None:
    async with play(kind) as table:
        ann = table.join()
        for number in (1, 2, 3):
            table.say(ann, number)
            await table.messages()
            await leave(table)
            assert await table.messages() == []
        table.say(ann, "end")
        assert await table.ended() == [6, ["Joined"], 1, 3]
        assert table.heard_by(ann) == [1, 3, 6, "bye"]


@each_way
@pytest.mark.parametrize("seconds", [0, 1])
async def test_players_who_are_away_may_come_back_and_else_leave_in_time(
    kind: Kind, leave: Leave, seconds: float, autojump_clock: MockClock
) -> None:
    async with play(kind) as table:
        ann, bob = table.join(), table.join()
        table.say(ann, 5)
        await table.messages()
        table.away(ann)
        table.away(bob)
        await trio.sleep(seconds)
        await leave(table)  # Away is due 2 s after the loss of the socket
        await trio.sleep(5)
        table.back(bob)
        await trio.sleep(14.9 - seconds)
        await leave(table)
        table.say(bob, 1)
        await table.messages()
        await trio.sleep(0.2)
        with pytest.raises(JoinRefused):  # 20 s are over
            table.back(ann)
        table.say(bob, "end")
        seen = ["Joined", "Joined", "Away", "Away", "Back", "Left"]
        assert (await table.ended())[:2] == [6, seen]
        assert table.heard_by(bob) == [5, 6, "bye"]


@each_way
async def test_an_alarm_comes_at_its_time(
    kind: Kind, leave: Leave, autojump_clock: MockClock
) -> None:
    async with play(kind) as table:
        ann = table.join()
        table.say(ann, "bell")
        await trio.sleep(6)
        await leave(table)
        await trio.sleep(3.9)
        await leave(table)
        live = table.host.find(table.room)
        assert live is not None
        assert live.state.author_state.seen == ["Joined"]
        await trio.sleep(0.2)
        table.say(ann, "end")
        assert (await table.ended())[1] == ["Joined", "Alarm"]


@each_way
async def test_a_new_player_joins_the_room_where_it_is_now(kind: Kind, leave: Leave) -> None:
    async with play(kind) as table:
        ann = table.join()
        await table.messages()
        await leave(table)
        bob = table.join()
        assert ann != bob
        table.say(bob, 4)
        await table.messages()
        assert table.heard_by(ann) == table.heard_by(bob) == [4]


@each_way
async def test_a_crash_before_it_is_raised_by_it(kind: Kind, leave: Leave) -> None:
    async with play(kind) as table:
        table.say(table.join(), "crash")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="the input was crash"):
            await leave(table)
        assert table.reason is EndReason.CRASHED
