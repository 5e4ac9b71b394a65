"""The commands that ask nodes, or tell them something: ``status``, ``cordon``, ``uncordon`` and
``drain``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lastcall.errors import ClusterFailed, OutputClosed, UsageError
from lastcall.local.dashboard.options import AdminSource, parse_admin
from lastcall.reasons import ExitCode
from lastcall.runtime.command import Decorator, Parsed, config_option, option

COMPLETION_SECONDS = 1.0
"""How long a shell waits for the local cluster after TAB."""

port_option = option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="The client port of the local cluster.  [default: the only one that runs, or 8080]",
)


def admin_option(into: str, **settings: Any) -> Decorator:
    """The option ``--admin``: nodes by their addresses."""
    return option(
        "--admin",
        into,
        type=Parsed("HOST:PORT", parse_admin),
        metavar="HOST:PORT",
        help="The admin address of a node, in place of a local cluster's nodes; dns://HOST:PORT: "
        "of a node at each address of that name. It may be given several times.",
        **settings,
    )


token_option = option(
    "--admin-token-file",
    "token_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with the nodes' token, which nodes that have one require for commands.",
)


def _read_token(file: Path | None) -> bytes | None:
    from lastcall.runtime.admin.auth import read_token

    return None if file is None else read_token(file)


def _reader(sources: Sequence[AdminSource]) -> Callable[[], Awaitable[list[str]]]:
    """Reads the addresses behind ``sources`` each time that it is called."""
    from lastcall.local.dashboard.sources import Addresses

    addresses = Addresses(sources)

    async def read() -> list[str]:
        found = await addresses.read()
        if sources and not found:
            raise ClusterFailed(f"there is no address behind {', '.join(map(str, sources))} now")
        return found

    return read


def complete_nodes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The names of the local cluster's nodes, for a shell; none if no cluster answers."""
    import trio

    from lastcall.local.commands import find_targets

    async def names() -> list[str]:
        with trio.move_on_after(COMPLETION_SECONDS):
            nodes = await find_targets((), (), ctx.params.get("port"), all_nodes=True)
            return [node.name for node in nodes]
        return []

    try:
        return [name for name in trio.run(names) if name.startswith(incomplete)]
    except (ClusterFailed, UsageError):
        return []


def run_trio(main: Callable[[], Awaitable[int]]) -> int:
    """Runs ``main`` under trio; a failure is one line on stderr and exit code 1. Without anybody
    who reads what it prints, it ends in silence.
    """
    import trio

    from lastcall.runtime import logs

    logs.configure_command()
    try:
        return trio.run(main)
    except OutputClosed:
        return ExitCode.OUTPUT_CLOSED
    except ClusterFailed as failed:
        click.echo(f"Error: {failed}", err=True)
        return ExitCode.CRASHED


@click.command(short_help="Shows the nodes, and why one that drains is still up.")
@config_option
@admin_option("sources", multiple=True)
@token_option
@option("--json", "as_json", is_flag=True, help="Print a JSON array with one object for each node.")
@option(
    "--watch",
    "again",
    is_flag=True,
    help="Show them again and again, until Ctrl-C: a table; without a terminal, or as JSON, "
    "whatever has changed.",
)
@port_option
def status(
    sources: tuple[AdminSource, ...],
    token_file: Path | None,
    as_json: bool,
    again: bool,
    port: int | None,
) -> int:
    """Shows some nodes, or every node of the local cluster, and why one that drains is still up.

    For a local cluster it also shows the process ids, and the nodes that have died since `lastcall
    up` began, and how.

    Exit code 0: every node answers. 1: a node does not answer or has died, or there is no local
    cluster. 2: wrong usage. 130: interrupted.
    """
    from lastcall.local import commands

    token, read = _read_token(token_file), _reader(sources)

    async def find() -> Sequence[commands.Target]:
        return await commands.find_targets(
            await read(), (), port, all_nodes=not sources, include_dead=True
        )

    async def run() -> int:
        if again:
            from lastcall.local.console import CommandConsole
            from lastcall.local.status_watch import watch

            await watch(find, token, CommandConsole(), as_json=as_json)
        targets = await find()
        answers = await commands.statuses(targets, token)
        format_status = commands.status_json if as_json else commands.status_text
        click.echo(format_status(targets, answers))
        return ExitCode.CRASHED if None in answers else ExitCode.DRAINED

    return run_trio(run)


def _is_on_command_line(parameter: str) -> bool:
    """Whether the parameter is on the command line. Nodes that are named there replace those that
    the environment or a file names: together they could name one node twice.
    """
    source = click.get_current_context().get_parameter_source(parameter)
    return source is ParameterSource.COMMANDLINE


def _verb(verb: str, text: str) -> click.Command:
    """The command ``lastcall VERB`` with the help ``text``."""

    @click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_nodes)
    @config_option
    @admin_option("sources", multiple=True)
    @token_option
    @option("--all", "all_nodes", is_flag=True, help="All nodes of the local cluster.")
    @option("--json", "as_json", is_flag=True, help="Print a JSON array of the nodes' answers.")
    @port_option
    def command(
        *,
        names: tuple[str, ...],
        sources: tuple[AdminSource, ...],
        token_file: Path | None,
        all_nodes: bool,
        as_json: bool,
        port: int | None,
    ) -> int:
        from lastcall.local import commands

        if names or _is_on_command_line("sources") or _is_on_command_line("all_nodes"):
            sources = sources if _is_on_command_line("sources") else ()
            all_nodes = _is_on_command_line("all_nodes")
        if bool(names) + bool(sources) + all_nodes != 1:
            raise UsageError(
                f"{verb}: give node names (such as game-1), or --admin, or --all (exactly one)"
            )
        token = _read_token(token_file)

        async def run() -> int:
            admins = await _reader(sources)()
            targets = await commands.find_targets(admins, names, port, all_nodes=all_nodes)
            results = await commands.send_command(verb, targets, token)
            done = commands.print_results(verb, targets, results, as_json=as_json)
            return ExitCode.DRAINED if done else ExitCode.CRASHED

        return run_trio(run)

    ends = (
        "Exit code 0: done. 1: a node refused or did not answer. 2: wrong usage. 130: interrupted."
    )
    return click.command(verb, help=f"{text}\n\n{ends}", short_help=text)(command)


VERBS = (
    _verb("cordon", "Makes nodes refuse new rooms and clients, without draining. See uncordon."),
    _verb("uncordon", "Makes cordoned nodes take new rooms and clients again."),
    _verb("drain", "Tells nodes to drain and then exit, as SIGTERM does."),
)
