"""The commands of the scenarios that lose sockets and must lose nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastcall.bench.commands.options import amount, count, json_option, measured, seconds
from lastcall.bench.commands.runner import run_scenario
from lastcall.bench.scenarios.committing import CommitSettings, measure_commit
from lastcall.bench.scenarios.cut_sockets import CutSettings, measure_cut
from lastcall.bench.scenarios.hand_off import HandOffSettings, measure_hand_off
from lastcall.bench.scenarios.kill_api import KillSettings, measure_kill
from lastcall.bench.scenarios.kill_game import KillGameSettings, measure_kill_game
from lastcall.bench.scenarios.move_clients import MoveSettings, measure_move
from lastcall.bench.scenarios.resuming import ResumeSettings, measure_resume

rooms_option = count("--rooms", 125, "Number of rooms, with four bots each.")
every_option = amount(
    "--every", "every_ms", 200.0, "MS", "Interval at which each bot says something.", above=True
)


@click.command("kill-api")
@rooms_option
@every_option
@seconds("--after", 10.0, "Talk after the kill (10 s of talk precede it).", least=1)
@json_option
def kill_api(json_file: Path | None, **settings: Any) -> int:
    """Two api nodes, two game nodes, bots that talk; one api node is killed with SIGKILL.

    Its bots wait up to 0.8 s each, resume on the other node, and repeat the inputs without an ack.
    Bots and rooms keep ledgers: at the end each input must have been applied once and in order, and
    heard once by each player it was for, under the same number. Otherwise the run has failed, and
    the exit code is 1.

    `the busiest 100 ms` is the fullest window of that length, wherever it begins, between the
    first resume and the last; the mean is over the same time.
    """
    return run_scenario(
        lambda progress: measure_kill(KillSettings(**settings), progress), json_file
    )


@click.command("cut-sockets")
@rooms_option
@every_option
@amount(
    *("--share", "share_percent", 10.0, "PERCENT", "Share of all sockets to cut each second."),
    most=100,
)
@count("--seconds", 30, "Duration of the cutting.")
@amount(
    *("--loss", "loss_percent", 0.0, "PERCENT"),
    "Share of the packets between api and game nodes to drop. Needs root, ip and iptables.",
    most=50,
    shown=False,
)
@json_option
def cut_sockets(json_file: Path | None, **settings: Any) -> int:
    """The bots of `kill-api` on two api nodes that stay alive, while sockets are cut.

    The kernel cuts them (`ss -K`: root) or, where that is not possible, the bots reset them; the
    report says which. The ledgers are checked as in `kill-api`.

    With --loss the game nodes run in a network namespace behind one that drops packets. Where this
    is not allowed, the scenario says so and is skipped, with exit code 0.
    """
    return run_scenario(lambda progress: measure_cut(CutSettings(**settings), progress), json_file)


@click.command()
@count("--clients", 10_000, "Clients that are moved.")
@count("--seats", 50, "Clients in each room.", most=50)
@seconds("--spread", 10.0, "Duration of the moves.", least=0.5, most=20)
@json_option
def move(json_file: Path | None, **settings: Any) -> int:
    """All clients of an api node, idle in their rooms, are moved to another one.

    The node gets SIGTERM with `--clients move --grace 25`. Every room says something before, during
    and after the move of its players; each of them must hear it once.
    """
    return run_scenario(
        lambda progress: measure_move(MoveSettings(**settings), progress), json_file
    )


@click.command()
@count("--rooms", 50, "Number of rooms, with four bots each.")
@count("--history", 200, "Messages in each room before the resumes.", least=0)
@count("--resumes", 5_000, "Resumes in each part.")
@count("--at-once", 64, "Resumes at a time, in the parallel parts.")
@count("--missed", 20, "Messages to replay, in the last part.", least=0)
@json_option
def resume(json_file: Path | None, **settings: Any) -> int:
    """Sockets end and bots resume: the cost of one resume for the nodes and the room.

    The rooms have a history. `in a row`: one bot after the other. `at once`: many bots at a time.
    `among talk`: 250 a second while the bots say 1,000 things a second, so that resumes share
    requests with inputs. `to replay`: in a row, by bots that missed messages.

    The processor time is for the loss and the resume together, less the nodes' use without them.
    """
    return run_scenario(
        lambda progress: measure_resume(ResumeSettings(**settings), progress), json_file
    )


@click.command("hand-off")
@count("--rooms", 2_000, "Number of rooms, with four bots each.")
@amount(
    *("--every", "every_ms", 800.0, "MS"),
    "Interval at which each bot says something.",
    above=True,
)
@count("--apis", 1, "Number of api nodes.")
@seconds("--calm", 5.0, "Talk before the hand-off, for comparison.", least=1)
@count("--runs", 1, "Number of runs; the medians are shown.")
@json_option
def hand_off(json_file: Path | None, **settings: Any) -> int:
    """A game node leaves, and all its rooms move to another one while their players talk.

    The rooms move at once when the node gets SIGTERM. `silence`: for each player, the longest time
    between two messages of the room, less the time between their inputs. It is compared with the
    same before the signal. `loop held`: how late the node's loop was, by its own metric. The
    ledgers are checked as in `kill-api`.

    By default something is said in each room every 200 ms. With `--every 200` each of its players
    says five things a second: for 2,000 rooms that needs a machine with six cores or more.
    """
    return run_scenario(
        lambda progress: measure_hand_off(HandOffSettings(**settings), progress), json_file
    )


@click.command("kill-game")
@rooms_option
@every_option
@seconds("--after", 10.0, "Talk after the kill (10 s of talk precede it).", least=1)
@count("--runs", 1, "Number of runs; the medians are shown.")
@json_option
def kill_game(json_file: Path | None, **settings: Any) -> int:
    """Two api nodes, three game nodes, bots that talk in rooms that survive; one game node is
    killed with SIGKILL.

    Its rooms go on at the others, and its players keep their sockets. `silence` is that of
    `hand-off`, for the players whose rooms ran there. The ledgers are checked as in `kill-api`.
    """
    return run_scenario(
        lambda progress: measure_kill_game(KillGameSettings(**settings), progress), json_file
    )


@click.command()
@count("--rooms", 100, "Number of rooms under load.")
@count("--seats", 4, "Clients in each room.")
@amount("--hz", "hz", 10.0, "N", "Inputs per second of each client, under load.", above=True)
@measured(5.0, 2.0)
@count("--runs", 1, "Number of runs; the medians are shown.")
@json_option
def commit(json_file: Path | None, **settings: Any) -> int:
    """The same talk in plain rooms and in rooms that survive: processor time and latency.

    The rooms run on two game nodes, by turns of both kinds. `at rest`: one room of two, where one
    client says the next input as soon as it has heard the previous one.
    """
    return run_scenario(
        lambda progress: measure_commit(CommitSettings(**settings), progress), json_file
    )


LOSSLESS: tuple[click.Command, ...] = (
    *(kill_api, cut_sockets, move, resume),
    *(hand_off, kill_game, commit),
)
