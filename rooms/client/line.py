"""What a place needs of a socket."""

from __future__ import annotations

from typing import Protocol

from lastcall.wire import frames

__all__ = ["Line"]


class Line(Protocol):
    """The way to the server, as long as it lasts; a :class:`lastcall.client.Connection` is one."""

    node: str
    """The api node at its other end."""

    def post(self, frame: frames.FromClient) -> None:
        """Sends a frame soon, in order; drops it when the socket is gone."""

    @property
    def backlog(self) -> int:
        """How many frames wait to be written."""
