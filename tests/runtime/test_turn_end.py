"""The end of a turn of the loop: acts that tasks have asked for, before the loop waits."""

from __future__ import annotations

from functools import partial

import pytest
import structlog.testing
import trio
import trio.testing

from lastcall.runtime.turn_end import TurnEnd


@pytest.fixture
async def turn_end(nursery: trio.Nursery) -> TurnEnd:
    turn_end = TurnEnd()
    nursery.start_soon(turn_end.run)
    await trio.testing.wait_all_tasks_blocked()
    return turn_end


async def test_it_is_done_once_after_all_tasks_of_the_turn_and_before_the_next(
    turn_end: TurnEnd, schedule: None
) -> None:
    done: list[str] = []
    act = partial(done.append, "act")

    async def ask(name: str) -> None:
        done.append(name)
        turn_end.at_end(act)
        await trio.lowlevel.checkpoint()
        done.append("later")

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(ask, name)
    assert (sorted(done[:3]), done[3:]) == (["a", "b", "c"], ["act", "later", "later", "later"])


async def test_what_is_asked_for_at_the_end_of_a_turn_is_done_at_the_end_of_the_next(
    turn_end: TurnEnd,
) -> None:
    turns = 0

    def act() -> None:
        nonlocal turns
        turns += 1
        turn_end.at_end(act)

    turn_end.at_end(act)
    for turn in range(1, 4):
        await trio.lowlevel.checkpoint()
        assert turns == turn


async def test_one_that_fails_is_logged_and_costs_the_others_nothing(turn_end: TurnEnd) -> None:
    done: list[str] = []
    turn_end.at_end(lambda: done.append("before"))
    turn_end.at_end(lambda: done.remove("nothing"))
    turn_end.at_end(lambda: done.append("after"))
    with structlog.testing.capture_logs() as logs:
        await trio.lowlevel.checkpoint()
    assert done == ["before", "after"]
    assert [log["event"] for log in logs] == ["turn.act_failed"]
    turn_end.at_end(lambda: done.append("next"))
    await trio.lowlevel.checkpoint()
    assert done == ["before", "after", "next"]


async def test_nothing_is_done_unless_it_runs() -> None:
    turn_end, done = TurnEnd(), list[str]()
    async with trio.open_nursery() as nursery:
        turn_end.at_end(lambda: done.append("too early"))
        nursery.start_soon(turn_end.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    turn_end.at_end(lambda: done.append("too late"))
    await trio.lowlevel.checkpoint()
    assert done == []
