"""``python -m bench``: measures real nodes on this machine."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import trio
from rich.console import Console
from rich.progress import Progress

from bench.cut_sockets import CutSettings, measure_cut
from bench.drain import PARTS, DrainSettings, measure_drain
from bench.kill_api import KillSettings, measure_kill
from bench.latency import LatencySettings, measure_latency
from bench.memory import MemorySettings, measure_memory
from bench.move_clients import MoveSettings, measure_move
from bench.report import Report, open_progress, show, write_json
from bench.resuming import ResumeSettings, measure_resume
from rooms.errors import LastcallError, UsageError
from rooms.lone_error import only
from rooms.reasons import ExitCode
from rooms.runtime.command import run_command

Measure = Callable[[Progress], Awaitable[Report]]

EXAMPLES = """\b
Examples:
  python -m bench memory
  python -m bench latency --pairs 200 --json latency.json
  python -m bench drain --runs 1 --part move
  python -m bench kill-api
  python -m bench cut-sockets --loss 5
"""

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the figures there, too, as JSON.",
)


@click.group(epilog=EXAMPLES)
def cli() -> None:
    """Measures real nodes on this machine, and prints the figures next to their limits.

    Each scenario starts api and game nodes as processes of their own, on free ports, and drives
    them from this process through plain WebSockets; memory and processor time are the operating
    system's accounts of those processes (Linux).

    This is a bench and not a test: the exit code is 0 whatever the figures say. It is 1 when the
    run itself failed (a node ended, a client lost its place, a message was lost or came twice),
    and 2 for wrong usage.
    """


@cli.command()
@click.option("--rooms", type=click.IntRange(1), default=2_000, show_default=True, help="How many.")
@click.option(
    "--players", type=click.IntRange(1, 50), default=2, show_default=True, help="In each room."
)
@click.option(
    "--settle",
    "settle_seconds",
    type=click.FloatRange(0),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Of rest before each reading.",
)
@json_option
def memory(json_file: Path | None, **settings: Any) -> None:
    """Idle rooms: resident memory per client (api node) and per room (game node).

    Both are read before the first client and again when all have a seat and are silent. The
    difference holds everything that a client or a room costs, but not the kernel's buffers.
    """
    _run(lambda progress: measure_memory(MemorySettings(**settings), progress), json_file)


@cli.command()
@click.option(
    "--pairs", type=click.IntRange(1), default=50, show_default=True, help="Rooms of two clients."
)
@click.option(
    "--every",
    "every_ms",
    type=click.FloatRange(0, min_open=True),
    default=100.0,
    show_default=True,
    metavar="MS",
    help="Each client says something so often.",
)
@click.option(
    "--seconds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="That count; two more go before, to warm up.",
)
@json_option
def latency(json_file: Path | None, **settings: Any) -> None:
    """Pairs that talk: the time from a client's say to its own msg, and the cost of an input.

    A message goes socket, api node, game node, room, and back to both clients. `processor per
    input` is all that a node does for one input: take it, pass it on, ack it, and deliver it.
    """
    _run(lambda progress: measure_latency(LatencySettings(**settings), progress), json_file)


@cli.command()
@click.option(
    "--runs", type=click.IntRange(1), default=3, show_default=True, help="The medians are shown."
)
@click.option(
    "--connected",
    type=click.IntRange(2),
    default=2_000,
    show_default=True,
    help="Clients while the signal comes.",
)
@click.option(
    "--idle",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Clients that are moved.",
)
@click.option(
    "--spread",
    "spread_seconds",
    type=click.FloatRange(0, 20),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Of the moves.",
)
@click.option(
    "--bots",
    type=click.IntRange(2),
    default=200,
    show_default=True,
    help="That play while all is rolled.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS,
    help="Only this one; may be repeated.  [default: all]",
)
@json_option
def drain(json_file: Path | None, parts: tuple[str, ...], **settings: Any) -> None:
    """Nodes that leave: how soon they say so and are gone, and what clients notice.

    `ready`: the signal to the 503, under load. `gone`: the last room's end to the end of the
    process. `move`: thousands of idle clients leave one api node. `roll`: all nodes of a cluster of
    2 + 2 are replaced while bots play.
    """
    _run(lambda progress: measure_drain(DrainSettings(**settings), parts, progress), json_file)


rooms_option = click.option(
    "--rooms", type=click.IntRange(1), default=125, show_default=True, help="Of four bots each."
)
every_option = click.option(
    "--every",
    "every_ms",
    type=click.FloatRange(0, min_open=True),
    default=200.0,
    show_default=True,
    metavar="MS",
    help="Each bot says something so often.",
)


@cli.command("kill-api")
@rooms_option
@every_option
@click.option(
    "--after",
    "after_seconds",
    type=click.FloatRange(1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Of talk after the kill; 10 s go before.",
)
@json_option
def kill_api(json_file: Path | None, **settings: Any) -> None:
    """Two api nodes, two game nodes, bots that talk; one api node is killed with SIGKILL.

    Its bots wait up to 0.8 s each, resume on the other node, and say again what was not
    acknowledged. Bots and rooms keep ledgers: at the end each input must have been applied once
    and in order, and heard once by each player it was for, under the same number. Else the run
    has failed, and the exit code is 1.

    `the busiest 100 ms` is the fullest window of that length, wherever it begins, between the
    first resume and the last; the mean is over the same time.
    """
    _run(lambda progress: measure_kill(KillSettings(**settings), progress), json_file)


@cli.command("cut-sockets")
@rooms_option
@every_option
@click.option(
    "--share",
    "share_percent",
    type=click.FloatRange(0, 100),
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="Of all sockets, cut each second.",
)
@click.option(
    "--seconds", type=click.IntRange(1), default=30, show_default=True, help="Of cutting."
)
@click.option(
    "--loss",
    "loss_percent",
    type=click.FloatRange(0, 50),
    default=0.0,
    metavar="PERCENT",
    help="Of the packets between api and game nodes. Needs root, ip and iptables.",
)
@json_option
def cut_sockets(json_file: Path | None, **settings: Any) -> None:
    """The bots of `kill-api`, with two api nodes that live; sockets are cut under them.

    They are cut by the kernel (`ss -K`: root) or, where that is not possible, by a reset from the
    bots; the report says which. The ledgers are checked as in `kill-api`.

    With --loss the game nodes run in a network namespace behind one that drops packets. Where
    that is not allowed, the scenario says so and is skipped, with exit code 0.
    """
    _run(lambda progress: measure_cut(CutSettings(**settings), progress), json_file)


@cli.command()
@click.option(
    "--clients", type=click.IntRange(1), default=10_000, show_default=True, help="That are moved."
)
@click.option(
    "--seats", type=click.IntRange(1, 50), default=50, show_default=True, help="In each room."
)
@click.option(
    "--spread",
    "spread_seconds",
    type=click.FloatRange(0.5, 20),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Of the moves.",
)
@json_option
def move(json_file: Path | None, **settings: Any) -> None:
    """All clients of an api node, idle in their rooms, are moved to another one.

    The node gets SIGTERM with `--clients move --grace 25`. Every room says something before,
    while and after its players move; each of them must hear it once.
    """
    _run(lambda progress: measure_move(MoveSettings(**settings), progress), json_file)


@cli.command()
@click.option("--rooms", type=click.IntRange(1), default=50, show_default=True, help="Of four.")
@click.option(
    "--history",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Messages of each room that go before.",
)
@click.option(
    "--resumes", type=click.IntRange(1), default=5_000, show_default=True, help="Of each sort."
)
@click.option(
    "--at-once", type=click.IntRange(1), default=64, show_default=True, help="In parallel."
)
@click.option(
    "--missed",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Messages to replay, in the last part.",
)
@json_option
def resume(json_file: Path | None, **settings: Any) -> None:
    """Sockets end and places are taken again: what one resume costs the nodes and the room.

    Rooms with a history; one bot after the other, many at once, and with messages to replay. The
    processor time is of the loss and the resume together, less what the nodes use at rest.
    """
    _run(lambda progress: measure_resume(ResumeSettings(**settings), progress), json_file)


def _run(measure: Measure, json_file: Path | None) -> None:
    if json_file is not None:
        _check_writable(json_file)

    async def run() -> Report:
        with open_progress() as progress:
            return await measure(progress)

    try:
        report = trio.run(run)
    except (LastcallError, BaseExceptionGroup) as error:
        _fail(error)
    else:
        show(report, Console())
        if json_file is not None:
            write_json(report, json_file)
        if report.failure:
            click.echo(f"Error: {report.failure}", err=True)
            sys.exit(ExitCode.CRASHED)


def _check_writable(file: Path) -> None:
    """Now, not after the run."""
    try:
        file.open("ab").close()
    except OSError as error:
        raise UsageError(f"--json {file} cannot be written: {error.strerror}") from error


def _fail(error: BaseException) -> None:
    """One line for Ctrl-C and what we raise on purpose, also out of nurseries; the rest as is."""
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
        raise click.Abort
    lone = only(error, LastcallError)
    if lone is None:
        raise error
    if isinstance(lone, UsageError):
        raise lone
    click.echo(f"Error: {lone}", err=True)
    sys.exit(ExitCode.CRASHED)


def main() -> None:
    """The entry point of ``python -m bench``."""
    run_command(cli)


if __name__ == "__main__":
    main()
