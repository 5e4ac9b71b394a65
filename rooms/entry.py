"""The console script ``lastcall``: Ctrl-C is one line also while the rest is imported."""

from __future__ import annotations

import os
import signal

__all__ = ["main"]

STDERR = 2
INTERRUPTED = 130
"""``ExitCode.INTERRUPTED``; importing it is what may be interrupted."""


def main() -> None:
    """Runs the command, and exits with what it returns.

    Until the imports are done, SIGINT ends the process at once: as an exception in the middle of
    an import it would be a traceback, or get lost. Who ignores it goes on ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from lastcall.cli import main as run  # noqa: PLC0415 - this is what takes its time

    signal.signal(signal.SIGINT, before)
    run()


def _end(_number: int, _frame: object) -> None:
    os.write(STDERR, b"Interrupted.\n")
    os._exit(INTERRUPTED)
