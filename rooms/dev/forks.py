"""The processes of the versions: forks of one that has imported all but the author's code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import msgspec
import trio

from lastcall.dev.orders import NEWS_BYTES_MAX, Ended, Order, Started
from lastcall.errors import ClusterFailed
from lastcall.exception_groups import lone_error
from lastcall.local.child import environment
from lastcall.runtime.signals import LIFELINE

NO_FORKS = "the process that starts the versions of your code has ended"


class Fork:
    """A process, with the interface of :class:`trio.Process` as far as a child needs it."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self.stdin = trio.lowlevel.FdStream(stdin)
        self.stdout = trio.lowlevel.FdStream(stdout)
        self.pid = 0
        self.returncode: int | None = None
        self.started = trio.Event()
        self._ended = trio.Event()
        self._descriptor = -1

    def begin(self, pid: int, descriptor: int) -> None:
        """It runs."""
        self.pid, self._descriptor = pid, descriptor
        self.started.set()

    def end(self, code: int) -> None:
        """It has ended, or nobody will tell when it does."""
        if self.returncode is None:
            self.returncode = code
            if self._descriptor >= 0:
                os.close(self._descriptor)
        self.started.set()
        self._ended.set()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.returncode

    async def wait(self) -> int:
        """Waits for its end."""
        await self._ended.wait()
        return self.returncode or 0

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it runs."""
        if self.returncode is None and self._descriptor >= 0:
            with suppress(ProcessLookupError):  # it has just ended, as the next news will tell
                signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Makes forks. Made by :func:`open_forks`."""

    def __init__(self) -> None:
        self._orders: socket.socket | None = None
        self._can_order = trio.Event()
        self._forks: dict[int, Fork] = {}
        self._numbers = count(1)

    async def spawn(
        self, command: Sequence[str], pass_fds: Sequence[int], env: Mapping[str, str]
    ) -> Fork:
        """Runs a game node, whose arguments are ``command``; it inherits its lifeline alone, and
        the environment of the process that forks.

        Raises :class:`ClusterFailed` if that process dies just now.
        """
        lifeline = int(env[LIFELINE])
        assert list(pass_fds) == [lifeline]  # noqa: S101 - a game node inherits nothing else
        await self._can_order.wait()
        (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
        fork, number = Fork(ours_in, ours_out), next(self._numbers)
        self._forks[number] = fork
        order = msgspec.json.encode(Order(number, tuple(command)))
        assert self._orders is not None  # noqa: S101 - the event says so
        with suppress(OSError):  # it has died: then :meth:`run` ends the fork
            socket.send_fds(self._orders, [order], [theirs_in, theirs_out, lifeline])
        os.close(theirs_in)
        os.close(theirs_out)
        await fork.started.wait()
        if not fork.pid:
            await fork.stdin.aclose()
            await fork.stdout.aclose()
            raise ClusterFailed(NO_FORKS)
        return fork

    async def run(self) -> None:
        """Keeps the process that forks, until cancelled. Its forks do not outlive it.

        Raises :class:`ClusterFailed` when one ends that has not made a fork.
        """
        while True:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                with theirs:
                    process = await _start(theirs)
                self._orders = ours
                self._can_order.set()
                try:
                    has_forked = await self._hear(ours)
                finally:
                    self._can_order = trio.Event()
                    process.kill()
                    with trio.CancelScope(shield=True):  # it is killed, so this is a moment
                        await process.wait()
            for fork in self._forks.values():
                fork.kill()
                fork.end(-signal.SIGKILL)
            self._forks.clear()
            if not has_forked:
                raise ClusterFailed(NO_FORKS)

    async def _hear(self, orders: socket.socket) -> bool:
        """Hears of the forks, until there is nothing more to hear; returns whether there were."""
        has_forked = False
        while True:
            await trio.lowlevel.wait_readable(orders)
            try:
                data, descriptors, _, _ = socket.recv_fds(orders, NEWS_BYTES_MAX, 1)
            except ConnectionResetError:  # it has died before it had read all orders
                return has_forked
            if not data:
                return has_forked
            news = msgspec.json.decode(data, type=Started | Ended)
            if isinstance(news, Started):
                has_forked = True
                self._forks[news.number].begin(news.pid, descriptors[0])
            else:
                self._forks.pop(news.number).end(news.code)


async def _start(orders: socket.socket) -> trio.Process:
    return await trio.lowlevel.open_process(
        _command(orders.fileno()),
        stdin=subprocess.DEVNULL,
        pass_fds=[orders.fileno()],
        start_new_session=True,
        env=environment(),
    )


@asynccontextmanager
async def open_forks() -> AsyncIterator[Forks]:
    """Starts the process that forks; it ends with the block."""
    with lone_error():
        async with trio.open_nursery() as nursery:
            forks = Forks()
            nursery.start_soon(forks.run)
            yield forks
            nursery.cancel_scope.cancel()


def _command(orders: int) -> list[str]:
    """No file of the current folder can shadow this package, where that is installed."""
    is_installed = Path(sysconfig.get_path("scripts"), "lastcall-game").exists()
    safe = ["-P"] if is_installed else []
    return [sys.executable, *safe, "-m", "lastcall.dev.warm", str(orders)]
