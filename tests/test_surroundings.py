"""The tests pass however they are started: a sample of them runs in unusual environments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SAMPLE = (
    "tests/e2e/test_usage.py::test_ctrl_c_during_an_import_prints_one_line_and_exits_130",
    "tests/e2e/test_stop.py::test_two_signals_during_the_start_end_the_node_with_exit_code_0",
    "tests/local/test_cli.py",
    "tests/runtime/test_options.py",
    "tests/runtime/admin/test_auth.py",
)
"""A few tests of signals, help texts, options and files."""
STARTS = {
    "as a background job of a script": 'trap "" INT QUIT HUP TERM',
    "without stdin": "exec <&-",
    "with another umask": "umask 077",
    "with few open files": "ulimit -S -n 64",
    "in a narrow terminal": "export TERM=dumb COLUMNS=20 LC_ALL=POSIX NO_COLOR=1",
    "with options of a node in the environment": "export LASTCALL_GRACE=1 LASTCALL_PORT=1",
}


@pytest.mark.e2e
@pytest.mark.timeout(180)
def test_tests_pass_however_they_are_started() -> None:
    """None of the unusual things mends what another breaks, so one start has them all."""
    start = "\n".join(STARTS.values())
    script = f'{start}\nexec "$0" -m pytest -q -p no:cacheprovider "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, *SAMPLE],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
