"""The command ``lastcall``. Each subcommand imports its own code when it is called."""

from __future__ import annotations

from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any, NoReturn

import click
from msgspec.structs import replace

from lastcall.bus.address import HostPort
from lastcall.dev.command import dev
from lastcall.errors import UsageError
from lastcall.local.control.messages import AskRoll, RollTier, parse_version
from lastcall.local.dashboard.command import dashboard
from lastcall.local.node_commands import VERBS, port_option, run_trio, status
from lastcall.local.plan import Plan
from lastcall.local.plan_options import new_plan, plan_options
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode
from lastcall.runtime.auth_options import AuthOptions, auth_options
from lastcall.runtime.command import (
    Parsed,
    config_option,
    epilog,
    gathered,
    option,
    run_command,
    warn_of_variables,
)
from lastcall.runtime.completion import EXAMPLES
from lastcall.runtime.options import drain_options

__all__ = ["cli", "main"]


class _Commands(click.Group):
    """The commands; a shell that completes gets ``serve`` itself, with the options of a node."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "serve" and ctx.resilient_parsing:
            from lastcall.serve.command import command

            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands)
@click.version_option(package_name="lastcall", prog_name="lastcall", message="%(prog)s %(version)s")
def cli() -> None:
    """Rooms for real-time services whose rolling updates no player notices.

    Start with `lastcall up`: a whole cluster on this machine. To run the nodes one by one, see
    `lastcall-api --help` and `lastcall-game --help`.

    Each option of a command is also an environment variable (--port: LASTCALL_PORT) and a key of
    its --config file (port = 8081). Flags win over environment over file.
    """
    warn_of_variables()


BOTS = 50
"""Those of ``lastcall up``, where their game is."""


def _plan(port: int, **settings: Any) -> Plan:
    return new_plan(HostPort("127.0.0.1", port), **settings)


@cli.command(
    short_help="Starts a whole cluster on this machine, with bots.",
    epilog=epilog(
        "lastcall up",
        "lastcall up --rooms mine.rooms --seconds 60",
        "lastcall up --rooms mine.rooms --auth jwt --jwt-key-file public.pem",
    ),
)
@config_option
@drain_options
@auth_options
@gathered(
    "plan",
    _plan,
    {
        "--apis": {"type": click.IntRange(1, 64), "default": 2, "help": "Number of api nodes."},
        "--games": {"type": click.IntRange(1, 64), "default": 2, "help": "Number of game nodes."},
        "--clients": {
            "type": click.Choice(["move", "finish"]),
            "default": "move",
            "help": "What an api node that drains does with clients in rooms: move them at once to "
            "another api node, where they resume; or let them finish their rooms first.",
        },
        "--port": {
            "type": click.IntRange(0, 65_535),
            "default": 8080,
            "help": "The port for clients, on loopback; all api nodes share it. 0: a free port.",
        },
        **plan_options(
            rooms="Modules that define the kinds of rooms to serve, comma separated.",
            admin="The address of the cluster's page; the nodes' admin ports are the next ones. "
            "Port 0: free ports.",
            file="A file with a token that all nodes require for commands; give it to `lastcall "
            "cordon`, `uncordon` and `drain`, too.",
        ),
    },
)
@option(
    "--bots",
    type=click.IntRange(0),
    show_default="50; none with --rooms of your own, or --auth",
    help="Number of bots that play the example tictactoe, with you too, and check every message. "
    "They have no tokens.",
)
@option(
    "--talkers",
    type=click.IntRange(0),
    default=0,
    help="Number of further bots, which talk in lounges: rooms without an end, which a node that "
    "drains hands off.",
)
@option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this time.  [default: at Ctrl-C]",
)
@option("--json", "as_json", is_flag=True, help="Print a JSON object for each fact, one a line.")
@option(
    "--roll-after",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Roll both tiers once after this time, report, and stop.  [default: never]",
)
def up(
    plan: Plan,
    drain: DrainPolicy,
    auth: AuthOptions,
    *,
    bots: int | None,
    talkers: int,
    seconds: float | None,
    as_json: bool,
    roll_after: float | None,
) -> int:
    """Starts api and game nodes on this machine, and bots that play on them.

    Ctrl-C or SIGTERM stops the cluster: the bots finish their matches; the game nodes drain while
    their players stay connected, then the api nodes drain, all within one grace; and a summary is
    printed. A second Ctrl-C cuts what still runs.

    While the cluster runs, `lastcall roll` replaces every node with a new one, and `lastcall
    status` shows the nodes and their process ids: kill an api node, and its players continue
    through the other one.

    Exit code 0: everything ended cleanly. 3: something was cut, or a player noticed the roll.
    1: a node crashed, the roll stopped half-way, or the bots saw an error, a gap, a repeat, or two
    players with different results. 2: wrong usage. 130: Ctrl-C before the start.
    """
    import trio

    from lastcall.local.console import CommandConsole, hang_up
    from lastcall.local.up import Up

    plan = replace(plan, drain=drain, auth=auth)
    if auth.auth is not None and (bots or talkers):
        raise UsageError("--bots have no tokens, and --auth lets nobody in without: --bots 0")
    if bots is None:
        has_their_game = EXAMPLES in {module.strip() for module in plan.rooms.split(",")}
        bots = BOTS if has_their_game and auth.auth is None else 0

    async def run() -> ExitCode:
        with trio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
            run = Up(
                plan,
                bots=bots or 0,
                talkers=talkers,
                seconds=seconds,
                roll_after=roll_after,
                console=CommandConsole(hang_up),
                as_json=as_json,
            )
            return await run.run(signals)

    return run_trio(run)


@cli.command(
    short_help="Runs one node with both tiers: the smallest deployment.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def serve(args: tuple[str, ...]) -> NoReturn:
    """Runs both tiers in one process; the console script does so without this detour."""
    from lastcall.serve.__main__ import main

    main(args)


@cli.command(
    short_help="Replaces every node with a new one, while players play.",
    epilog=epilog("lastcall roll --tier api", "lastcall roll --version 0.2.0"),
)
@config_option
@option(
    "--tier",
    type=click.Choice(["game", "api", "all"]),
    default="all",
    help="The nodes to replace; all: first the game nodes, then the api nodes.",
)
@option(
    "--version",
    type=Parsed("V", parse_version),
    metavar="V",
    help="The version of the new nodes.  [default: the next one, such as 0.1.0+1]",
)
@option(
    "--json", "as_json", is_flag=True, help="Print a JSON object for each step, and the report."
)
@port_option
def roll(tier: RollTier, version: str | None, as_json: bool, port: int | None) -> int:
    """Replaces every node of the running local cluster with a new one, while players play.

    One new node is started, with the code that is on disk now; once it is ready, one old node is
    told to drain; and so on, until no old node is left. If a new node is not ready in time (up
    --start-timeout), the roll stops and the old nodes go on. Ctrl-C only closes the view.

    An old game node lets its rooms finish, within its grace, and then hands off those that can
    move. An old api node does not wait for rooms: its clients resume through a new one (except with
    `lastcall up --clients finish`).

    Exit code 0: no player noticed. 3: a player noticed, or something was cut. 1: the roll stopped
    half-way or was refused, or there is no local cluster. 2: wrong usage. 130: Ctrl-C; the roll
    goes on.
    """
    from lastcall.local.console import CommandConsole
    from lastcall.local.control.paths import find
    from lastcall.local.roll.view import roll as run_roll

    async def run() -> int:
        return await run_roll(find(port), AskRoll(tier, version), CommandConsole(), as_json=as_json)

    return run_trio(run)


cli.add_command(dashboard)
cli.add_command(dev)
cli.add_command(status)
for one in VERBS:
    cli.add_command(one)


def main() -> NoReturn:
    """The console script: exits with what the subcommand returns."""
    run_command(cli)
