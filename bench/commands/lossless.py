"""The commands of the scenarios that lose sockets, where nothing else may be lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastcall.bench.commands.runner import json_option, run_scenario
from lastcall.bench.scenarios.cut_sockets import CutSettings, measure_cut
from lastcall.bench.scenarios.kill_api import KillSettings, measure_kill
from lastcall.bench.scenarios.move_clients import MoveSettings, measure_move
from lastcall.bench.scenarios.resuming import ResumeSettings, measure_resume

__all__ = ["LOSSLESS"]

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


@click.command("kill-api")
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
    run_scenario(lambda progress: measure_kill(KillSettings(**settings), progress), json_file)


@click.command("cut-sockets")
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
    run_scenario(lambda progress: measure_cut(CutSettings(**settings), progress), json_file)


@click.command()
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
    run_scenario(lambda progress: measure_move(MoveSettings(**settings), progress), json_file)


@click.command()
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

    Rooms with a history. `in a row`: one bot after the other. `at once`: so many at a time. `among
    talk`: 250 a second while the bots say 1 000 things a second, so that resumes travel in
    requests that go anyway. `to replay`: in a row, as bots that missed so many messages.

    The processor time is of the loss and the resume together, less what the nodes use without.
    """
    run_scenario(lambda progress: measure_resume(ResumeSettings(**settings), progress), json_file)


LOSSLESS: tuple[click.Command, ...] = (kill_api, cut_sockets, move, resume)
