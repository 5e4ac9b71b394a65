"""The tutorial's quiz moves into new code in mid-match, and goes on when its node is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from lastcall.client import Place, connect
from tests.e2e.nodes import child_environment
from tests.test_tutorial import write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

UP = ("up", "--rooms", "quiz", "--bots", "0", "--port", "0", "--admin", "127.0.0.1:0")
SHORT = ("--apis", "1", "--grace", "4", "--farewell", "2")


def lastcall(*words: str) -> list[str]:
    return [sys.executable, "-m", "lastcall", *words]


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Runs ``lastcall up`` with the quiz in that folder; yields the URL for clients."""
    with subprocess.Popen(
        lastcall(*UP, *SHORT),
        cwd=folder,
        env=child_environment({"COLUMNS": "200"}),
        stdout=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stdout is not None
        url = next(filter(None, (re.search(r"ws://[\d.:]+", line) for line in up.stdout)))
        try:
            yield url[0]
        finally:
            up.send_signal(signal.SIGINT)
            output = up.stdout.read()
    assert up.returncode == 1, output  # a node was killed


async def heard(place: Place, count: int) -> list[Any]:
    """The next messages of the place."""
    return [(await anext(place)).data for _ in range(count)]


async def test_the_quiz_moves_into_new_code_and_outlives_its_node(tmp_path: Path) -> None:
    write(tmp_path, "survive.md", "quiz.py")
    quiz = (tmp_path / "quiz.py").read_text(encoding="utf-8")
    with cluster(tmp_path) as url:
        port = ("--port", url.rpartition(":")[2])
        async with connect(url, kind="quiz", name="Ann") as ann:
            await heard(ann, 1)
            await ann.say({"text": "56"})
            await heard(ann, 2)

            (tmp_path / "quiz.py").write_text(quiz.replace("cello", "guitar"), encoding="utf-8")
            await trio.run_process(lastcall("roll", "--tier", "game", *port), capture_stdout=True)
            await ann.say({"text": "saturn"})
            assert await heard(ann, 2) == [
                {"right": "saturn", "by": "Ann"},
                {"question": "How many strings has a guitar?"},
            ]

            done = await trio.run_process(lastcall("status", "--json", *port), capture_stdout=True)
            nodes = json.loads(done.stdout)
            [pid] = [node["pid"] for node in nodes if node["tier"] == "game" and node["rooms"]]
            os.kill(pid, signal.SIGKILL)
            await ann.say({"text": "4"})
            assert await heard(ann, 1) == [{"right": "4", "by": "Ann"}]
            assert [message async for message in ann] == []
            assert ann.ended is not None
            assert ann.ended.result == {"Ann": 3}
            assert ann.resumes == 0
