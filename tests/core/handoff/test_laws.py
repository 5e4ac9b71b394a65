"""The laws of a hand-off, for any order of deliveries, resets, crashes and refusals.

* A room never runs on two nodes, and always goes on from its newest state.
* It is lost only if the node that it belonged to has died.
* Every offer ends within a bound, and nobody keeps anything of it.

Each rule is needed: taken out, a walk finds that a law is broken.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall.core.handoff.adoptions import Adoptions
from lastcall.core.handoff.offers import Offers
from tests.core.handoff.mutants import MUTANTS, Mutant
from tests.core.handoff.world import Broken, World

STEPS, WALKS = 150, 100


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 1 << 16), min_size=STEPS // 2, max_size=STEPS))
def test_a_room_has_one_owner_its_newest_state_and_an_end_of_each_offer(picks: list[int]) -> None:
    World().walk(picks)


def walks(offers: type[Offers], adoptions: type[Adoptions]) -> None:
    for seed in range(WALKS):
        rng = random.Random(seed)
        World(offers, adoptions).walk(rng.getrandbits(16) for _ in range(STEPS))


def test_the_walks_that_find_the_mutants_find_nothing_in_the_rules_as_they_are() -> None:
    walks(Offers, Adoptions)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.without)
def test_each_rule_is_needed(mutant: Mutant) -> None:
    with pytest.raises(Broken):
        walks(mutant.offers, mutant.adoptions)
