"""Cuts clients' sockets as a broken network would: without a close frame, with bytes in flight."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence

import trio

from lastcall.bench.bots.bot import Bot
from lastcall.errors import ClusterFailed


class Cutter:
    """Cuts from the bots' side: each socket is closed with a reset (``SO_LINGER`` 0)."""

    description = "the bots close their sockets with a reset (ss -K is not possible here)"

    async def cut(self, bots: Sequence[Bot]) -> None:
        """Ends the sockets of ``bots``, at once."""
        for bot in bots:
            bot.cut()


class KernelCutter(Cutter):
    """Cuts from outside, with ``ss -K``: half of the sockets at the bot's end, half at the node's.

    The end that is cut finds its socket aborted, the other end gets a reset; the bytes that either
    end has not read are lost.
    """

    description = "sockets are cut by the kernel (ss -K): half at the bot's end, half at the node's"

    async def cut(self, bots: Sequence[Bot]) -> None:
        """Raises :class:`ClusterFailed` if ``ss`` no longer works."""
        ports = [bot.ports for bot in bots if bot.ports is not None]
        at_bots = [_between(own, node) for own, node in ports[::2]]
        at_nodes = [_between(node, own) for own, node in ports[1::2]]
        found = await _kill_sockets(at_bots + at_nodes)
        if found < len(ports) // 2:
            raise ClusterFailed(f"ss -K was to cut {len(ports)} sockets and cut {found}")


async def find_cutter() -> Cutter:
    """Tries ``ss -K`` on a socket; returns the cutter that works here."""
    if os.geteuid() == 0 and shutil.which("ss") and await _ss_works():
        return KernelCutter()
    return Cutter()


def _between(own: int, other: int) -> str:
    """A filter by both ports: connections to two nodes may share the port at the bot's end."""
    return f"( src 127.0.0.1:{own} and dst 127.0.0.1:{other} )"


async def _ss_works() -> bool:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        await _kill_sockets([_between(client.getsockname()[1], client.getpeername()[1])])
        return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


async def _kill_sockets(filters: Sequence[str]) -> int:
    """Returns how many sockets ``ss`` reports as cut."""
    if not filters:
        return 0
    done = await trio.run_process(
        ["ss", "-K", "-tnH", " or ".join(filters)],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    return len(done.stdout.splitlines())
