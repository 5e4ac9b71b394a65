"""The command ``lastcall dashboard``."""

from __future__ import annotations

from pathlib import Path
from signal import SIGINT, SIGTERM

import click

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.local.dashboard.options import AdminSource, parse_admin
from lastcall.local.node_commands import run_trio
from lastcall.reasons import ExitCode
from lastcall.runtime.admin.hosts import parse_hosts
from lastcall.runtime.command import Parsed, config_option, epilog, option


@click.command(
    "dashboard",
    short_help="Shows nodes that run anywhere on one page, by their admin ports.",
    epilog=epilog(
        "lastcall dashboard --admin 127.0.0.1:9000",
        "lastcall dashboard --admin dns://game:9101 --admin dns://api:9001",
    ),
)
@config_option
@option(
    "--admin",
    "sources",
    type=Parsed("HOST:PORT", parse_admin),
    metavar="HOST:PORT",
    multiple=True,
    required=True,
    help="The admin address of a node; dns://HOST:PORT: of a node at each address of that name. "
    "It may be given several times; 100 nodes are shown at most.",
)
@option(
    "--listen",
    type=Parsed("HOST:PORT", parse_host_port),
    metavar="HOST:PORT",
    default="127.0.0.1:9900",
    help="Where the page is. Port 0: a free one.",
)
@option(
    "--admin-token-file",
    "token_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with the nodes' token, which the page then requires for commands, too. Without "
    "it, a token that is typed into the page is passed on.",
)
@option(
    "--admin-hosts",
    "hosts",
    type=Parsed("NAME,...", parse_hosts),
    default="",
    show_default="none",
    help="Further names by which the page may be asked, besides IP addresses and localhost.",
)
@option("--json", "as_json", is_flag=True, help="Print a JSON object with the page's URL.")
def dashboard(
    sources: tuple[AdminSource, ...],
    listen: HostPort,
    token_file: Path | None,
    hosts: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    """Shows nodes on one page, and passes on what it is told: cordon, uncordon, drain.

    It asks the nodes once a second while somebody looks at the page, and opens nothing but the
    page's port. It prints the page's URL.

    Exit code 0: stopped by Ctrl-C or SIGTERM. 1: a bug. 2: wrong usage. 130: Ctrl-C before the
    start.
    """
    import trio

    from lastcall.exception_groups import lone_error
    from lastcall.local.console import CommandConsole, print_text
    from lastcall.local.dashboard.remote import run_dashboard
    from lastcall.local.told import Page, line
    from lastcall.runtime.admin.auth import AdminAuth

    auth = AdminAuth([listen.host, *hosts], token_file)

    console = CommandConsole()

    def show(url: str) -> None:
        print_text(console, line(Page(url)) if as_json else url)

    async def run() -> int:
        with trio.open_signal_receiver(SIGINT, SIGTERM) as signals, lone_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_dashboard, sources, listen, auth, show)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    break
        return ExitCode.DRAINED

    return run_trio(run)
