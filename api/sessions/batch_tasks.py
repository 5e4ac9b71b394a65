"""Work for many places, done in batches by one task that runs only while there is work."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

import structlog
import trio

from lastcall.api.sessions.place import Place, PlaceStatus
from lastcall.runtime.batches import CLIENTS_PER_BATCH, each

log = structlog.get_logger("lastcall.api.sessions.relay")

Start = Callable[[Callable[[], Awaitable[None]]], object]
"""``nursery.start_soon``, as far as relays need it."""
Notify = Callable[[Place], None]


class AckTimer:
    """Sends the acks that no message has taken along, ``seconds`` after the first is due.

    One task serves all rooms: a task for each room would wake up to 20 times a second.
    """

    def __init__(self, seconds: float, start: Start) -> None:
        self._seconds = seconds
        self._start = start
        self._due: dict[Place, None] = {}

    def schedule(self, place: Place) -> None:
        """Has ``place`` send one ack for all inputs that its room takes until then."""
        if not self._due:
            self._start(self._run)
        self._due[place] = None

    async def _run(self) -> None:
        await trio.sleep(self._seconds)
        due, self._due = self._due, {}
        await each(due, _send_ack)


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
    if place.ack_due and place.status in {PlaceStatus.LIVE, PlaceStatus.SUSPENDED}:
        place.send_ack()
