"""An author's project has packages named as our folders are, and the wheel does not mind.

``project/`` is that project. Its kind uses its own ``api``, ``bench`` and ``rooms``, and stands in
its own ``game``: what the players hear proves whose they were.
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
END_SECONDS = 20
SMALL = ("--apis", "1", "--games", "1", "--bots", "0", "--port", "0", "--admin", "127.0.0.1:0")


class Cluster:
    """One ``lastcall up``, and what it says."""

    def __init__(self, process: trio.Process) -> None:
        self.said = ""
        self._process = process
        self._more = trio.Event()

    async def listen(self) -> None:
        assert self._process.stdout is not None
        async with self._process.stdout as words:
            async for chunk in words:
                self.said += chunk.decode()
                self._more.set()
                self._more = trio.Event()
        self._more.set()

    async def url(self) -> str:
        """Where clients connect, once it has said so."""
        with trio.fail_after(START_SECONDS):
            while not (found := re.search(r"Clients connect to (\S+);", self.said)):
                assert self._process.poll() is None, self.said
                await self._more.wait()
        return found[1]

    async def stop(self) -> int:
        """Asks it to, once; its exit code."""
        self._process.send_signal(SIGTERM)
        with trio.fail_after(END_SECONDS):
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
            nursery.start_soon(cluster.listen)
            yield cluster
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()  # its nodes hang on a line to it, and end with it
            await process.wait()


async def test_up_serves_the_kind_of_the_projects_own_game(
    installed: Environment, project: Path
) -> None:
    program = installed.scripts / "lastcall"
    async with up(program, "--rooms", "game.rooms", cwd=project) as cluster:
        url = await cluster.url()
        visit = (installed.python, "visit.py", url)
        heard = await trio.to_thread.run_sync(lambda: run(*visit, cwd=project))
        assert heard.splitlines() == [
            *("welcome, Ada", "Ada: word 0", "Ada: word 1", "Ada: word 2"),
            "finished: [3]",
        ]
        assert await cluster.stop() == 0, cluster.said


def test_the_projects_own_test_of_its_room_passes(installed: Environment, project: Path) -> None:
    assert "1 passed" in run(installed.scripts / "pytest", "-q", cwd=project)


def test_the_project_passes_the_strict_type_check(installed: Environment, project: Path) -> None:
    mypy = (sys.executable, "-m", "mypy", "--python-executable", installed.python, "--strict")
    files = len(list(project.rglob("*.py")))
    assert f"no issues found in {files} source files" in run(*mypy, ".", cwd=project)
