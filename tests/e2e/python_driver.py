"""Drives the Python client, in a process of its own, as the scenarios want it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.javascript import NodeDriver, Puppet

__all__ = ["PythonDriver"]

PUPPET = Path(__file__).with_name("python_puppet.py")


class PythonDriver(NodeDriver):
    """``lastcall.client``; its puppet takes the same orders as the one in Node."""

    def __init__(self, folder: Path) -> None:
        self.own = Puppet([sys.executable, str(PUPPET)], folder)
        super().__init__(self.own)
