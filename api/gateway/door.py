"""A client port that can be shut and opened again without giving its socket up.

A cordoned node that shares its listening socket with others (``fd:N``) must stop accepting: what it
does not accept, the others do. A closed copy cannot be opened again, and the client would see a
503 as a failure.
"""

from __future__ import annotations

import os

import trio
import trio.abc

from lastcall.runtime.descriptors import EXHAUSTED
from lastcall.runtime.rated_log import RatedLog

RETRY_SECONDS = 0.1


class Door(trio.abc.Listener[trio.abc.Stream]):
    """Accepts from ``listener`` while open; closes it when it is closed itself.

    ``shared``: other nodes accept from the same socket. While there is no descriptor for a
    connection, the door tries again every 100 ms and warns (``clients.not_accepted``):
    ``trio.serve_listeners`` would log an error with a traceback each time.
    """

    def __init__(
        self, listener: trio.abc.Listener[trio.abc.Stream], *, shared: bool = False
    ) -> None:
        self.shared = shared
        self._listener = listener
        self._exhausted = RatedLog("clients.not_accepted")
        self._waiting = trio.CancelScope()
        self._opened = trio.Event()
        self._opened.set()

    def shut(self) -> None:
        """Accepts nothing from now on; a connection that was accepted already is passed on."""
        if self._opened.is_set():
            self._opened = trio.Event()
            self._waiting.cancel()

    def open(self) -> None:
        """Accepts again."""
        self._opened.set()

    async def accept(self) -> trio.abc.Stream:
        """The next connection; waits while shut. May be cancelled."""
        while True:
            await self._opened.wait()
            with trio.CancelScope() as self._waiting:
                try:
                    return await self._listener.accept()
                except OSError as error:
                    if error.errno not in EXHAUSTED:
                        raise
                    self._exhausted.warning(reason=os.strerror(error.errno))
                await trio.sleep(RETRY_SECONDS)

    async def aclose(self) -> None:
        """Closes the listener."""
        await self._listener.aclose()
