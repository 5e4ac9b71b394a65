"""Resumes of players whose room was given up: which nodes are asked again, and when it ends."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from lastcall.api.games.calls import sweep_often
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.games.resumes import Resumes
from lastcall.api.limits import ClientLimits
from lastcall.core.edge.missing_nodes import MissingNodes
from lastcall.ids import Ticket
from lastcall.limits import Limits
from lastcall.wire import nodes
from tests.api.fake_links import Caller, FakeGameLink

TICKET = Ticket("game-1.den", "p1", "5ec7e7")


class Tier:
    """A ``Resumes`` that has met ``nodes``; the first of them has drained and left at once."""

    def __init__(self, *names: str) -> None:
        self.resumes = Resumes(
            numbers=itertools.count(1),
            missing=lambda: MissingNodes(any_place=False),
            resume_seconds=3,
            regroup_seconds=7,
            limits=ClientLimits(Limits(), Counter()),
            at_once=32,
            moved_rooms=MovedRooms(),
        )
        links = [FakeGameLink(name) for name in names]
        for link in links:
            self.resumes.link_up(link)
        self.gone, *self.links = links

    def leave(self, phase: str) -> None:
        self.gone.state = nodes.NodeState(2, phase, 0, {})
        self.resumes.link_state(self.gone)
        if phase != "stopped":
            self.resumes.link_down(self.gone)

    def begin(self) -> Caller:
        caller = Caller("")
        self.resumes.begin(caller, TICKET, 0)
        return caller

    async def refuse_for(self, seconds: float) -> None:
        """All nodes refuse at once what they are asked."""
        until = trio.current_time() + seconds
        answered = {id(link): 0 for link in self.links}
        while trio.current_time() < until:
            for link in self.links:
                for call in link.calls[answered[id(link)] :]:
                    refusal = nodes.Refused(call, nodes.NO_SUCH_PLACE, "the reason")
                    self.resumes.refused(link, refusal)
                answered[id(link)] = len(link.calls)
            await trio.sleep(0.01)


async def tier(nursery: trio.Nursery, *names: str) -> Tier:
    tier = Tier(*names)
    nursery.start_soon(sweep_often, tier.resumes)
    await trio.sleep(20)
    return tier


@pytest.mark.parametrize("phase", ["draining", "cutting", "stopped"])
async def test_after_a_node_that_drained_has_left_all_others_are_asked_5_to_7_times_in_3_s(
    phase: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    games = await tier(nursery, "game-1", "game-2", "game-3")
    games.leave(phase)
    caller = games.begin()
    await games.refuse_for(2.9)
    assert caller.told == []
    await games.refuse_for(0.3)
    assert caller.told == ["1013"]
    assert all(5 <= len(link.calls) <= 7 for link in games.links)
    assert len(games.resumes) == 0


async def test_after_a_node_that_served_is_gone_each_other_is_asked_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    games = await tier(nursery, "game-1", "game-2", "game-3")
    games.leave("serving")
    caller = games.begin()
    await games.refuse_for(0.1)
    assert caller.told == ["4004"]
    assert [len(link.calls) for link in games.links] == [1, 1]


async def test_a_no_of_the_last_moment_is_not_final_and_the_next_one_is(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    games = await tier(nursery, "game-1", "game-2")
    games.leave("stopped")
    await trio.sleep(6.9)
    caller = games.begin()
    await games.refuse_for(0.4)
    assert caller.told == []
    await games.refuse_for(0.4)
    assert caller.told == ["4004"]
    assert len(games.links[0].calls) == 2
