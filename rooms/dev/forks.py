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

NO_FORKS = "the process that starts the versions of your code has ended: start `lastcall dev` again"


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

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._forks: dict[int, Fork] = {}
        self._numbers = count(1)
        self._ended = False

    async def spawn(
        self, command: Sequence[str], pass_fds: Sequence[int], env: Mapping[str, str]
    ) -> Fork:
        """Runs a game node, whose arguments are ``command``; it inherits its lifeline alone, and
        the environment of the process that forks.

        Raises :class:`ClusterFailed`.
        """
        lifeline = int(env[LIFELINE])
        assert list(pass_fds) == [lifeline]  # noqa: S101 - a game node inherits nothing else
        (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
        fork, number = Fork(ours_in, ours_out), next(self._numbers)
        self._forks[number] = fork
        order = msgspec.json.encode(Order(number, tuple(command)))
        try:
            socket.send_fds(self._orders, [order], [theirs_in, theirs_out, lifeline])
            if self._ended:
                raise ClusterFailed(NO_FORKS)
        except OSError as error:
            raise ClusterFailed(NO_FORKS) from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        await fork.started.wait()
        if not fork.pid:
            raise ClusterFailed(NO_FORKS)
        return fork

    async def run(self) -> None:
        """Hears of the forks, until cancelled or until no more can be heard."""
        while True:
            await trio.lowlevel.wait_readable(self._orders)
            data, descriptors, _, _ = socket.recv_fds(self._orders, NEWS_BYTES_MAX, 1)
            if not data:
                break
            news = msgspec.json.decode(data, type=Started | Ended)
            if isinstance(news, Started):
                self._forks[news.number].begin(news.pid, descriptors[0])
            else:
                self._forks.pop(news.number).end(news.code)
        self._ended = True
        for fork in self._forks.values():
            fork.kill()
            fork.end(-signal.SIGKILL)


@asynccontextmanager
async def open_forks() -> AsyncIterator[Forks]:
    """Starts the process that forks; it ends with the block, and its forks with their children."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, lone_error():
        async with trio.open_nursery() as nursery:
            with theirs:
                process = await trio.lowlevel.open_process(
                    _command(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    env=environment(),
                )
            forks = Forks(ours)
            nursery.start_soon(forks.run)
            try:
                yield forks
            finally:
                process.kill()
                with trio.CancelScope(shield=True):  # it has been killed, so this is a moment
                    await process.wait()
                nursery.cancel_scope.cancel()


def _command(orders: int) -> list[str]:
    """No file of the current folder can shadow this package, where that is installed."""
    is_installed = Path(sysconfig.get_path("scripts"), "lastcall-game").exists()
    safe = ["-P"] if is_installed else []
    return [sys.executable, *safe, "-m", "lastcall.dev.warm", str(orders)]
