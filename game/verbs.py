"""What a game node answers: its host's verbs, and the state that placement sees.

Nothing here waits, so that a reply can go out in the turn in which its request came.
"""

from __future__ import annotations

from collections.abc import Callable

from lastcall.core.lifecycle import Phase
from lastcall.host.host import Host
from lastcall.wire import nodes

__all__ = ["GameVerbs"]


class GameVerbs:
    """The host, as :class:`lastcall.game.links.ApiLinks` sees it."""

    def __init__(
        self, host: Host, phase: Callable[[], Phase], seconds_left: Callable[[], float | None]
    ) -> None:
        self._host = host
        self._phase = phase
        self._seconds_left = seconds_left
        self._state = nodes.NodeState(
            revision=0, phase=phase(), rooms=0, seats=host.seats(), sizes=host.sizes
        )
        self.handle = host.handle
        self.flush_acks = host.flush_acks
        self.drop_link = host.drop_link

    def state(self) -> nodes.NodeState:
        """The node as placement should see it; a new revision whenever placement would care."""
        last, phase, rooms, seats = self._state, self._phase(), self._host.rooms, self._host.seats()
        if (last.phase, last.rooms, last.seats) != (phase, rooms, seats):
            self._state = nodes.NodeState(
                revision=last.revision + 1,
                phase=phase,
                rooms=rooms,
                seats=dict(seats),
                seconds_left=self._seconds_left(),
                sizes=last.sizes,
            )
        return self._state
