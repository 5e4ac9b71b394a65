"""The command ``lastcall``. Each subcommand imports what it needs when it is called."""

from __future__ import annotations

from typing import NoReturn

import click

from rooms.errors import ClusterFailed
from rooms.policy import DrainPolicy
from rooms.reasons import ExitCode
from rooms.runtime.address import HostPort, parse_host_port
from rooms.runtime.command import Parsed, config_option, epilog, gathered, run_command
from rooms.runtime.options import drain_options

__all__ = ["cli", "main"]


@click.group()
def cli() -> None:
    """Rooms for real-time services whose rolling updates no player notices.

    Start here with `lastcall up`: a whole cluster on this machine. To run the nodes one by one, see
    `python -m api --help` and `python -m game --help`.
    """


@cli.command(epilog=epilog("lastcall up", "lastcall up --bots 0 --rooms mine.rooms --seconds 60"))
@config_option
@drain_options
@gathered(
    "cluster",
    dict,
    {
        "--apis": {"type": click.IntRange(1, 64), "default": 2, "help": "How many api nodes."},
        "--games": {"type": click.IntRange(1, 64), "default": 2, "help": "How many game nodes."},
        "--rooms": {
            "metavar": "MODULES",
            "default": "game.examples",
            "help": "The modules with the kinds of rooms to serve, comma separated.",
        },
        "--port": {
            "type": click.IntRange(0, 65_535),
            "default": 8080,
            "help": "Where clients connect, on loopback; all api nodes share it. 0: a free one.",
        },
        "--admin": {
            "type": Parsed("HOST:PORT", parse_host_port),
            "default": "127.0.0.1:9000",
            "help": "The first node's admin port; the others take the next ones. 0: free ones.",
        },
    },
)
@click.option(
    "--bots",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    envvar="LASTCALL_BOTS",
    help="How many bots play tictactoe on it and check all that they see.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    envvar="LASTCALL_SECONDS",
    help="Stop by itself after so long.  [default: at Ctrl-C]",
)
def up(
    cluster: dict[str, object], drain: DrainPolicy, bots: int, seconds: float | None
) -> ExitCode:
    """Starts api and game nodes on this machine, and bots that play on them.

    Ctrl-C, or SIGTERM, stops it: the bots finish their matches, all nodes drain, and a summary is
    printed. A second Ctrl-C cuts what still runs.

    Exit code 0: everything ended in peace. 3: something was cut. 1: a node crashed, or the bots
    saw an error, a gap, a repeat, or two players with different results. 2: wrong usage.
    """
    import trio  # noqa: PLC0415 - `lastcall --help` need not wait for these
    from rich.console import Console  # noqa: PLC0415

    from rooms.local.cluster import Plan  # noqa: PLC0415
    from rooms.local.up import up as run_up  # noqa: PLC0415

    client = HostPort("127.0.0.1", int(str(cluster.pop("port"))))
    plan = Plan(client=client, drain=drain, **cluster)  # type: ignore[arg-type]

    async def run() -> ExitCode:
        return await run_up(plan, bots=bots, seconds=seconds, console=Console())

    try:
        return trio.run(run)
    except ClusterFailed as failed:
        click.echo(f"Error: {failed}", err=True)
        return ExitCode.CRASHED


def main() -> NoReturn:
    """The console script: exits with what the subcommand returns."""
    run_command(cli)
