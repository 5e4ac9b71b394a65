"""A network that loses packets: game nodes in a network namespace behind a router that drops some
(Linux).

::

    api nodes, bots ── veth ── [ router: FORWARD drops packets ] ── veth ── [ game nodes ]

Packets are dropped in both directions, and each end sees a loss on the way. The machine's own
tables stay unchanged: everything is set up inside the two namespaces and is removed with them. A
run also removes the namespaces of earlier runs that were killed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from lastcall.bench.nodes.fleet import GamePlacement
from lastcall.errors import LastcallError

COMMAND_SECONDS = 10.0
_NAME = re.compile(r"lastcall-(\d+)-(?:router|game)")
_IPTABLES = ("iptables", "-w", "5")


class NotAllowed(LastcallError):
    """This user or this system can't set up network namespaces with a packet filter."""


class LossyNetwork:
    """A network that loses packets. Made by :func:`open_lossy_network`."""

    def __init__(self, placement: GamePlacement, router: str) -> None:
        self.placement = placement
        self._router = router

    async def packets(self) -> tuple[int, int]:
        """The number of dropped packets, and of all packets."""
        rules = await _run("ip", "netns", "exec", self._router, *_IPTABLES, "-L", "FORWARD", "-vxn")
        counts = [int(line.split()[0]) for line in rules.splitlines()[2:] if line.strip()]
        return counts[0], sum(counts)


@asynccontextmanager
async def open_lossy_network(percent: float) -> AsyncIterator[LossyNetwork]:
    """Sets the namespaces up, and removes them at the end of the block, whatever happened in it.

    Raises :class:`NotAllowed`.
    """
    if os.geteuid() != 0:
        raise NotAllowed("network namespaces need root, and this user is not root")
    for tool in ("ip", "iptables"):
        if shutil.which(tool) is None:
            raise NotAllowed(f"{tool} is not installed on this machine")
    await _remove_leftovers()
    number = os.getpid()
    router, game = f"lastcall-{number}-router", f"lastcall-{number}-game"
    try:
        yield LossyNetwork(await _build(router, game, number, percent), router)
    finally:
        with trio.CancelScope(shield=True):  # bounded: each command is
            await _remove(router, game)


async def _build(router: str, game: str, number: int, percent: float) -> GamePlacement:
    """Two /30 networks of 198.18.0.0/15, the range for benchmarks (RFC 2544)."""
    net = f"198.18.{number % 256}"
    near, far = f"lc{number}a", f"lc{number}b"
    in_router = ("ip", "netns", "exec", router)
    commands: list[tuple[str, ...]] = [
        ("ip", "netns", "add", router),
        ("ip", "netns", "add", game),
        ("ip", "link", "add", near, "type", "veth", "peer", "name", "near", "netns", router),
        ("ip", "-n", router, "link", "add", "far", "type", "veth", "peer", "name", far),
        ("ip", "-n", router, "link", "set", far, "netns", game),
        ("ip", "addr", "add", f"{net}.1/30", "dev", near),
        ("ip", "-n", router, "addr", "add", f"{net}.2/30", "dev", "near"),
        ("ip", "-n", router, "addr", "add", f"{net}.5/30", "dev", "far"),
        ("ip", "-n", game, "addr", "add", f"{net}.6/30", "dev", far),
        ("ip", "link", "set", near, "up"),
        ("ip", "-n", router, "link", "set", "near", "up"),
        ("ip", "-n", router, "link", "set", "far", "up"),
        ("ip", "-n", game, "link", "set", far, "up"),
        ("ip", "-n", game, "link", "set", "lo", "up"),
        ("ip", "route", "add", f"{net}.4/30", "via", f"{net}.2"),
        ("ip", "-n", game, "route", "add", "default", "via", f"{net}.5"),
        (*in_router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
        (
            *(*in_router, *_IPTABLES, "-A", "FORWARD", "-m", "statistic", "--mode", "random"),
            *("--probability", f"{percent / 100:g}", "-j", "DROP"),
        ),
        (*in_router, *_IPTABLES, "-A", "FORWARD", "-j", "ACCEPT"),
    ]
    for command in commands:
        await _run(*command)
    return GamePlacement(f"{net}.1", f"{net}.6", ("ip", "netns", "exec", game))


async def _run(*command: str) -> str:
    """Returns the output; raises :class:`NotAllowed` with it if the command fails."""
    try:
        with trio.fail_after(COMMAND_SECONDS):
            done = await trio.run_process(
                command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
            )
    except (OSError, trio.TooSlowError) as error:
        raise NotAllowed(f"{' '.join(command)}: {error or 'did not end within 10 s'}") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        why = " ".join(output.split()) or f"exit code {done.returncode}"
        raise NotAllowed(f"{' '.join(command)}: {why}")
    return output


async def _remove(*names: str) -> None:
    for name in names:  # its interfaces go with it; an unknown name does no harm
        with trio.move_on_after(COMMAND_SECONDS):
            command = ["ip", "netns", "delete", name]
            await trio.run_process(command, capture_stderr=True, check=False)


async def _remove_leftovers() -> None:
    """Removes the namespaces of runs whose process is gone."""
    listed = _NAME.finditer(await _run("ip", "netns", "list"))
    await _remove(*(found[0] for found in listed if not _is_alive(found[1])))


def _is_alive(pid: str) -> bool:
    return Path("/proc", pid).exists()
