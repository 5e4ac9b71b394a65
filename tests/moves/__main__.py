"""``python -m tests.moves --schedules 10000``: random walks of whole clusters, one for each seed.

It ends at the first walk that breaks the law, and says its seed: ``--first SEED --schedules 1``
repeats that walk, and ``--log`` shows the log of its nodes.
"""

from __future__ import annotations

import argparse
import logging

import structlog
from structlog.typing import EventDict

from tests.moves import walk


def main() -> int:
    """Returns 1 if a walk has broken the law."""
    options = argparse.ArgumentParser(prog="python -m tests.moves", description=__doc__)
    options.add_argument("--schedules", type=int, default=200, help="how many walks")
    options.add_argument("--first", type=int, default=0, metavar="SEED", help="of the first walk")
    options.add_argument("--log", action="store_true", help="shows what the nodes log")
    given = options.parse_args()
    if not given.log:
        level = structlog.make_filtering_bound_logger(logging.ERROR)
        structlog.configure(wrapper_class=level, processors=[_drop])
    for seed in range(given.first, given.first + given.schedules):
        if faults := walk.run(seed):
            print(f"seed {seed}:", *faults, sep="\n  ")
            return 1
    print(f"{given.schedules} walks from seed {given.first}: the law holds")
    return 0


def _drop(_logger: object, _method: str, _event: EventDict) -> EventDict:
    """Shows nothing: errors are looked at before (:mod:`tests.harness.bugs`)."""
    raise structlog.DropEvent


if __name__ == "__main__":
    raise SystemExit(main())
