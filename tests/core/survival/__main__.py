"""Runs random schedules: ``python -m tests.core.survival --schedules 10000 [--first SEED]``."""

from __future__ import annotations

import argparse
import sys

from tests.core.survival.schedules import run_seed
from tests.core.survival.world import Broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.core.survival", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first schedule")
    chosen = parser.parse_args()
    promotions = finished = 0
    for seed in range(chosen.first, chosen.first + chosen.schedules):
        try:
            world = run_seed(seed)
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
