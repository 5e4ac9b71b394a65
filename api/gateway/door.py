"""A client port that can be shut and opened again without giving its socket up.

A cordoned node that shares its listening socket with others (``fd:N``) must stop accepting: what it
does not accept, the others do. A closed copy cannot be opened again, and the client would see a
503 as a failure.
"""

from __future__ import annotations

import trio
import trio.abc


class Door(trio.abc.Listener[trio.abc.Stream]):
    """Accepts from ``listener`` while open; closes it when it is closed itself.

    ``shared``: other nodes accept from the same socket.
    """

    def __init__(
        self, listener: trio.abc.Listener[trio.abc.Stream], *, shared: bool = False
    ) -> None:
        self.shared = shared
        self._listener = listener
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
                return await self._listener.accept()

    async def aclose(self) -> None:
        """Closes the listener."""
        await self._listener.aclose()
