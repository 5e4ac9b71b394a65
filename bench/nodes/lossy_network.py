"""A wire that loses packets: game nodes in a network namespace, behind another that drops (Linux).

::

    api nodes, bots ── veth ── [ router: FORWARD drops so many percent ] ── veth ── [ game nodes ]

Packets are dropped between the two, in both directions, so to each end it is a loss on the wire.
The machine's own tables stay as they are: what is set up lies in the two namespaces and goes with
them. Those of an earlier run that was killed are taken away at the next.
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

from lastcall.bench.nodes.fleet import Place
from lastcall.errors import LastcallError

__all__ = ["NotAllowed", "Wire", "open_lossy_wire"]

COMMAND_SECONDS = 10.0
_NAME = re.compile(r"lastcall-(\d+)-(?:router|game)")


class NotAllowed(LastcallError):
    """This user, or this system, can't have network namespaces and a filter in them."""


class Wire:
    """A wire that loses packets. Made by :func:`open_lossy_wire`."""

    def __init__(self, place: Place, router: str) -> None:
        self.place = place
        """Where the nodes are to run."""
        self._router = router

    async def dropped(self) -> tuple[int, int]:
        """How many packets were lost, and how many there were."""
        rules = await _run("ip", "netns", "exec", self._router, *_IPTABLES, "-L", "FORWARD", "-vxn")
        counts = [int(line.split()[0]) for line in rules.splitlines()[2:] if line.strip()]
        return counts[0], sum(counts)


_IPTABLES = ("iptables", "-w", "5")


@asynccontextmanager
async def open_lossy_wire(percent: float) -> AsyncIterator[Wire]:
    """The namespaces; they are removed at the end of the block, whatever happened in it.

    Raises :class:`NotAllowed`.
    """
    if os.geteuid() != 0:
        raise NotAllowed("network namespaces are for root, and this user is not root")
    for tool in ("ip", "iptables"):
        if shutil.which(tool) is None:
            raise NotAllowed(f"there is no {tool} on this machine")
    await _sweep()
    number = os.getpid()
    router, game = f"lastcall-{number}-router", f"lastcall-{number}-game"
    try:
        place = await _build(router, game, number, percent)
        yield Wire(place, router)
    finally:
        with trio.CancelScope(shield=True):  # bounded: each command is
            await _remove(router, game)


async def _build(router: str, game: str, number: int, percent: float) -> Place:
    """Two /30 networks of 198.18.0.0/15, which is for benchmarks (RFC 2544)."""
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
    return Place(f"{net}.1", f"{net}.6", ("ip", "netns", "exec", game))


async def _run(*command: str) -> str:
    """What it printed; raises :class:`NotAllowed` with what it complained of."""
    try:
        with trio.fail_after(COMMAND_SECONDS):
            done = await trio.run_process(
                command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
            )
    except (OSError, trio.TooSlowError) as error:
        raise NotAllowed(f"{' '.join(command)}: {error or 'no end in 10 s'}") from error
    words = done.stdout.decode(errors="replace")
    if done.returncode:
        why = " ".join(words.split()) or f"exit code {done.returncode}"
        raise NotAllowed(f"{' '.join(command)}: {why}")
    return words


async def _remove(*names: str) -> None:
    for name in names:  # with its namespace goes the wire; a name that is not there is no harm
        with trio.move_on_after(COMMAND_SECONDS):
            await trio.run_process(
                ["ip", "netns", "delete", name],
                capture_stderr=True,
                check=False,
            )


async def _sweep() -> None:
    """Removes what runs have left that are dead."""
    listed = await _run("ip", "netns", "list")
    await _remove(*(found[0] for found in _NAME.finditer(listed) if not _runs(found[1])))


def _runs(pid: str) -> bool:
    return Path("/proc", pid).exists()
