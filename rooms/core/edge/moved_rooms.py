"""A room that has moved to another game node: how far one request for it follows.

A node that has handed a room over names the node that has it now. That node is asked next, and may
have handed the room on in turn. A request follows at most :data:`MOVES_MAX` moves, so nodes that
name each other in a circle cannot keep it going.
"""

from __future__ import annotations

from lastcall.ids import Incarnation

MOVES_MAX = 8


class Trail:
    """Where the answers to one request say that its room is."""

    __slots__ = ("moves", "to")

    def __init__(self) -> None:
        self.moves = 0
        """How many moves the answers have told."""
        self.to: Incarnation | None = None
        """The node that has the room, as far as is known; None if no answer says so, or if that
        node has refused.
        """

    @property
    def endless(self) -> bool:
        """Whether the answers have told more moves than a room makes: nobody has it."""
        return self.moves > MOVES_MAX

    def follow(self, to: Incarnation) -> None:
        """A node has said that the room is at ``to``."""
        self.moves += 1
        self.to = None if self.endless else to

    def refused(self, node: Incarnation) -> None:
        """``node`` does not have the room."""
        if node == self.to:
            self.to = None
