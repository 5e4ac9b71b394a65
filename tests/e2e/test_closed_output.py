"""Commands whose output goes to a pipe that is closed, as by ``| head -1``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.nodes import Nodes, Process
from tests.e2e.test_killed_up import SMALL, lastcall, left_in

pytestmark = pytest.mark.e2e

VIEWS = (
    ("status", "--watch"),
    ("roll", "--tier", "game"),
    ("dashboard", "--admin", "127.0.0.1:1", "--listen", "127.0.0.1:0"),
)
DEV = ("--rooms", "game.examples", "--no-open", "--listen", "127.0.0.1:0", *SMALL[-2:])


def into_a_pipe(nodes: Nodes, run_folder: Path, *arguments: str) -> tuple[Process, int]:
    """The command, and the end of the pipe from which its output is read."""
    output, its_stdout = os.pipe()

    def start(command: Any, /, **options: Any) -> Any:
        return subprocess.Popen(command, stdout=its_stdout, start_new_session=True, **options)

    process = lastcall(nodes, run_folder, *arguments, start=start)
    os.close(its_stdout)
    return process, output


@asynccontextmanager
async def read_until(output: int, words: str) -> AsyncIterator[None]:
    """Reads lines until one has these words; at the end of the block the pipe is closed."""
    line = ""
    with os.fdopen(output) as lines:
        with trio.fail_after(20):
            while words not in line:
                line = await trio.to_thread.run_sync(lines.readline, abandon_on_cancel=True)
        yield


async def test_up_drains_and_views_end_in_silence_when_nobody_reads_their_output(
    nodes: Nodes, run_folder: Path
) -> None:
    up, output = into_a_pipe(nodes, run_folder, "up", *SMALL)
    async with read_until(output, "are ready"):
        for arguments in VIEWS:
            view, unread = into_a_pipe(nodes, run_folder, *arguments)
            os.close(unread)
            assert (await view.exit_code(within=15), view.stderr_text) == (141, ""), arguments
    lastcall(nodes, run_folder, "cordon", "api-1")  # something new to print
    assert (await up.exit_code(within=30), up.stderr_text) == (0, "")
    assert left_in(run_folder) == []


async def test_dev_ends_its_processes_when_nobody_reads_its_output(
    nodes: Nodes, run_folder: Path
) -> None:
    dev, output = into_a_pipe(nodes, run_folder, "dev", *DEV)
    async with read_until(output, "See and play"):
        pass
    assert (await dev.exit_code(within=30), dev.stderr_text) == (0, "")
    assert left_in(run_folder) == []
