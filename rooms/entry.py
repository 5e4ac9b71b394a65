"""The console script ``lastcall``: handles Ctrl-C in one line, also during the imports."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

__all__ = ["main"]

STDERR = 2
INTERRUPTED = 130
"""``ExitCode.INTERRUPTED``, written out since its import may be interrupted, too."""


def main() -> None:
    """Runs the command, and exits with the code that it returns.

    Until the imports are done, SIGINT ends the process at once: an exception in the middle of an
    import would be a traceback, or get lost. A SIGINT that is ignored stays ignored.
    """
    if sys.argv[1:2] == ["serve"]:
        _serve()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit_interrupted)
    from lastcall.cli import main as run  # noqa: PLC0415 - this import takes long

    signal.signal(signal.SIGINT, before)
    run()


def _serve() -> NoReturn:
    """Runs a node, which handles signals from its first import on."""
    from lastcall.serve.__main__ import main as serve  # noqa: PLC0415 - as above

    serve(sys.argv[2:])


def _exit_interrupted(_number: int, _frame: object) -> None:
    os.write(STDERR, b"Interrupted.\n")
    os._exit(INTERRUPTED)
