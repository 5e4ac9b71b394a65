"""Work for many places, done in batches by one task that runs only while there is work."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

import structlog
import trio

from lastcall.api.sessions.place import Place, PlaceStatus
from lastcall.runtime.batches import CLIENTS_PER_BATCH, each

log = structlog.get_logger("lastcall.api.sessions.relay")

Start = Callable[[Callable[[], Awaitable[None]]], object]
"""``nursery.start_soon``, as far as relays need it."""
Notify = Callable[[Place], None]


class Acking(Protocol):
    """A room with places whose clients are to get an ack; a :class:`Relay`."""

    def take_acks_due(self) -> list[Place]:
        """The places that are to get their acks now."""


class AckTimer:
    """Sends the acks that no message has taken along, ``seconds`` after a room's first is due.

    One task serves all rooms: a task for each room would wake up to 20 times a second.
    """

    def __init__(self, seconds: float, start: Start) -> None:
        self._seconds = seconds
        self._start = start
        self._rooms: list[Acking] = []

    def schedule(self, room: Acking) -> None:
        """Has the places of ``room`` send one ack for all inputs that it takes until then."""
        if not self._rooms:
            self._start(self._run)
        self._rooms.append(room)

    async def _run(self) -> None:
        await trio.sleep(self._seconds)
        rooms, self._rooms = self._rooms, []
        await each([place for room in rooms for place in room.take_acks_due()], _send_ack)


class EndNotices:
    """Tells places of their end: a room may have thousands here, and a game node 20 000."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._waiting: deque[tuple[Place, Notify]] = deque()

    def send(self, places: Sequence[Place], notify: Notify) -> None:
        """Calls ``notify`` with the live places: the first few now, the rest in another task."""
        for place in places[:CLIENTS_PER_BATCH]:
            _notify_live(place, notify)
        if len(places) > CLIENTS_PER_BATCH:
            if not self._waiting:
                self._start(self._run)
            self._waiting += ((place, notify) for place in places[CLIENTS_PER_BATCH:])

    async def _run(self) -> None:
        await trio.lowlevel.checkpoint()
        await each(self._taken(), lambda one: _notify_live(*one))

    def _taken(self) -> Iterator[tuple[Place, Notify]]:
        """All places that wait, with those that are added meanwhile."""
        while self._waiting:
            yield self._waiting[0]
            self._waiting.popleft()


def _notify_live(place: Place, notify: Notify) -> None:
    """Calls ``notify`` with a live place; an error with one client does not reach the others."""
    try:
        if place.status is PlaceStatus.LIVE:  # it may have left or been taken over meanwhile
            notify(place)
    except Exception:
        log.exception("client.internal_error")


def _send_ack(place: Place) -> None:
    if place.ack_due:  # no message has taken it along
        place.send_ack()
