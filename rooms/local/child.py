"""One node as a child process: started, listened to, signalled, and outlived."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import trio

from lastcall.reasons import ExitCode
from lastcall.runtime.signals import LIFELINE
from lastcall.wire.reports import DrainFinished

__all__ = ["REFUSAL", "Child", "NodeReady", "node_command"]

LAST_WORDS = 20
REFUSAL = "Error: "
"""How a node begins the one line that says why it cannot take its options."""
LINE_BYTES_MAX = 64 * 1024
TROUBLES_TOLD = 20
KILL_SECONDS = 2.0
STARTING_NICE = 10
DRAIN_PIPE_SECONDS = 0.5


class NodeReady(msgspec.Struct, frozen=True):
    """The event ``node.ready``: where the node really listens."""

    name: str
    listen: str
    admin: str


class _Event(msgspec.Struct, frozen=True):
    event: str
    level: str = ""
    logger: str = ""

    @property
    def is_trouble(self) -> bool:
        """Whether whoever runs the cluster should see it at once."""
        return self.level in {"error", "critical"} or self.logger == "py.warnings"


class Child:
    """A node's process. It speaks JSON lines on stderr, its rooms may print; 20 lines are kept.

    It runs in a session of its own, since a terminal's Ctrl-C would else be its second signal,
    and hangs on a pipe whose other end closes when we die (``LASTCALL_LIFELINE``).
    """

    def __init__(
        self,
        name: str,
        tier: str,
        command: Sequence[str],
        fds: Sequence[int] = (),
        *,
        version: str = "",
    ):
        self.name = name
        self.tier = tier
        self.version = version
        """What it was told to say of itself."""
        self.on_duty = False
        """It serves and was not told to stop: its end would be a death."""
        self.retired = False
        """A roll has replaced it."""
        self.ready: NodeReady | None = None
        self.finished: DrainFinished | None = None
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.exit_code: int | None = None
        """Negative: the number of the signal that killed it."""
        self.became_ready = trio.Event()
        """Set at ``node.ready``, and also at the end of a process that never was."""
        self.ended = trio.Event()
        self._command = command
        self._fds = fds
        self._process: trio.Process | None = None
        self._unsent: list[signal.Signals] = []
        self._told = False
        self._held = ""
        self._troubles = 0
        self.on_trouble: Callable[[str], None] | None = None
        """Hears of errors, and of what a room prints; the first 20 times."""

    async def run(self) -> None:
        """Runs the process to its end. Cancelled, it kills the process and waits for it."""
        ours, theirs = os.pipe()
        try:
            self._process = await self._start(ours)
        except BaseException:
            os.close(theirs)
            raise
        finally:
            os.close(ours)
        try:
            _set_nice(self.pid, STARTING_NICE)
            for number in self._unsent:
                self.send(number)
            await self._listen_until_the_end(self._process)
        finally:
            try:
                await self._bury(self._process)
            finally:
                os.close(theirs)

    async def _start(self, lifeline: int) -> trio.Process:
        return await trio.lowlevel.open_process(
            list(self._command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[lifeline, *self._fds],
            start_new_session=True,
            env=_environment(lifeline),
        )

    async def _listen_until_the_end(self, process: trio.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, process.stdout)
            await process.wait()
            # What it said last may still be in the pipe; a grandchild may hold it open for ever.
            nursery.cancel_scope.deadline = trio.current_time() + DRAIN_PIPE_SECONDS
        if process.returncode != ExitCode.USAGE:
            self._tell_held()

    async def _bury(self, process: trio.Process) -> None:
        if process.returncode is None:
            process.kill()
            with trio.move_on_after(KILL_SECONDS, shield=True):
                await process.wait()
        self.exit_code = process.returncode
        self.became_ready.set()
        self.ended.set()
        if process.stdout is not None:
            await trio.aclose_forcefully(process.stdout)

    async def _read(self, words: trio.abc.ReceiveStream) -> None:
        rest = b""
        async for chunk in words:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._on_line(line)
            if len(rest) > LINE_BYTES_MAX:
                self._on_line(rest)
                rest = b""
        if rest:
            self._on_line(rest)

    def _on_line(self, line: bytes) -> None:
        text = line[:LINE_BYTES_MAX].decode(errors="replace").rstrip()
        self.last_words.append(text)
        self._tell_held()
        try:
            event = msgspec.json.decode(line, type=_Event)
            if event.is_trouble:
                self._tell(_plain(text))
            match event.event:
                case "node.ready":
                    self.ready = msgspec.json.decode(line, type=NodeReady)
                    _set_nice(self.pid, 0)
                    self.became_ready.set()
                case "drain.finished":
                    self.finished = msgspec.json.decode(line, type=DrainFinished)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A room's print, a traceback from before the log, or why it refuses its options.
            if self.ready is None and text.startswith(REFUSAL):
                self._held = text
            else:
                self._tell(text)

    def _tell_held(self) -> None:
        """Says what was held back: it was no refusal, which whoever started it will say."""
        held, self._held = self._held, ""
        if held:
            self._tell(held)

    def _tell(self, text: str) -> None:
        self._troubles += 1
        if self.on_trouble is None or not text or self._troubles > TROUBLES_TOLD:
            return
        self.on_trouble(f"{self.name}: {text}")
        if self._troubles == TROUBLES_TOLD:
            self.on_trouble(f"{self.name}: what it says from here on is not shown")

    @property
    def pid(self) -> int:
        """The process's id, also after its end; 0 before its start."""
        return 0 if self._process is None else self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if the process still runs; one that is yet to start gets it then."""
        if self._process is None:
            self._unsent.append(number)
        elif self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Asks it to drain, once: a second SIGTERM would cut what it still serves."""
        if self.ended.is_set():
            return  # a death that is still to be told stays one
        self.on_duty = False
        if not self._told:
            self._told = True
            self.send(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process without asking it."""
        self.send(signal.SIGKILL)

    @property
    def stopped_early(self) -> bool:
        """Whether we ended it before it was ready: it had nothing to drain."""
        ours = {-signal.SIGTERM, -signal.SIGKILL}
        return self.ready is None and self._told and self.exit_code in ours

    @property
    def drained(self) -> bool:
        """Whether it has ended by a drain, whoever asked for it."""
        return self.finished is not None and self.exit_code in {ExitCode.DRAINED, ExitCode.CUT}

    def how_it_ended(self) -> str:
        """Name and exit code or signal, in words."""
        code = self.exit_code
        if code is None:
            return f"{self.name} runs"
        if code < 0:
            return f"{self.name} was killed by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit code {code}"

    def last_words_text(self) -> str:
        """The last lines that it said, indented, or a word that there are none."""
        lines = [_plain(line) for line in self.last_words]
        return "\n".join(f"    {line}" for line in lines) or f"    (it said nothing{self._excuse})"

    @property
    def _excuse(self) -> str:
        imports = self.tier == "game" and self.ready is None and not self.ended.is_set()
        return "; it may still be importing your rooms" if imports else ""


def _plain(line: str) -> str:
    """A JSON event as text: tracebacks in it become readable lines."""
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return line
    traceback = str(event.pop("traceback", "")).rstrip()
    text = " ".join(f"{key}={value}" for key, value in event.items() if key not in {"at", "node"})
    return "\n    ".join([text, *traceback.splitlines()])


def _set_nice(session: int, nice: int) -> None:
    """Lets a node that starts stand back behind those that serve, where we may take it back.

    A second of imports on a busy machine is a second in which its players wait.
    """
    if os.geteuid() == 0 and session:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PGRP, session, nice)


def node_command(tier: str, *arguments: str) -> list[str]:
    """The command that starts a node: the console script that was installed beside this Python.

    A script does not put the current folder on the import path, so what stands there is never
    taken for a package of ours. A checkout that is not installed has no script: its module is run.
    """
    script = Path(sysconfig.get_path("scripts"), f"lastcall-{tier}")
    program = [str(script)] if script.exists() else [sys.executable, "-m", f"lastcall.{tier}"]
    return [*program, *arguments]


def _environment(lifeline: int) -> dict[str, str]:
    """Ours without our options: ``LASTCALL_GAMES`` is a number here and a list of addresses there.

    ``LASTCALL_PUMP`` is not an option, and means the same for every node.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("LASTCALL_") or key == "LASTCALL_PUMP"
    }
    return {
        **inherited,
        LIFELINE: str(lifeline),
        "PYTHONUNBUFFERED": "1",
    }
