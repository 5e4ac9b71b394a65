"""The keeper of the images that surviving rooms have on other nodes, as the host calls it."""

from __future__ import annotations

from typing import Protocol

from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes


class Protector(Protocol):
    """The protection of a node's surviving rooms.

    The host calls it in the middle of what a room does. So it must not raise, nor run a room; but
    each method may call :class:`lastcall.host.protected_rooms.ProtectedRooms` back at once.
    """

    def opened(self, room: RoomId, epoch: int) -> None:
        """The room has an image from now on; all that it said until now has left.

        A new room is at rest for the first time; one from an image (handed off, or promoted here)
        is about to run. Its first step follows.
        """

    def step(self, room: RoomId, data: bytes) -> int:
        """The room has made a step, an encoded :class:`lastcall.wire.steps.RoomStep`.

        Returns the step's number, which rises: the words of the room that belong to it wait for
        ``leave(room, upto)`` with that number or a higher one, which may come before the return.
        """

    def failing(self, room: RoomId, *, failing: bool) -> None:
        """The room's state cannot be encoded: there are no steps, and its words leave unprotected,
        so that an image elsewhere is worth nothing. Or it can again: a step follows that makes up
        for all that was missed.
        """

    def ended(self, room: RoomId) -> None:
        """The room has ended with its last step; players are told after ``finished(room)``.

        Steps may still follow until then: a player resumes, or is lost.
        """

    def asked(self, link: LinkId, item: nodes.Up, room: RoomId) -> bool:
        """A request, about a room that does not run here: whether it was answered.

        It is if the room's image is kept here; the request is made again, here or elsewhere.
        """

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        """The api node of ``link`` answers a question about a room."""
