"""The law of a room that survives, under random schedules; and that each rule is necessary."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall.core.survival.primary import Primary
from lastcall.core.survival.standby import Standby
from tests.core.survival.mutants import (
    LeavesAlways,
    LeavesInSilence,
    LeavesTheLastImage,
    LeavesToACandidate,
    LeavesUnasked,
    LeavesWithAVote,
    of_holders,
)
from tests.core.survival.schedules import DEADLINES, EXITS, run, run_seed, run_swarm
from tests.core.survival.world import Broken, World

SCHEDULES = 300
EXITS_SCHEDULES = 100
SWARM_SCHEDULES = 200


@pytest.mark.parametrize("seed", [54300, 104164, 107581])
def test_the_law_holds_in_a_schedule_that_has_broken_it_once(seed: int) -> None:
    run_seed(seed)


@pytest.mark.parametrize("first", range(0, SCHEDULES, 100))
def test_everything_heard_belongs_to_one_history_and_the_room_goes_on(first: int) -> None:
    worlds = [run_seed(seed) for seed in range(first, first + 100)]
    assert sum(world.promotions for world in worlds) > 20


@pytest.mark.parametrize("seed", [923])
def test_the_law_holds_in_a_schedule_with_exits_that_has_broken_it_once(seed: int) -> None:
    run_seed(seed, ops=EXITS)


def run_exits(**parts: type) -> None:
    for seed in range(EXITS_SCHEDULES):
        run_seed(seed, ops=EXITS, **parts)


def test_a_node_that_drains_may_give_its_image_back_and_the_room_goes_on() -> None:
    run_exits()


@pytest.mark.parametrize("standby", [LeavesAlways, LeavesTheLastImage, LeavesUnasked])
def test_a_node_that_may_have_to_run_a_room_does_not_leave(standby: type[Standby]) -> None:
    mutant = of_holders("a node leaves with no room that it may have to run", standby_type=standby)
    with pytest.raises(Broken, match="0 nodes run the room"):
        run_exits(rooms=mutant.rooms)


def run_deadlines(**parts: type) -> None:
    for seed in range(EXITS_SCHEDULES):
        run_seed(seed, ops=DEADLINES, **parts)


def test_a_node_may_leave_its_room_to_the_standby_before_the_witness_has_voted() -> None:
    run_deadlines()


@pytest.mark.parametrize(
    ("primary", "seed"),
    [(LeavesWithAVote, 3390), (LeavesToACandidate, 2549), (LeavesInSilence, 189)],
)
def test_a_room_is_left_to_a_standby_that_may_be_promoted_and_knows_it(
    primary: type[Primary], seed: int
) -> None:
    mutant = of_holders("a room is left to a standby that may be promoted", primary_type=primary)
    run_seed(seed, ops=DEADLINES)
    with pytest.raises(Broken, match="0 nodes run the room"):
        run_seed(seed, ops=DEADLINES, rooms=mutant.rooms)


@pytest.mark.parametrize("first", range(0, SWARM_SCHEDULES, 100))
def test_the_law_holds_whatever_happens_often(first: int) -> None:
    worlds = [run_swarm(seed) for seed in range(first, first + 100)]
    assert sum(world.promotions for world in worlds) > 20


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_law_holds_for_schedules_that_hypothesis_shrinks(rng: random.Random) -> None:
    run(World(rng), steps=60)
