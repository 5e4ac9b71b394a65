"""The handlers of signals belong to a node's process: only its ``__main__`` installs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
COMMANDS = "lastcall.api.command, lastcall.game.command, lastcall.serve.command, lastcall.cli"


def test_to_import_the_commands_installs_no_handler() -> None:
    script = f"""
import signal
before = [signal.getsignal(number) for number in signal.valid_signals()]
import {COMMANDS}
assert [signal.getsignal(number) for number in signal.valid_signals()] == before
"""
    subprocess.run([sys.executable, "-c", script], cwd=TESTS.parent, check=True)


def test_no_test_imports_the_main_module_of_a_node() -> None:
    """The watchdog would interrupt the tests that follow in the same process."""
    imported = re.compile(r"(?:api|game|serve)\.__main__ import")
    files = [file for file in TESTS.rglob("*.py") if file != Path(__file__)]
    assert files
    assert [str(file) for file in files if imported.search(file.read_text("utf-8"))] == []
