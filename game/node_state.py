"""A game node as placement should see it."""

from __future__ import annotations

from lastcall.host.host import Host
from lastcall.runtime.drain import Drain
from lastcall.wire import nodes


class NodeStates:
    """The states of one node; each is another revision, whenever placement would care."""

    def __init__(self, host: Host, drain: Drain) -> None:
        self._host = host
        self._drain = drain
        seats, sizes = host.running.open_rooms.seats(), host.matchmaker.sizes
        self._last = nodes.NodeState(0, drain.phase, 0, seats, sizes=sizes)

    def now(self) -> nodes.NodeState:
        """The state as of now."""
        running = self._host.running
        last, phase, rooms = self._last, self._drain.phase, running.count
        seats = running.open_rooms.seats()
        if (last.phase, last.rooms, last.seats) != (phase, rooms, seats):
            self._last = nodes.NodeState(
                revision=last.revision + 1,
                phase=phase,
                rooms=rooms,
                seats=seats,
                seconds_left=self._drain.seconds_left,
                sizes=last.sizes,
            )
        return self._last
