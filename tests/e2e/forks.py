"""Nodes that start at once: forks of one process that has imported what every node imports.

The imports are most of the processor time of a node that lives for one short test. A fork then does
all that ``python -m TIER`` does. Tests of a node's start itself start a fresh interpreter instead.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = ("lastcall.api.command", "lastcall.game.command", "lastcall.serve.command")
"""Not the ``__main__`` files: these install signal handlers, so each fork runs its own."""
ORDER_BYTES_MAX, DESCRIPTORS_MAX = 1 << 17, 16
FIRST_KEPT = 500
"""A fork keeps the descriptors of its order at this number or above until the others are closed."""
SECONDS_TO_END = 5.0
PR_SET_PDEATHSIG = 1
"""Of Linux's ``prctl``: the signal that a process gets when its parent ends."""


class ForksEnded(Exception):
    """The process that forks the nodes has ended, and with it all that it has forked."""


class Fork:
    """A node as a fork, with the interface of ``Popen`` as far as the tests need it."""

    def __init__(self, server: Forks, pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.exit_code(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            self.returncode = self._server.exit_code(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended after that look
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, which ends with this one, and the exit codes of its forks."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.forks", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                env=dict(env),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._exit_codes: dict[int, int] = {}

    def fork(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stderr: int,
        pass_fds: Sequence[int],
    ) -> Fork:
        """Runs ``python -m ARGUMENTS``; ``pass_fds`` have the same numbers there."""
        order = {"arguments": arguments, "cwd": str(cwd), "env": env, "pass_fds": pass_fds}
        data = json.dumps(order | {"env": dict(env)}).encode()
        with contextlib.suppress(ConnectionError):  # then there is no news, either
            socket.send_fds(self._socket, [data], [stderr, *pass_fds])
        while (news := self._news())[0] != "started":
            pass
        return Fork(self, news[1])

    def exit_code(self, pid: int, timeout: float) -> int | None:
        """The exit code of a fork, or None if it runs still after ``timeout`` seconds."""
        while pid not in self._exit_codes:
            if not select.select([self._socket], [], [], timeout)[0]:
                return None
            self._news()
        return self._exit_codes.pop(pid)

    def _news(self) -> list[Any]:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._socket.recv(ORDER_BYTES_MAX)
        if not data:
            raise ForksEnded("the process that forks the nodes has ended; its stderr says why")
        news: list[Any] = json.loads(data)
        if news[0] == "ended":
            self._exit_codes[news[1]] = news[2]
        return news

    def close(self) -> None:
        self._socket.close()
        self._process.wait(SECONDS_TO_END)


@functools.cache
def forks() -> Forks:
    """The one of this process, which starts it at the first call."""
    from tests.e2e.nodes import child_environment  # noqa: PLC0415 - that module imports this one

    server = Forks(child_environment({}))
    atexit.register(server.close)
    return server


# The process that forks.


def next_fork(orders: socket.socket) -> dict[str, Any] | None:
    """Forks for each order, and returns the order in the fork; None when no order can come."""
    poll, forked = select.poll(), dict[int, int]()
    poll.register(orders.fileno(), select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in forked:
                poll.unregister(descriptor)
                os.close(descriptor)
                pid, status = os.waitpid(forked.pop(descriptor), 0)
                tell(orders, "ended", pid, os.waitstatus_to_exitcode(status))
                continue
            data, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES_MAX, DESCRIPTORS_MAX)
            if not data:
                return None
            if not (pid := os.fork()):
                return json.loads(data) | {"descriptors": descriptors}
            for received in descriptors:
                os.close(received)
            ended = os.pidfd_open(pid)
            forked[ended] = pid
            poll.register(ended, select.POLLIN)
            tell(orders, "started", pid)


def tell(orders: socket.socket, *news: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # the tests have ended
        orders.send(json.dumps(news).encode())


def end_with(parent: int) -> None:
    """Has the kernel kill this process when ``parent`` ends, or at once if it has ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def become(order: dict[str, Any], parent: int) -> None:
    """Gives this fork what a fresh process would have: descriptors, environment, folder, path."""
    end_with(parent)
    os.setsid()
    kept = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, FIRST_KEPT) for one in order["descriptors"]]
    os.closerange(3, FIRST_KEPT)
    os.dup2(kept[0], 2)
    for received, number in zip(kept[1:], order["pass_fds"], strict=True):
        os.dup2(received, number)
    os.closerange(FIRST_KEPT, max(kept) + 1)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.path[0] = order["cwd"]
    sys.argv = list(order["arguments"])
    trio._core._run._r.seed()  # or all forks would run their tasks in the same order


def main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        importlib.import_module(name)
    parent = os.getpid()
    order = next_fork(orders)
    orders.close()
    if order is not None:
        become(order, parent)
        runpy.run_module(order["arguments"][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
