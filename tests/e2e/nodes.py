"""Nodes as processes: started, asked, signalled and ended by a test."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, NamedTuple

import trio

ROOT = Path(__file__).resolve().parents[2]
ANY_URL = "tcp://127.0.0.1:0"
ANY_PORT = "127.0.0.1:0"
POLL_SECONDS = 0.01
START_SECONDS = 15.0
KILL_SECONDS = 5.0
LASTS = ("--grace", "20", "--farewell", "1")
"""For nodes whose drain is not the point: they may take their time, and end within the test's."""


class Answer(NamedTuple):
    """What an admin port, or whoever speaks HTTP, has said."""

    status: int
    body: str
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


async def until(condition: Callable[[], object], within: float) -> None:
    """Polls until ``condition`` holds; fails after ``within`` seconds."""
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(POLL_SECONDS)


def http_get(address: str, path: str = "/", timeout: float = 5.0) -> Answer:
    """One request on a connection of its own; raises ``OSError`` when nobody answers."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.read().decode(), headers)
    finally:
        connection.close()


class Process:
    """A child whose stderr is kept in a file, and which is ended by its pid."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stderr: int | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}-{uuid.uuid4().hex[:8]}.stderr"  # a name may come again
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log if stderr is None else stderr,
                cwd=folder,
                env=_environment(env or {}),
                pass_fds=list(pass_fds),
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def words(self) -> str:
        """All that it has said on stderr so far."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: Signals = SIGTERM) -> None:
        self._popen.send_signal(number)

    def catches(self, number: Signals) -> bool:
        """Whether a handler for the signal stands by now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        mask = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(mask >> (number - 1) & 1)

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def exit_code(self, within: float) -> int:
        """Waits for its end; fails after ``within`` seconds. Negative: the signal that killed."""
        await until(lambda: not self.running, within)
        return int(self._popen.returncode)

    def kill(self) -> None:
        """Ends it without a word, if it still runs."""
        if self.running:
            self._popen.kill()

    def bury(self) -> None:
        """Fails if it does not end."""
        self._popen.wait(KILL_SECONDS)


class Node(Process):
    """``python -m game`` or ``python -m api``, with JSON lines on stderr."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has said, line by line; a line that is no JSON object fails the test."""
        lines = self.words.splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        assert all(isinstance(event, dict) for event in events)
        return events

    def event(self, name: str) -> dict[str, Any] | None:
        """The first event of this name, if it was said."""
        return next((event for event in self.events if event["event"] == name), None)

    @property
    def listen(self) -> str:
        """Where it listens, as it said when it was ready."""
        return str(self._ready()["listen"])

    @property
    def admin(self) -> str:
        return str(self._ready()["admin"])

    def _ready(self) -> dict[str, Any]:
        ready = self.event("node.ready")
        assert ready is not None, f"{self.name} is not ready yet"
        return ready

    @property
    def troubles(self) -> list[dict[str, Any]]:
        """What it has said in warning, or worse."""
        return [event for event in self.events if event["level"] not in {"info", "debug"}]

    async def started(self) -> None:
        """Waits until it has said that it is ready."""
        await until(lambda: self.event("node.ready") or not self.running, START_SECONDS)
        assert self.event("node.ready"), f"{self.name} ended with {self._popen.returncode}"

    async def ready(self) -> None:
        """Waits until its ``/readyz`` says 200."""
        await self.started()
        with trio.fail_after(START_SECONDS):
            while (await self.get("/readyz")).status != 200:
                await trio.sleep(POLL_SECONDS)

    async def get(self, path: str) -> Answer:
        """Asks its admin port."""
        return await trio.to_thread.run_sync(http_get, self.admin, path)

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = (await self.get("/status")).json()
        return status

    async def has(self, within: float, **figures: object) -> None:
        """Waits until ``/status`` shows these values."""
        with trio.fail_after(within):
            while not figures.items() <= (await self.status()).items():
                await trio.sleep(POLL_SECONDS)


class Nodes:
    """Starts nodes; all end with it. ``folder`` is their working directory, and keeps stderr."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def start(
        self,
        tier: str,
        *options: str,
        name: str | None = None,
        **more: Any,
    ) -> Node:
        """``python -m TIER OPTIONS``, with a name and an admin port if none are given.

        ``more`` is for the process: ``env``, ``pass_fds``, ``stderr``.
        """
        name = name or f"{tier}-{sum(p.name.startswith(tier) for p in self.processes) + 1}"
        usual = {"--name": name, "--admin": ANY_PORT, "--log-format": "json"}
        given = [part for option in usual.items() if option[0] not in options for part in option]
        command = [sys.executable, "-m", tier, *given, *options]
        node = Node(name, command, self.folder, **more)
        self.processes.append(node)
        return node

    def game(self, *options: str, rooms: str = "game.examples", **more: Any) -> Node:
        usual = () if "--listen" in options else ("--listen", ANY_URL)
        return self.start("game", *usual, "--rooms", rooms, *options, **more)

    def api(self, games: str, *options: str, **more: Any) -> Node:
        usual = () if "--listen" in options else ("--listen", ANY_PORT)
        return self.start("api", *usual, "--feed", ANY_URL, "--games", games, *options, **more)

    def run(self, name: str, *command: str, **more: Any) -> Process:
        """A process that is no node; ``more`` as for :meth:`start`."""
        process = Process(name, command, self.folder, **more)
        self.processes.append(process)
        return process

    def games_file(self, *games: Node | str) -> str:
        """Writes the list that the returned URL names: beside first, then renamed."""
        beside, file = self.folder / "games.new", self.folder / "games"
        urls = [game if isinstance(game, str) else game.listen for game in games]
        beside.write_text("".join(f"{url}\n" for url in urls))
        beside.replace(file)
        return f"file://{file}"

    async def one_of_each(
        self, *api_options: str, rooms: str = "game.examples", game_options: Sequence[str] = ()
    ) -> tuple[Node, Node]:
        """An api node and its game node, ready."""
        game = self.game(*game_options, rooms=rooms)
        await game.started()
        api = self.api(game.listen, *api_options)
        await api.ready()
        return api, game

    def bury(self) -> None:
        """Ends what still runs: how nodes end by themselves is the tests' affair."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.bury()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without Lastcall's own variables, and with the path on which the tiers are found."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("LASTCALL_")}
    path = [str(ROOT), *filter(None, [more.get("PYTHONPATH")])]
    return {**ours, **more, "PYTHONPATH": os.pathsep.join(path)}
