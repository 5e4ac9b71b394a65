"""``python -m bench``: measures real nodes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastcall.bench.commands.all import every
from lastcall.bench.commands.loads import LOADS
from lastcall.bench.commands.lossless import LOSSLESS
from lastcall.bench.commands.peers import peers
from lastcall.bench.commands.runner import json_option, run_scenario
from lastcall.bench.scenarios.drain import PARTS, DrainSettings, measure_drain
from lastcall.bench.scenarios.memory import MemorySettings, measure_memory
from lastcall.runtime.command import run_command

EXAMPLES = """\b
Examples:
  python -m bench memory
  python -m bench fanout
  python -m bench round --url ws://10.0.0.5:8080/ --json round.json
  python -m bench latency
  python -m bench drain --runs 1 --part move
  python -m bench kill-api
  python -m bench cut-sockets --loss 5
"""


@click.group(epilog=EXAMPLES)
def cli() -> None:
    """Measures real nodes on this machine, and prints the figures next to their limits.

    Each scenario starts api and game nodes as processes of their own, on free ports, and drives
    them from this process through plain WebSockets; memory and processor time are the operating
    system's accounts of those processes (Linux).

    This is a bench and not a test: the exit code is 0 whatever the figures say. It is 1 when the
    run itself failed (a node ended, a client lost its place, a message was lost or came twice),
    2 for wrong usage, and 130 after Ctrl-C.
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
    run_scenario(lambda progress: measure_memory(MemorySettings(**settings), progress), json_file)


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
    run_scenario(
        lambda progress: measure_drain(DrainSettings(**settings), parts, progress), json_file
    )


for _command in (*LOADS, *LOSSLESS, every, peers):
    cli.add_command(_command)


def main() -> None:
    """The entry point of ``python -m bench``."""
    run_command(cli)


if __name__ == "__main__":
    main()
