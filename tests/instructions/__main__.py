"""``python -m tests.instructions``: how many instructions an input takes in user space.

A time says little on a machine whose noise is larger than the difference. The instructions of the
same work are the same each time: two counts differ by 0.1 % on an idle machine, and by 2 % on
a busy one. They leave out the kernel, and how long an instruction takes.

With ``--memory`` it counts how many lines of memory an input fetches into a cache of 1 MiB, with
1,000 clients of a node that has both tiers. Each takes as long as some hundred instructions.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lastcall.bench.nodes.proc import allow_descriptors
from tests.instructions.workload import AT_ONCE, FEW, MANY, WORKLOADS

HERE = Path(__file__).parents[2]
TURNS = {FEW: (50, 250), MANY: (30, 110)}
"""The difference of two lengths is free of the start."""
_REFS = re.compile(r"refs: +([\d,]+)")
_MISSES = re.compile(r"LL misses: +([\d,]+)")
CACHES = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64")
"""Two first ones of 32 KiB, and one behind them of 1 MiB, with lines of 64 bytes."""


def count(workload: str, tree: Path, turns: int, *, memory: bool) -> int:
    """The instructions of a process that works for ``turns`` turns, or the lines it fetches."""
    script = Path(__file__).with_name("workload.py")
    python = tree / ".venv" / "bin" / "python"
    done = subprocess.run(
        [
            *("valgrind", "--tool=cachegrind", "--cachegrind-out-file=/dev/null"),
            *(CACHES if memory else ("--cache-sim=no",)),
            *(str(python), str(script), workload, str(turns)),
            *((str(MANY),) if memory else ()),
        ],
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "1"},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    found = (_MISSES if memory else _REFS).search(done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{workload} in {tree} has failed:\n{done.stderr[-2_000:]}")
    return int(found[1].replace(",", ""))


def per_input(workload: str, tree: Path, *, memory: bool) -> float:
    """The instructions of one input, or the lines that it fetches."""
    clients = MANY if memory else FEW
    first, last = TURNS[clients]
    more = count(workload, tree, last, memory=memory) - count(workload, tree, first, memory=memory)
    return more / ((last - first) * AT_ONCE[clients])


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.instructions", description=__doc__)
    options.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    options.add_argument(
        "--before",
        type=Path,
        metavar="FOLDER",
        help="a checkout of another version, with its own .venv (make check)",
    )
    options.add_argument("--memory", action="store_true", help="count the lines that are fetched")
    given = options.parse_args()
    if unknown := set(given.workloads) - set(WORKLOADS):
        options.error(f"{', '.join(unknown)}: the workloads are {', '.join(WORKLOADS)}")
    if shutil.which("valgrind") is None:
        options.error("it needs valgrind (Debian: apt install valgrind)")
    console = Console()
    what = "lines" if given.memory else "instructions"
    allow_descriptors(2 * MANY)
    table = Table("workload", f"{what} of an input", *(("before", "more") if given.before else ()))
    for workload in given.workloads or WORKLOADS:
        with console.status(f"{workload}: some minutes"):
            now = per_input(workload, HERE, memory=given.memory)
            before = given.before and per_input(
                workload, given.before.resolve(), memory=given.memory
            )
        cells = () if before is None else (f"{before:,.0f}", f"{now / before - 1:+.1%}")
        table.add_row(workload, f"{now:,.0f}", *cells)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
