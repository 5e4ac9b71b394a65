"""``kill -9`` of ``lastcall up``: the next command removes what it has left."""

from __future__ import annotations

import sys
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.e2e.nodes import Nodes, Process, wait_until

pytestmark = pytest.mark.e2e

SMALL = ("--apis", "1", "--games", "1", "--bots", "0", "--port", "0", "--admin", "127.0.0.1:0")


def lastcall(nodes: Nodes, run_folder: Path, *arguments: str, **more: Any) -> Process:
    env = {"TMPDIR": str(run_folder), "XDG_RUNTIME_DIR": str(run_folder)}
    return nodes.run("lastcall", sys.executable, "-m", "lastcall", *arguments, env=env, **more)


def left_in(run_folder: Path) -> list[str]:
    """The names of what runs have left: their folders, and their sockets."""
    sockets = run_folder.glob("lastcall/*")
    return sorted(
        path.name for path in [*run_folder.iterdir(), *sockets] if path.name != "lastcall"
    )


async def test_a_killed_up_makes_no_command_fail_and_the_next_one_removes_its_files(
    nodes: Nodes, run_folder: Path
) -> None:
    killed = lastcall(nodes, run_folder, "up", *SMALL)
    await wait_until(lambda: len(left_in(run_folder)) == 2, within=20)
    killed.signal(SIGKILL)
    assert await killed.exit_code(within=5) == -9
    left = left_in(run_folder)
    assert [name.partition("-")[0] for name in left] == ["lastcall", "up"]

    following = lastcall(nodes, run_folder, "up", *SMALL, "--seconds", "0.1")
    assert await following.exit_code(within=30) == 0, following.stderr_text
    assert left_in(run_folder) == []
    status = lastcall(nodes, run_folder, "status")
    assert await status.exit_code(within=10) == 1
    assert "no local cluster is running" in status.stderr_text
