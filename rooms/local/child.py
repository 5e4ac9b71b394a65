"""One node as a child process: started, read, signalled, and awaited to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import trio

from lastcall.local.output import NodeOutput, readable
from lastcall.reasons import ExitCode
from lastcall.runtime.signals import LIFELINE
from lastcall.wire.reports import DrainFinished, HandOffRefusal

KILL_SECONDS = 2.0
STARTING_NICE = 10
READ_REST_SECONDS = 0.5
REFUSALS_KEPT = 16


class NodeReady(msgspec.Struct, frozen=True):
    """The event ``node.ready``: where the node really listens."""

    name: str
    listen: str
    admin: str


class NodeProcess(Protocol):
    """A process, as :class:`trio.Process` is one; ``stdin`` is there if the node is led by it."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def stdin(self) -> trio.abc.SendStream | None:
        """Its standard input."""

    @property
    def stdout(self) -> trio.abc.ReceiveStream | None:
        """Its output."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, or None while it runs."""

    def poll(self) -> int | None:
        """Looks whether it runs, and returns its exit code."""

    async def wait(self) -> int:
        """Waits for its end."""

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""

    def kill(self) -> None:
        """Ends it at once."""


Spawn = Callable[[Sequence[str], Sequence[int], Mapping[str, str]], Awaitable[NodeProcess]]
"""``(command, pass_fds, env)`` → a process in a session of its own."""


async def spawn(
    command: Sequence[str], pass_fds: Sequence[int], env: Mapping[str, str]
) -> NodeProcess:
    """Starts a node that is not led."""
    return await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
        env=env,
    )


class Child:
    """A node's process, from its start to its end.

    It runs in a session of its own, since otherwise a terminal's Ctrl-C would be its second signal.
    It holds a pipe whose other end closes when this process dies (``LASTCALL_LIFELINE``).
    ``show`` is called with what the operator should see at once: see :class:`NodeOutput`;
    ``on_event`` with each event of the node's log.
    """

    def __init__(
        self,
        name: str,
        tier: str,
        command: Sequence[str],
        fds: Sequence[int] = (),
        *,
        version: str = "",
        spawn: Spawn = spawn,
        show: Callable[[str], None] = lambda _text: None,
        on_event: Callable[[bytes], None] = lambda _line: None,
    ):
        self.name = name
        self.tier = tier
        self.version = version
        """The version that the node was started with."""
        self.serving = False
        """The node serves and was not told to stop: if it ends now, it has died."""
        self.replaced = False
        """A roll has replaced the node."""
        self.ready: NodeReady | None = None
        self.lacks = ""
        """Why the node was not ready when it was asked last."""
        self.finished: DrainFinished | None = None
        self.refusals: dict[HandOffRefusal, None] = {}
        """Why other nodes did not take rooms of this one, each kind and reason once."""
        self._tell = on_event
        self.output = NodeOutput(name, show, self._on_event)
        self.exit_code: int | None = None
        """Negative: the number of the signal that killed the process."""
        self.became_ready = trio.Event()
        """Set at ``node.ready``, and at the end of a process that never became ready."""
        self.ended = trio.Event()
        self._command = command
        self._fds = fds
        self._process: NodeProcess | None = None
        self._spawn = spawn
        self._unsent: list[signal.Signals] = []
        self._stop_sent = False

    async def run(self) -> None:
        """Runs the process to its end. Cancelled, it kills the process and waits for it."""
        ours, theirs = os.pipe()
        try:
            env = {**environment(), LIFELINE: str(ours)}
            self._process = await self._spawn(self._command, [ours, *self._fds], env)
        except BaseException:
            os.close(theirs)
            raise
        finally:
            os.close(ours)
        try:
            if self._spawn is spawn:
                _set_nice(self.pid, STARTING_NICE)
            for number in self._unsent:
                self.send(number)
            await self._read_to_the_end(self._process)
        finally:
            try:
                await self._reap(self._process)
            finally:
                os.close(theirs)

    async def _read_to_the_end(self, process: NodeProcess) -> None:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.output.read, process.stdout)
            await process.wait()
            # The last lines may still be in the pipe; a grandchild may hold it open for ever.
            nursery.cancel_scope.deadline = trio.current_time() + READ_REST_SECONDS
        if process.returncode != ExitCode.USAGE:
            self.output.show_refusal(trio.current_time())

    async def _reap(self, process: NodeProcess) -> None:
        if process.returncode is None:
            process.kill()
            with trio.move_on_after(KILL_SECONDS, shield=True):
                await process.wait()
        self.exit_code = process.returncode
        self.became_ready.set()
        self.ended.set()
        for stream in filter(None, (process.stdout, process.stdin)):
            await trio.aclose_forcefully(stream)

    def _on_event(self, name: str, line: bytes) -> None:
        self._tell(line)
        match name:
            case "node.ready":
                self.ready = msgspec.json.decode(line, type=NodeReady)
                _set_nice(self.pid, 0)
                self.became_ready.set()
            case "drain.finished":
                self.finished = msgspec.json.decode(line, type=DrainFinished)
            case "handoff.refused" | "survival.refused" if len(self.refusals) < REFUSALS_KEPT:
                self.refusals[msgspec.json.decode(line, type=HandOffRefusal)] = None

    async def say(self, word: bytes) -> None:
        """Tells a node that is led what to do; nothing if it has ended."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._process.stdin.send_all(word + b"\n")

    @property
    def pid(self) -> int:
        """The process's id, also after its end; 0 before its start."""
        return 0 if self._process is None else self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process, at its start if it has not started yet; none if it has
        ended.
        """
        if self._process is None:
            self._unsent.append(number)
        elif self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Tells the node to drain, once: a second SIGTERM would cut its work."""
        if self.ended.is_set():
            return  # a death that was not reported yet stays a death
        self.serving = False
        if not self._stop_sent:
            self._stop_sent = True
            self.send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process at once."""
        self.send(signal.SIGKILL)

    @property
    def stopped_early(self) -> bool:
        """Whether we ended the node before it was ready: it had nothing to drain."""
        ours = {-signal.SIGTERM, -signal.SIGKILL}
        return self.ready is None and self._stop_sent and self.exit_code in ours

    @property
    def drained(self) -> bool:
        """Whether the node has ended by a drain."""
        return self.finished is not None and self.exit_code in {ExitCode.DRAINED, ExitCode.CUT}

    def how_it_ended(self) -> str:
        """The name and the exit code or signal, as a sentence."""
        code = self.exit_code
        if code is None:
            return f"{self.name} is still running"
        if code < 0:
            return f"{self.name} was killed by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit code {code}"

    def last_output(self) -> str:
        """The last lines of output, indented, or a note that there are none."""
        if self.output.lines:
            return "\n".join(f"    {readable(line, self.name)}" for line in self.output.lines)
        importing = self.tier == "game" and self.ready is None and not self.ended.is_set()
        return f"    (no output{'; it may still be importing your rooms' if importing else ''})"


def _set_nice(session: int, nice: int) -> None:
    """Lowers the priority of a node that starts, where we may raise it again when it is ready.

    On a busy machine, each second that a node imports is a second in which players wait.
    """
    if os.geteuid() == 0 and session:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PGRP, session, nice)


def node_command(tier: str, *arguments: str) -> list[str]:
    """The command that starts a node: the console script that was installed beside this Python.

    A script does not put the current folder on the import path, so no file there can shadow this
    package. A checkout that is not installed has no script: its module is run.
    """
    script = Path(sysconfig.get_path("scripts"), f"lastcall-{tier}")
    program = [str(script)] if script.exists() else [sys.executable, "-m", f"lastcall.{tier}"]
    return [*program, *arguments]


def environment() -> dict[str, str]:
    """Our environment without our options: ``LASTCALL_GAMES`` is a number for ``lastcall up`` and
    a list of addresses for a node.

    ``LASTCALL_PUMP`` is not an option, and means the same for every node.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("LASTCALL_") or key == "LASTCALL_PUMP"
    }
    return {**inherited, "PYTHONUNBUFFERED": "1"}
