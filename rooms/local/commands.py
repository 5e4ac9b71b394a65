"""``lastcall status | cordon | uncordon | drain``: finds the nodes, asks them, formats answers."""

from __future__ import annotations

from collections.abc import Sequence

import click
import httpx
import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Phase
from lastcall.errors import ClusterFailed, UsageError
from lastcall.local.admin_client import ask_all, command, open_admin_client, status
from lastcall.local.control.messages import AskNodes, NodeList
from lastcall.local.control.paths import find
from lastcall.local.control.socket import open_call
from lastcall.local.text_table import columns
from lastcall.wire.reports import Status

WHY_SHOWN = 10
DONE = {"cordon": "is cordoned", "uncordon": "takes new work again", "drain": "drains"}


class Target(msgspec.Struct, frozen=True):
    """A node to ask. A node that was given by its address has that as its name, and no ``pid``.

    ``dead`` says how a node has died; such a node is listed and not asked.
    """

    name: str
    admin: str
    pid: int | None = None
    version: str = "-"
    dead: str = ""


async def find_targets(
    admins: Sequence[HostPort | str],
    names: Sequence[str],
    port: int | None,
    *,
    all_nodes: bool,
    include_dead: bool = False,
) -> list[Target]:
    """The nodes at ``admins``, and those of the local cluster on ``port`` in ``names``, or all of
    them; with ``include_dead``, dead nodes come first. Raises :class:`UsageError` for an unknown
    name.
    """
    found = [Target(str(admin), str(admin)) for admin in admins]
    if not (names or all_nodes):
        return found
    async with open_call(find(port), AskNodes()) as call:
        cluster = await call.next()
    if not isinstance(cluster, NodeList):
        raise ClusterFailed("the local cluster did not send the list of its nodes")
    local = {node.name: Target(node.name, node.admin, node.pid) for node in cluster.nodes}
    unknown = [name for name in names if name not in local]
    if unknown:
        raise UsageError(
            f"no node {unknown[0]!r} in the local cluster; its nodes: {', '.join(sorted(local))}"
        )
    if include_dead:
        found += [Target(node.name, "", node.pid, node.version, node.how) for node in cluster.dead]
    return found + [local[name] for name in (local if all_nodes else dict.fromkeys(names))]


async def statuses(targets: Sequence[Target], token: bytes | None = None) -> list[Status | None]:
    """Each node's status, asked at the same time; None for a node that does not answer."""
    async with open_admin_client(token) as client:

        async def ask(target: Target) -> Status | None:
            return await status(client, target.admin) if target.admin else None

        return await ask_all(targets, ask)


HEAD = ("node", "version", "phase", "rooms", "clients", "seconds to the cut", "admin", "pid")
COUNTS = HEAD[3:6]


def status_text(targets: Sequence[Target], answers: Sequence[Status | None]) -> str:
    """A line for each node, and below a node that does not serve, why it is still up."""
    rows = [_row(target, now) for target, now in zip(targets, answers, strict=True)]
    first, *rest = columns([HEAD, *rows])
    lines = [first]
    for line, now in zip(rest, answers, strict=True):
        lines += [line, *(f"    {sentence}" for sentence in _why(now))]
    return "\n".join(lines)


def status_table(targets: Sequence[Target], answers: Sequence[Status | None]) -> Group:
    """The same for a terminal, however narrow: the reasons are below the table."""
    table = Table(box=None, pad_edge=False)
    for head in HEAD:
        table.add_column(head, justify="right" if head in COUNTS else "left", overflow="fold")
    reasons = []
    for target, now in zip(targets, answers, strict=True):
        table.add_row(*map(Text, _row(target, now)))
        reasons += [Text(f"{target.name}: {sentence}") for sentence in _why(now)]
    return Group(table, *reasons)


def _why(now: Status | None) -> list[str]:
    if now is None or now.phase == Phase.SERVING:
        return []
    more = len(now.why) - WHY_SHOWN
    return [*now.why[:WHY_SHOWN], *([f"and {more} more; --json shows all"] if more > 0 else [])]


def _row(target: Target, now: Status | None) -> tuple[str, ...]:
    where = (target.admin or "-", "-" if target.pid is None else str(target.pid))
    if now is None:
        phase = target.dead or ("no answer" if target.admin else "starting")
        return (target.name, target.version, phase, "-", "-", "-", *where)
    left = "-" if now.seconds_left is None else f"{now.seconds_left:.1f}"
    return (now.name, now.version, now.phase, str(now.rooms), str(now.clients), left, *where)


async def send_command(
    verb: str, targets: Sequence[Target], token: bytes | None = None
) -> list[Status | ClusterFailed]:
    """Sends the command to each node, one after the other; returns the status or error of each.

    ``token`` is for nodes that have one.
    """
    results: list[Status | ClusterFailed] = []
    async with open_admin_client(token) as client:
        for target in targets:
            results.append(await _send_one(verb, target, client))  # noqa: PERF401
    return results


async def _send_one(verb: str, target: Target, client: httpx.AsyncClient) -> Status | ClusterFailed:
    if not target.admin:
        return ClusterFailed(f"{target.name}: it is still starting")
    try:
        return await command(client, target.admin, verb)
    except ClusterFailed as error:
        return ClusterFailed(f"{target.name}: {error}")


def result_text(verb: str, result: Status | ClusterFailed) -> str:
    """A sentence: what the node does now, or why it does not."""
    if isinstance(result, ClusterFailed):
        return f"Error: {result}"
    return f"{result.name} {DONE[verb]}"


def print_results(
    verb: str,
    targets: Sequence[Target],
    results: Sequence[Status | ClusterFailed],
    *,
    as_json: bool,
) -> bool:
    """Prints the answers of the nodes; returns whether all have done it."""
    if as_json:
        click.echo(results_json(targets, results))
    else:
        for result in results:
            click.echo(result_text(verb, result), err=isinstance(result, ClusterFailed))
    return not any(isinstance(result, ClusterFailed) for result in results)


def results_json(targets: Sequence[Target], results: Sequence[Status | ClusterFailed]) -> str:
    """A JSON array: each node's ``/status`` after the command, or its name and the ``error``."""
    nodes = [
        {"name": target.name, "error": str(result)}
        if isinstance(result, ClusterFailed)
        else msgspec.to_builtins(result)
        for target, result in zip(targets, results, strict=True)
    ]
    return msgspec.json.encode(nodes).decode()


def status_json(targets: Sequence[Target], answers: Sequence[Status | None]) -> str:
    """A JSON array with each node's ``/status``, admin port and process id (null if unknown). A
    node that did not answer has no phase; ``dead`` says how a node has died.
    """
    nodes = [
        {"admin": target.admin, "pid": target.pid}
        | ({"dead": target.dead} if target.dead else {})
        | (msgspec.to_builtins(now) if now else {"name": target.name})
        for target, now in zip(targets, answers, strict=True)
    ]
    return msgspec.json.encode(nodes).decode()
