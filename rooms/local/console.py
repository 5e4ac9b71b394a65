"""The console of a command that prints for long, and what it does when nobody reads any more."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EIO

from rich.console import Console

from lastcall.errors import OutputClosed


def print_text(console: Console, text: str) -> None:
    """Prints one or more lines as they are, above a live table if there is one."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def end_view() -> None:
    """Ends a command that only shows something: raises :class:`OutputClosed`."""
    raise OutputClosed("nobody reads the standard output any more")


def hang_up() -> None:
    """Asks this process to stop, as a terminal does that is closed."""
    os.kill(os.getpid(), signal.SIGHUP)


class CommandConsole(Console):
    """Prints on the standard output until that is closed, as by ``| head -1``, and then nothing.

    ``on_closed`` is called once, when a pipe is closed. A terminal that is closed sends its own
    SIGHUP.
    """

    def __init__(self, on_closed: Callable[[], None] = end_view) -> None:
        super().__init__()
        self._on_closed = on_closed

    def on_broken_pipe(self) -> None:
        """Rich calls it in place of an error."""
        self._discard()
        self._on_closed()

    def __exit__(self, *exc_info: object) -> None:
        """Writes what was printed."""
        try:
            super().__exit__(*exc_info)
        except OSError as error:
            if error.errno != EIO:
                raise
            self._discard()

    def _discard(self) -> None:
        """From now on; also what waits in a buffer until the exit."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
