"""Runs nodes as processes, which a test starts, queries, signals and kills."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, NamedTuple, Protocol

import trio

from tests.e2e.forks import Fork, forks

ROOT = Path(__file__).resolve().parents[2]
ANY_URL = "tcp://127.0.0.1:0"
ANY_PORT = "127.0.0.1:0"
POLL_SECONDS = 0.01
START_SECONDS = 15.0
KILL_SECONDS = 5.0
SHORT_GRACE = ("--grace", "20", "--farewell", "1")
"""Options of nodes whose drain is not under test: it ends within a test's time limit."""


class Response(NamedTuple):
    """The response to one HTTP request."""

    status: int
    body: str
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


async def wait_until(condition: Callable[[], object], within: float) -> None:
    """Polls until ``condition`` holds; fails after ``within`` seconds."""
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(POLL_SECONDS)


def http_get(address: str, path: str = "/", timeout: float = 5.0) -> Response:
    """Sends one GET on a new connection; raises ``OSError`` if nobody answers."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, response.read().decode(), headers)
    finally:
        connection.close()


class Start(Protocol):
    def __call__(
        self,
        command: Sequence[str],
        /,
        *,
        cwd: Path,
        env: Mapping[str, str],
        stderr: int,
        pass_fds: Sequence[int],
    ) -> subprocess.Popen[bytes] | Fork: ...


def start_program(command: Sequence[str], /, **options: Any) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=null, stdout=null, start_new_session=True, **options)


def start_fork(command: Sequence[str], /, **options: Any) -> Fork:
    """For ``python -m TIER``."""
    return forks().fork(command[2:], **options)


class Process:
    """A child process; its stderr goes to a file, and it is ended by its pid."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stderr: int | None = None,
        start: Start = start_program,
    ) -> None:
        self.name = name
        unique_name = f"{name}-{uuid.uuid4().hex[:8]}"  # two processes may have the same name
        self.log = folder / f"{unique_name}.stderr"
        environment = child_environment(env or {})
        with self.log.open("wb") as log:
            output = log.fileno() if stderr is None else stderr
            self._popen = start(
                command, cwd=folder, env=environment, stderr=output, pass_fds=pass_fds
            )
        self.pid = self._popen.pid

    @property
    def stderr_text(self) -> str:
        """All that the process has written to stderr so far."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: Signals = SIGTERM) -> None:
        self._popen.send_signal(number)

    def has_handler(self, number: Signals) -> bool:
        """Whether the process has installed a handler for the signal."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        mask = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(mask >> (number - 1) & 1)

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def exit_code(self, within: float) -> int:
        """Waits at most ``within`` seconds for the exit code; -N if signal N killed the process."""
        await wait_until(lambda: not self.running, within)
        return int(self._popen.returncode)

    def kill(self) -> None:
        """Sends SIGKILL if the process still runs; to its children, too, such as nginx's workers,
        if it has a session of its own.
        """
        if not self.running:
            return
        if os.getpgid(self.pid) == self.pid:
            os.killpg(self.pid, SIGKILL)
        else:
            self._popen.kill()

    def reap(self) -> None:
        """Waits for the end; fails if it does not come in time."""
        self._popen.wait(KILL_SECONDS)


class Node(Process):
    """A node: ``python -m game`` or ``python -m api``, with JSON lines on stderr."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log events so far; a line that is not a JSON object fails the test."""
        lines = self.stderr_text.splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        assert all(isinstance(event, dict) for event in events)
        return events

    def event(self, name: str) -> dict[str, Any] | None:
        """The first event with this name, if there is one."""
        return next((event for event in self.events if event["event"] == name), None)

    @property
    def listen(self) -> str:
        """The address on which the node listens, from its ``node.ready`` event."""
        return str(self._ready_event()["listen"])

    @property
    def admin(self) -> str:
        return str(self._ready_event()["admin"])

    def _ready_event(self) -> dict[str, Any]:
        ready = self.event("node.ready")
        assert ready is not None, f"{self.name} is not ready yet"
        return ready

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """The log events at level warning or above, but for slow steps: they tell how busy the
        machine is, too.
        """
        quiet = {"info", "debug"}
        events = [event for event in self.events if event["level"] not in quiet]
        return [event for event in events if event["event"] != "room.slow_step"]

    async def wait_started(self) -> None:
        """Waits for the ``node.ready`` event."""
        await wait_until(lambda: self.event("node.ready") or not self.running, START_SECONDS)
        assert self.event("node.ready"), f"{self.name} ended with {self._popen.returncode}"

    async def wait_ready(self) -> None:
        """Waits until ``/readyz`` answers 200."""
        await self.wait_started()
        with trio.fail_after(START_SECONDS):
            while (await self.get("/readyz")).status != 200:
                await trio.sleep(POLL_SECONDS)

    async def get(self, path: str) -> Response:
        """Sends a GET to the admin port."""
        return await trio.to_thread.run_sync(http_get, self.admin, path)

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = (await self.get("/status")).json()
        return status

    async def wait_for_status(self, within: float, **figures: object) -> None:
        """Waits until ``/status`` has these values."""
        with trio.fail_after(within):
            while not figures.items() <= (await self.status()).items():
                await trio.sleep(POLL_SECONDS)


class Nodes:
    """Starts nodes in ``folder``, which also holds their stderr; :meth:`kill_all` ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def start(
        self,
        tier: str,
        *options: str,
        name: str | None = None,
        prefix: Sequence[str] = (),
        fresh: bool = False,
        **more: Any,
    ) -> Node:
        """Runs ``python -m TIER OPTIONS``, with a name and an admin port: as a fork, or in a fresh
        interpreter if the test is about its start, behind ``prefix`` or with another ``PYTHON…``.

        ``more`` goes to :class:`Process`: ``env``, ``pass_fds``, ``stderr``.
        """
        fresh = (
            fresh or bool(prefix) or any(key.startswith("PYTHON") for key in more.get("env", ()))
        )
        name = name or f"{tier}-{sum(p.name.startswith(tier) for p in self.processes) + 1}"
        defaults = {"--name": name, "--admin": ANY_PORT, "--log-format": "json"}
        added = [part for option in defaults.items() if option[0] not in options for part in option]
        command = [*prefix, sys.executable, "-m", tier, *added, *options]
        start = start_program if fresh else start_fork
        node = Node(name, command, self.folder, start=start, **more)
        self.processes.append(node)
        return node

    def game(self, *options: str, rooms: str = "game.examples", **more: Any) -> Node:
        defaults = () if "--listen" in options else ("--listen", ANY_URL)
        return self.start("game", *defaults, "--rooms", rooms, *options, **more)

    def api(self, games: str, *options: str, **more: Any) -> Node:
        defaults = () if "--listen" in options else ("--listen", ANY_PORT)
        return self.start("api", *defaults, "--feed", ANY_URL, "--games", games, *options, **more)

    def run(self, name: str, *command: str, **more: Any) -> Process:
        """Runs a process that is not a node; ``more`` as for :meth:`start`."""
        process = Process(name, command, self.folder, **more)
        self.processes.append(process)
        return process

    def games_file(self, *games: Node | str) -> str:
        """Replaces the list of game nodes in one step, and returns its URL."""
        new, file = self.folder / "games.new", self.folder / "games"
        urls = [game if isinstance(game, str) else game.listen for game in games]
        new.write_text("".join(f"{url}\n" for url in urls))
        new.replace(file)
        return f"file://{file}"

    async def start_pair(
        self, *api_options: str, rooms: str = "game.examples", game_options: Sequence[str] = ()
    ) -> tuple[Node, Node]:
        """Starts an api node and its game node, and waits until both are ready."""
        game = self.game(*game_options, rooms=rooms)
        await game.wait_started()
        api = self.api(game.listen, *api_options)
        await api.wait_ready()
        return api, game

    def kill_all(self) -> None:
        """Kills the processes that still run, and fails afterwards if one could not be ended."""
        failures: list[Exception] = []
        for end in (Process.kill, Process.reap):
            for process in self.processes:
                try:
                    end(process)
                except Exception as failure:  # noqa: BLE001 - the others end all the same
                    failures.append(failure)
        if failures:
            raise ExceptionGroup("these could not be ended", failures)


def child_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The parent's environment without Lastcall's options; Python finds both tiers in its path."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LASTCALL_")}
    path = [str(ROOT), *filter(None, [more.get("PYTHONPATH")])]
    return {**inherited, **more, "PYTHONPATH": os.pathsep.join(path)}
