"""Prometheus' own checks, by ``promtool`` of the package ``prometheus``."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def promtool(*arguments: str, stdin: str = "") -> str:
    """Runs ``promtool`` and returns what it says; fails the test if it finds a fault."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        [program, *arguments], input=stdin, capture_output=True, text=True, timeout=30, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
