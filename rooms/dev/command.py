"""The command ``lastcall dev``; its own code is imported when it is called."""

from __future__ import annotations

import os
import webbrowser
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any

import click
from msgspec.structs import replace

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.local.node_commands import run_trio
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
)
from lastcall.runtime.options import drain_options

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
"""Without one of these, there is nothing to open a page on."""


def _plan(listen: HostPort, **settings: Any) -> Plan:
    return new_plan(listen, apis=1, games=1, free_ports=True, **settings)


@click.command(
    short_help="Serves your rooms while you write them: each save moves them into the new code.",
    epilog=epilog(
        "lastcall dev --rooms mygame.rooms", "lastcall dev --rooms mygame.rooms --reload-dir data"
    ),
)
@config_option
@drain_options
@auth_options
@gathered(
    "plan",
    _plan,
    {
        "--listen": {
            "type": Parsed("HOST:PORT", parse_host_port),
            "default": "127.0.0.1:8080",
            "help": "Where clients connect. Port 0: a free port.",
        },
        **plan_options(
            rooms="Your modules that define the kinds of rooms, comma separated. The folders of "
            "all Python files that they import are watched.",
            admin="The address of the page. Port 0: a free port.",
            file="A file with a token that the page's commands require.",
        ),
    },
)
@option(
    "--reload-dir",
    "trees",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    multiple=True,
    help="Reload also when any file below this folder is saved, such as a table of cards that your "
    "code reads. It may be given several times.",
)
@option("--no-open", is_flag=True, help="Do not open the page in the browser.")
def dev(
    plan: Plan, drain: DrainPolicy, auth: AuthOptions, *, trees: tuple[Path, ...], no_open: bool
) -> int:
    """Serves your rooms, opens the page to play them, and reloads at each save.

    At a save, a new process loads your code. Rooms that can move (with state=…, or survives=True)
    go on in it, in the middle of their match; their players keep their sockets and notice nothing.
    New rooms get the new code. Rooms that cannot move play on with the old code, for --grace at
    most.

    If the new code does not load, the old code goes on, and the terminal and the page show the
    traceback, until a save mends it. If it cannot read the state of a room, that room stays with
    the old code, and both say why; at the next save it is tried again.

    Ctrl-C or SIGTERM stops: rooms finish, within --grace; a second one cuts them. Exit code 0:
    nothing was cut. 3: something was, at the end. 1: a node crashed. 2: wrong usage. 130: Ctrl-C
    before the start.
    """
    import trio

    from lastcall.dev.dev import Dev
    from lastcall.game.options import parse_rooms
    from lastcall.local.console import CommandConsole, hang_up

    plan = replace(plan, drain=drain, auth=auth)
    modules = parse_rooms(plan.rooms)

    async def browse(url: str) -> None:
        if not no_open and any(os.environ.get(name) for name in DISPLAYS):
            await trio.to_thread.run_sync(_browse, url, abandon_on_cancel=True)

    async def run() -> ExitCode:
        with trio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
            run = Dev(
                plan, modules=modules, trees=trees, console=CommandConsole(hang_up), browse=browse
            )
            return await run.run(signals)

    return run_trio(run)


def _browse(url: str) -> None:
    with suppress(webbrowser.Error):  # there is no browser; the URL is on the first line
        webbrowser.open(url)
