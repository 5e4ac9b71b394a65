"""``lastcall status | cordon | uncordon | drain``: asked of nodes one by one."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import msgspec

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Phase
from lastcall.errors import ClusterFailed, UsageError
from lastcall.local.admin_client import ask_all, command, open_admin_client, status
from lastcall.local.control.messages import AskNodes, NodeList
from lastcall.local.control.paths import find
from lastcall.local.control.socket import calling
from lastcall.local.text_table import columns
from lastcall.wire.reports import Status

__all__ = ["Target", "result_text", "status_json", "status_text", "statuses", "targets", "tell"]

WHY_SHOWN = 10
DONE = {"cordon": "is cordoned", "uncordon": "takes new work again", "drain": "drains"}


class Target(msgspec.Struct, frozen=True):
    """A node to be asked. One given by its address is named by it, and nobody knows its ``pid``.

    ``dead`` says how one has ended that is not there any more, and cannot be asked.
    """

    name: str
    admin: str
    pid: int | None = None
    version: str = "-"
    dead: str = ""


async def local_nodes(port: int | None) -> NodeList:
    """What ``lastcall up`` on ``port`` (by default the only one) runs now."""
    async with calling(await find(port), AskNodes()) as call:
        reply = await call.next()
    if not isinstance(reply, NodeList):
        raise ClusterFailed("the local cluster answered another question")
    return reply


async def targets(
    admins: Sequence[HostPort],
    names: Sequence[str],
    port: int | None,
    *,
    everybody: bool,
    dead_too: bool = False,
) -> list[Target]:
    """The nodes that are meant: those at ``admins``, and those of the local cluster in ``names``,
    or all of them; ``dead_too``: first those that have died. Raises :class:`UsageError` for a name
    that is not there.
    """
    found = [Target(str(admin), str(admin)) for admin in admins]
    if not (names or everybody):
        return found
    cluster = await local_nodes(port)
    local = {node.name: Target(node.name, node.admin, node.pid) for node in cluster.nodes}
    unknown = [name for name in names if name not in local]
    if unknown:
        raise UsageError(
            f"no node {unknown[0]!r} in the local cluster; there are {', '.join(sorted(local))}"
        )
    if dead_too:
        found += [Target(gone.name, "", gone.pid, gone.version, gone.how) for gone in cluster.dead]
    return found + [local[name] for name in (local if everybody else dict.fromkeys(names))]


async def statuses(asked: Sequence[Target], token: bytes | None = None) -> list[Status | None]:
    """Each node's status, asked at the same time; None for one that does not answer."""
    async with open_admin_client(token) as client:

        async def ask(target: Target) -> Status | None:
            return await status(client, target.admin) if target.admin else None

        return await ask_all(asked, ask)


def status_text(asked: Sequence[Target], answers: Sequence[Status | None]) -> str:
    """A line for each node, and below one that does not serve, why it is still up."""
    head = ("node", "version", "phase", "rooms", "clients", "seconds to the cut", "admin", "pid")
    rows = [_row(target, now) for target, now in zip(asked, answers, strict=True)]
    first, *rest = columns([head, *rows])
    lines = [first]
    for line, now in zip(rest, answers, strict=True):
        lines += [line, *(f"    {sentence}" for sentence in _why(now))]
    return "\n".join(lines)


def _why(now: Status | None) -> list[str]:
    if now is None or now.phase == Phase.SERVING:
        return []
    more = len(now.why) - WHY_SHOWN
    return [*now.why[:WHY_SHOWN], *([f"and {more} more; --json tells all"] if more > 0 else [])]


def _row(target: Target, now: Status | None) -> tuple[str, ...]:
    where = (target.admin or "-", "-" if target.pid is None else str(target.pid))
    if now is None:
        phase = target.dead or ("no answer" if target.admin else "starting")
        return (target.name, target.version, phase, "-", "-", "-", *where)
    left = "-" if now.seconds_left is None else f"{now.seconds_left:.1f}"
    return (now.name, now.version, now.phase, str(now.rooms), str(now.clients), left, *where)


async def tell(
    verb: str, asked: Sequence[Target], token: bytes | None = None
) -> list[Status | ClusterFailed]:
    """Tells each node to do it, one after the other, and says what came of it.

    ``token`` is for nodes beyond loopback.
    """
    results: list[Status | ClusterFailed] = []
    async with open_admin_client(token) as client:
        for target in asked:
            results.append(await _tell_one(verb, target, client))  # noqa: PERF401
    return results


async def _tell_one(verb: str, target: Target, client: httpx.AsyncClient) -> Status | ClusterFailed:
    if not target.admin:
        return ClusterFailed(f"{target.name} is still starting")
    try:
        return await command(client, target.admin, verb)
    except ClusterFailed as error:
        return ClusterFailed(f"{target.name}: {error}")


def result_text(verb: str, result: Status | ClusterFailed) -> str:
    """What a node does now that it was told, or why it does not."""
    if isinstance(result, ClusterFailed):
        return f"Error: {result}"
    return f"{result.name} {DONE[verb]}"


def status_json(asked: Sequence[Target], answers: Sequence[Status | None]) -> str:
    """A JSON array with each node's ``/status``, admin port, and process (null if it is not known);
    an absent node has no phase, and one that died has ``dead``: how.
    """
    nodes = [
        {"admin": target.admin, "pid": target.pid}
        | ({"dead": target.dead} if target.dead else {})
        | (msgspec.to_builtins(now) if now else {"name": target.name})
        for target, now in zip(asked, answers, strict=True)
    ]
    return msgspec.json.encode(nodes).decode()
