"""A client that is not read, since its room is behind: until it goes on, or is closed."""

from __future__ import annotations

import trio

from lastcall.api.sessions.session import Session
from lastcall.api.socket.pump import PumpedClient

LAST_WORDS_SECONDS = 0.25
"""How long what a client has sent is read for its last words, after it was closed unread."""


async def wait_unblocked(
    session: Session, nursery: trio.Nursery, pumped: PumpedClient | None = None
) -> None:
    """The room is behind: its client is not read before it has caught up, or is closed.

    A ``pumped`` client is read again by the pump, any other by the caller; the end of the
    connection's last words is the end of ``nursery``.
    """
    await session.wait_unblocked()
    connection = session.connection
    if connection.last_words:
        nursery.cancel_scope.deadline = trio.current_time() + LAST_WORDS_SECONDS
    if pumped is not None and (connection.close_code is None or connection.last_words):
        pumped.unblock()
