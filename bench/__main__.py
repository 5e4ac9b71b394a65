"""``python -m bench``: measures real nodes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastcall.bench.commands.all import run_all
from lastcall.bench.commands.loads import LOADS
from lastcall.bench.commands.lossless import LOSSLESS
from lastcall.bench.commands.options import amount, count, json_option, measured, seconds
from lastcall.bench.commands.peers import peers
from lastcall.bench.commands.runner import run_scenario, worst
from lastcall.bench.scenarios.drain import PARTS, DrainSettings, measure_drain
from lastcall.bench.scenarios.memory import MemorySettings, measure_memory
from lastcall.bench.scenarios.soak import SoakSettings, measure_soak
from lastcall.runtime.command import run_command

EXAMPLES = """\b
Examples:
  python -m bench memory
  python -m bench soak --seconds 60
  python -m bench fanout
  python -m bench round --url ws://10.0.0.5:8080/ --json round.json
  python -m bench latency
  python -m bench drain --runs 1 --part move
  python -m bench kill-api
  python -m bench cut-sockets --loss 5
  python -m bench hand-off kill-game commit
"""


@click.group(chain=True, epilog=EXAMPLES)
def cli() -> None:
    """Measures real nodes on this machine, and prints the figures beside their limits.

    Each scenario starts api and game nodes as separate processes on free ports, and connects to
    them through plain WebSockets. Memory and processor time are the operating system's figures for
    those processes (Linux).

    Several scenarios may be named, each with its options: they run one after the other, and one
    that fails does not stop the others.

    A bench is not a test: the exit code is 0 whatever the figures are. It is 1 if the run itself
    failed (a node ended, a client lost its place, a message was lost or came twice), 2 for wrong
    usage, and 130 after Ctrl-C.
    """


@cli.command()
@count("--rooms", 2_000, "Number of rooms.")
@count("--players", 2, "Players in each room.", most=50)
@seconds("--settle", 3.0, "Rest before each reading.")
@json_option
def memory(json_file: Path | None, **settings: Any) -> int:
    """Idle rooms: resident memory per client (api node) and per room (game node).

    Both are read before the first client connects, and again when all clients have a seat and are
    silent. The difference is all memory of the clients and rooms, without the kernel's buffers.
    """
    return run_scenario(
        lambda progress: measure_memory(MemorySettings(**settings), progress), json_file
    )


@cli.command()
@count("--runs", 3, "Number of runs; the medians are shown.")
@count("--connected", 2_000, "Clients at the time of the signal (`ready`).", least=2)
@count("--idle", 10_000, "Clients that are moved (`move`).")
@seconds("--spread", 5.0, "Duration of the moves (`move`).", most=20)
@count("--bots", 200, "Bots that play during the roll (`roll`).", least=2)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS,
    help="Run only this part; may be repeated.  [default: all]",
)
@json_option
def drain(json_file: Path | None, parts: tuple[str, ...], **settings: Any) -> int:
    """Nodes that drain: the time until they report it and exit, and the effect on clients.

    `ready`: from the signal to the 503, under load. `gone`: from the end of the last room to the
    end of the process. `move`: one api node moves thousands of idle clients. `roll`: all nodes of a
    cluster of 2 + 2 are replaced while bots play.
    """
    return run_scenario(
        lambda progress: measure_drain(DrainSettings(**settings), parts, progress), json_file
    )


@cli.command()
@measured(600.0, 120.0)
@amount("--rate", "per_second", 100.0, "N", "Visits that begin in each second.", above=True)
@json_option
def soak(json_file: Path | None, **settings: Any) -> int:
    """Clients come and go, 100 a second for ten minutes: the memory of the nodes must not grow.

    Some connect and close; others join a room, say something and leave; some are lost, and resume
    or never come back; some speak another protocol. One tenth of the visits each, see
    `bench/bots/visitor.py`.

    The growth is from the first tenth of the measured time to the last. In the first half of the
    warm-up visits come twice as fast, and a second's visits at once, as after a stall; in the
    second half the places of lost players go, so with a shorter one the memory may seem to shrink.
    """
    return run_scenario(
        lambda progress: measure_soak(SoakSettings(**settings), progress), json_file
    )


cli.result_callback()(worst)
for _command in (*LOADS, *LOSSLESS, run_all, peers):
    cli.add_command(_command)


def main() -> None:
    """The entry point of ``python -m bench``."""
    run_command(cli)


if __name__ == "__main__":
    main()
