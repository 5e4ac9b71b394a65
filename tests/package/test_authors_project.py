"""The wheel works in a project whose own packages have the names of Lastcall's folders.

``project/`` is that project. Its room is in its package ``game`` and imports its packages ``api``,
``bench`` and ``rooms``; the messages that players get show that these were imported.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from subprocess import DEVNULL, PIPE, STDOUT

import pytest
import trio

from tests.package.environment import Environment, clean_environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

START_SECONDS = 30
STOP_SECONDS = 20
SMALL = ("--apis", "1", "--games", "1", "--bots", "0", "--port", "0", "--admin", "127.0.0.1:0")


class Cluster:
    """One ``lastcall up``, and its output."""

    def __init__(self, process: trio.Process) -> None:
        self.output = ""
        self._process = process
        self._new_output = trio.Event()

    async def read_output(self) -> None:
        assert self._process.stdout is not None
        async with self._process.stdout as stdout:
            async for chunk in stdout:
                self.output += chunk.decode()
                self._new_output.set()
                self._new_output = trio.Event()
        self._new_output.set()

    async def url(self) -> str:
        """Waits until the URL for clients is printed, and returns it."""
        with trio.fail_after(START_SECONDS):
            while not (found := re.search(r"Clients connect to (\S+);", self.output)):
                assert self._process.poll() is None, self.output
                await self._new_output.wait()
        return found[1]

    async def stop(self) -> int:
        """Sends one SIGTERM; returns the exit code."""
        self._process.send_signal(SIGTERM)
        with trio.fail_after(STOP_SECONDS):
            return await self._process.wait()


@asynccontextmanager
async def up(program: Path, *options: str, cwd: Path) -> AsyncIterator[Cluster]:
    process = await trio.lowlevel.open_process(
        [str(program), "up", *SMALL, *options],
        cwd=cwd,
        env={**clean_environment(), "COLUMNS": "200"},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    cluster = Cluster(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cluster.read_output)
            yield cluster
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()  # its nodes end with it, since they hold its lifeline
            await process.wait()


async def test_up_serves_the_room_of_the_project(installed: Environment, project: Path) -> None:
    program = installed.scripts / "lastcall"
    async with up(program, "--rooms", "game.rooms", cwd=project) as cluster:
        url = await cluster.url()
        visit = (installed.python, "visit.py", url)
        output = await trio.to_thread.run_sync(lambda: run(*visit, cwd=project))
        assert output.splitlines() == [
            *("welcome, Ada", "Ada: word 0", "Ada: word 1", "Ada: word 2"),
            "finished: [3]",
        ]
        assert await cluster.stop() == 0, cluster.output


def test_the_test_of_the_project_passes(installed: Environment, project: Path) -> None:
    assert "1 passed" in run(installed.scripts / "pytest", "-q", cwd=project)


def test_the_project_passes_the_strict_type_check(installed: Environment, project: Path) -> None:
    mypy = (sys.executable, "-m", "mypy", "--python-executable", installed.python, "--strict")
    files = len(list(project.rglob("*.py")))
    assert f"no issues found in {files} source files" in run(*mypy, ".", cwd=project)
