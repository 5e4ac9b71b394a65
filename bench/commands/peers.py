"""``python -m bench peers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.commands.options import count, json_option, measured
from lastcall.bench.commands.runner import run_scenario
from lastcall.bench.load.workloads import WORKLOADS
from lastcall.bench.peers.compare import CompareSettings, compare
from lastcall.bench.peers.contenders import CONTENDERS, LASTCALL, WITHOUT_PUMP
from lastcall.bench.peers.install import default_cache
from lastcall.bench.peers.plot import draw, plotting
from lastcall.bench.report.report import Report
from lastcall.errors import UsageError

LAST = "last-run.json"
"""The file in the cache folder that keeps all measurements, to draw them again."""
PEERS = [name for name in CONTENDERS if name != LASTCALL]


def _names(text: str, known: list[str], default: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is not known; known are: {', '.join(known)}")
    return names or default


@click.command()
@count("--runs", 5, "Number of runs; in each, all are measured in turn.")
@click.option("--only", default="", metavar="PEERS", help=f"Peers, from {','.join(PEERS)}.")
@click.option(
    "--works", default="", metavar="WORKS", help=f"Workloads, from {','.join(WORKLOADS)}."
)
@measured(4.0, 2.0)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_cache,
    show_default="~/.cache/lastcall-bench",
    help="Folder where the peers are installed.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the costs to this file, as PNG. Needs matplotlib.",
)
@json_option
def peers(
    json_file: Path | None,
    plot_file: Path | None,
    only: str,
    works: str,
    cache: Path,
    **settings: Any,
) -> int:
    """Lastcall and its peers at the same work, in turn in one run: ratios of processor time.

    `kernel` is measured beside them: a loop that reads and writes and does no more.

    Installs Node's ws, socket.io and Colyseus (needs node and npm) and PyPI's websockets and
    python-socketio into a folder of their own; socket.io's Redis adapter needs redis-server. A peer
    that cannot be installed is skipped, and a note below the table says why.
    """
    chosen_peers = _names(only, PEERS, [name for name in PEERS if name != WITHOUT_PUMP])
    workloads = _names(works, list(WORKLOADS), list(WORKLOADS))
    if plot_file is not None:
        plotting()

    async def measure(progress: Progress) -> Report:
        found = await compare(CompareSettings(**settings), workloads, chosen_peers, cache, progress)
        await trio.Path(cache).mkdir(parents=True, exist_ok=True)
        await trio.Path(cache, LAST).write_bytes(msgspec.json.encode(found))
        if plot_file is not None:
            draw(found, plot_file)
        return found.report()

    return run_scenario(measure, json_file)
