"""The work whose instructions are counted is done to its end, by an interpreter alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instructions.workload import WORKLOADS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_nodes_handle_all_inputs_of_a_workload(workload: str) -> None:
    script = str(Path(__file__).with_name("workload.py"))
    done = subprocess.run(
        [sys.executable, script, workload, "12"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
