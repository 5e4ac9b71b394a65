"""Runs a command that knows nothing of us, and ends it when we end or are ended.

``python -m bench.peers.supervise COMMAND…``. A server of somebody else's does not watch the pipe
that our own nodes hang on; without this, a bench that is killed would leave it behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

from lastcall.runtime.signals import LIFELINE

__all__: list[str] = []

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent's thread ends. Here, the main one."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when the other end is closed
    os._exit(0)


def main() -> None:
    """Ends with the exit code of the command."""
    lifeline = os.environ.get(LIFELINE)
    # Only forked here, before the first thread; the child does nothing but exec.
    process = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_parent)  # noqa: PLW1509
    if lifeline is not None:
        threading.Thread(target=_end_with, args=[int(lifeline)], daemon=True).start()
    sys.exit(process.wait())


if __name__ == "__main__":
    main()
