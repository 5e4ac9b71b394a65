"""What a session needs of its place in a room."""

from __future__ import annotations

from typing import Protocol

from lastcall.core.sequence import SequenceCheck

__all__ = ["OwnPlace"]


class OwnPlace(Protocol):
    """A place as its session sees it; :class:`lastcall.api.sessions.place.Place` is one, and knows
    its session.
    """

    @property
    def full(self) -> bool:
        """Whether the room is so far behind that no more should be said."""

    @property
    def suspended(self) -> bool:
        """Whether it is our own link that holds the inputs back, and not the room."""

    @property
    def leaving(self) -> bool:
        """Whether a leave is kept back, until the room has what was said before it."""

    @property
    def expected(self) -> int:
        """The number of the next input."""

    def say(self, n: int, body: bytes) -> SequenceCheck:
        """Passes an input on, if it is the next."""

    def leave(self) -> None:
        """Gives the place up once the room has all that was said; it is full until then."""

    def give_up(self) -> None:
        """Gives the place up now, whatever the room has."""

    def absent(self, *, moved: bool = False) -> None:
        """The socket is gone; ``moved``: its client comes back, and says all again."""

    def confirm(self) -> None:
        """The client has shown that it has its ticket: its first frame about the place has come."""
