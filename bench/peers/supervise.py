"""Runs a foreign server, and ends it when the bench ends or is killed.

``python -m lastcall.bench.peers.supervise COMMAND…``. Lastcall's nodes watch a pipe for the end of
their parent; a foreign server does not, and would be left behind by a bench that is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

from lastcall.runtime.signals import LIFELINE

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent's thread (here the main one) ends."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)  # returns when the other end is closed: nothing is ever written
    os._exit(0)


def main() -> None:
    """Ends with the exit code of the command."""
    lifeline = os.environ.get(LIFELINE)
    # Safe: no thread runs yet, and the child does nothing but exec.
    process = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_parent)  # noqa: PLW1509
    if lifeline is not None:
        threading.Thread(target=_end_with, args=[int(lifeline)], daemon=True).start()
    sys.exit(process.wait())


if __name__ == "__main__":
    main()
