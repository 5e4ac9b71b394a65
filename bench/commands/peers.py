"""``python -m bench peers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import Progress

from lastcall.bench.commands.runner import json_option, run_scenario
from lastcall.bench.load.workloads import WORKS
from lastcall.bench.peers.compare import CompareSettings, Comparison, compare
from lastcall.bench.peers.contenders import CONTENDERS, LASTCALL, WITHOUT_PUMP
from lastcall.bench.peers.install import default_cache
from lastcall.bench.peers.plot import draw, plotting
from lastcall.bench.report.report import Report
from lastcall.errors import UsageError

__all__ = ["peers"]

LAST = "last-run.json"
"""All that was measured, in the cache folder: to draw it again."""
PEERS = [name for name in CONTENDERS if name != LASTCALL]


def _names(known: list[str], text: str, usual: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is not known; known are: {', '.join(known)}")
    return names or usual


@click.command()
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="By turns.")
@click.option("--only", default="", metavar="PEERS", help=f"Of {','.join(PEERS)}.")
@click.option("--works", default="", metavar="WORKS", help=f"Of {','.join(WORKS)}.")
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=4.0,
    show_default=True,
    help="That count in each measurement.",
)
@click.option(
    "--warm",
    "warm_seconds",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="That go before them.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_cache,
    show_default="~/.cache/lastcall-bench",
    help="Where the peers are installed.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the costs there, as PNG. Needs matplotlib.",
)
@json_option
def peers(
    json_file: Path | None,
    plot_file: Path | None,
    only: str,
    works: str,
    cache: Path,
    **settings: Any,
) -> None:
    """Lastcall and its peers at the same work, by turns in one run: ratios of processor time.

    Beside them stands `kernel`, a loop that reads and writes and does no more.

    Installs Node's ws, socket.io and Colyseus (needs node and npm) and PyPI's websockets and
    python-socketio into a folder of their own; socket.io's Redis adapter needs redis-server. Who
    cannot be installed is skipped, and the table's foot says why.
    """
    usual = [name for name in PEERS if name != WITHOUT_PUMP]
    chosen_peers = _names(PEERS, only, usual)
    chosen_works = _names(list(WORKS), works, list(WORKS))
    if plot_file is not None:
        plotting()

    async def measure(progress: Progress) -> Report:
        found = await compare(
            CompareSettings(**settings), chosen_works, chosen_peers, cache, progress
        )
        _keep(found, cache)
        if plot_file is not None:
            draw(found, plot_file)
        return found.report()

    run_scenario(measure, json_file)


def _keep(found: Comparison, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    (cache / LAST).write_bytes(msgspec.json.encode(found))
