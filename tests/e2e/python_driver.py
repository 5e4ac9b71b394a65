"""The driver of the Python client for the scenarios; the client runs in its own process."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.javascript import NodeDriver, Puppet

__all__ = ["PythonDriver"]

PUPPET = Path(__file__).with_name("python_puppet.py")


class PythonDriver(NodeDriver):
    """Runs ``lastcall.client``; its puppet understands the same requests as the one in Node."""

    def __init__(self, folder: Path) -> None:
        self.puppet = Puppet([sys.executable, str(PUPPET)], folder)
        super().__init__(self.puppet)
