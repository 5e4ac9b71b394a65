"""``python -m tests.instructions``: how many instructions an input takes in user space.

A time says little on a machine whose noise is larger than the difference. The instructions of the
same work are the same each time: two counts differ by 0.1 % on an idle machine, and by 2 % on
a busy one. They leave out the kernel, and how long an instruction takes.
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

from tests.instructions.workload import AT_ONCE, WORKLOADS

HERE = Path(__file__).parents[2]
TURNS = (50, 250)
"""The difference of two lengths is free of the start."""
_REFS = re.compile(r"refs: +([\d,]+)")


def count(workload: str, tree: Path, turns: int) -> int:
    """The instructions of a process that works for ``turns`` turns."""
    script = Path(__file__).with_name("workload.py")
    python = tree / ".venv" / "bin" / "python"
    done = subprocess.run(
        [
            *("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
            *(str(python), str(script), workload, str(turns)),
        ],
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "1"},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    found = _REFS.search(done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{workload} in {tree} has failed:\n{done.stderr[-2_000:]}")
    return int(found[1].replace(",", ""))


def per_input(workload: str, tree: Path) -> float:
    """The instructions of one input."""
    short, long = (count(workload, tree, turns) for turns in TURNS)
    return (long - short) / ((TURNS[1] - TURNS[0]) * AT_ONCE)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.instructions", description=__doc__)
    options.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    options.add_argument(
        "--before",
        type=Path,
        metavar="FOLDER",
        help="a checkout of another version, with its own .venv (make check)",
    )
    given = options.parse_args()
    if unknown := set(given.workloads) - set(WORKLOADS):
        options.error(f"{', '.join(unknown)}: the workloads are {', '.join(WORKLOADS)}")
    if shutil.which("valgrind") is None:
        options.error("it needs valgrind (Debian: apt install valgrind)")
    console = Console()
    table = Table(
        "workload", "instructions of an input", *(("before", "more") if given.before else ())
    )
    for workload in given.workloads or WORKLOADS:
        with console.status(f"{workload}: some minutes"):
            now = per_input(workload, HERE)
            before = None if given.before is None else per_input(workload, given.before.resolve())
        cells = () if before is None else (f"{before:,.0f}", f"{now / before - 1:+.1%}")
        table.add_row(workload, f"{now:,.0f}", *cells)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
