"""Runs random schedules: ``python -m tests.core.survival --schedules 10000 [--first SEED]``.

With ``--without RULE``, a rule is missing that :mod:`tests.core.survival.mutants` names.
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from tests.core.survival import mutants
from tests.core.survival.schedules import run_seed, run_swarm
from tests.core.survival.world import Broken


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.core.survival", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first schedule")
    parser.add_argument("--swarm", action="store_true", help="each with weights of its own")
    parser.add_argument("--without", metavar="RULE", help="says which schedule finds that mutant")
    return parser.parse_args()


def parts(rule: str | None) -> dict[str, type]:
    if rule is None:
        return {}
    every = chain(mutants.mutants(), mutants.swarm_mutants(), mutants.scenario_mutants())
    (mutant,) = [mutant for mutant in every if mutant.rule == rule]
    return {"rooms": mutant.rooms, "api": mutant.api}


def main() -> int:
    chosen = parsed()
    run = run_swarm if chosen.swarm else run_seed
    promotions = finished = 0
    for seed in range(chosen.first, chosen.first + chosen.schedules):
        try:
            world = run(seed, **parts(chosen.without))
        except Broken as broken:
            print(f"seed {seed}: {broken}")
            return 1
        promotions += world.promotions
        finished += bool(world.finals)
    print(
        f"{chosen.schedules} schedules: {promotions} promotions, {finished} rooms ended, "
        "and the law holds"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
