"""Each rule is in one list of mutants, and is shown to be necessary."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.core.survival.mutants import Mutant, mutants, scenario_mutants, swarm_mutants
from tests.core.survival.schedules import run_seed, run_swarm
from tests.core.survival.test_model import SCHEDULES
from tests.core.survival.world import Broken

FOUND_LATE = {
    "a candidate has the image first": 59,
    "a standby without image is gone": 89,
    "a stranger has not resigned": 103,
    "a primary makes way": 128,
    "witnesses change by a joint config": 155,
    "the same answer again": 245,
}
"""Mutants that take long to find, and the schedule to try first: that only saves time."""
FOUND_IN_SWARM = {
    "a config waits for the last one": 147,
    "both witnesses have to vote (new)": 40,
    "both witnesses have to vote (old)": 1064,
    "both ask in the same order": 550,
    "only needed votes can be lost": 2504,
    "a vote is for one epoch": 198,
    "a holder of the image does not vote": 2345,
}
"""The schedule that finds each mutant. When the code or the model changes, that may be another one:
``python -m tests.core.survival --swarm --without RULE`` says it.
"""


def named(mutant: Mutant) -> str:
    return mutant.rule.replace(" ", "_")


def test_each_mutant_of_the_scenarios_is_in_one_and_no_mutant_is_in_two_lists() -> None:
    sources = [Path(__file__).with_name(f"test_{name}.py") for name in ("scenarios", "rare_orders")]
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    rules = [mutant.rule for mutant in scenario_mutants()]
    assert sorted(re.findall(r'without\(\s*"([^"]+)"', source)) == sorted(rules)
    rules += [mutant.rule for mutant in (*mutants(), *swarm_mutants())]
    assert len(set(rules)) == len(rules)


def run_all(mutant: Mutant) -> None:
    first = FOUND_LATE.get(mutant.rule, 0)
    for seed in (first, *range(SCHEDULES)):
        run_seed(seed, rooms=mutant.rooms, api=mutant.api)


@pytest.mark.parametrize("mutant", list(mutants()), ids=named)
def test_without_this_rule_the_law_breaks(mutant: Mutant) -> None:
    with pytest.raises(Broken):
        run_all(mutant)


@pytest.mark.parametrize("mutant", list(swarm_mutants()), ids=named)
def test_without_this_rule_the_law_breaks_in_a_schedule_in_which_it_holds(mutant: Mutant) -> None:
    seed = FOUND_IN_SWARM[mutant.rule]
    run_swarm(seed)
    with pytest.raises(Broken):
        run_swarm(seed, rooms=mutant.rooms, api=mutant.api)
