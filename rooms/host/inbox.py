"""The events that a room has not read yet: one queue, one reader, bounded.

Inputs are refused when ``limit`` events wait, or ``share`` inputs of the same player: the sender
is blocked, and notified when half of them are read. ``Joined``, ``Left``, ``Away``, ``Back``,
``Alarm`` and ``Draining`` always fit. So that they cannot grow without a bound, pairs that cancel
each other are removed while the queue is full: ``Joined`` and ``Left``, ``Away`` and ``Back``,
``Away`` before ``Left``.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from lastcall.events import Back, Event, Left, Said
from lastcall.host.crowd import Crowd
from lastcall.ids import PlayerId

EVENTS_PER_TURN = 64
"""How many events a room may take before it lets other tasks run."""


class Inbox:
    """The events of one room, in order.

    The reader's task calls ``on_room`` when there is room again: with None when the queue has
    fallen to half of ``limit`` after it refused an input; with a player when their inputs have
    fallen to half of ``share`` (whether or not one was refused, until the queue was empty once).
    Holds at most ``2 * limit + 3 * seats + 65`` events: of alarms, each name once.
    """

    __slots__ = (
        "_calm",
        "_crowd",
        "_limit",
        "_on_room",
        "_queue",
        "_reader",
        "_share",
        "_taken",
        "on_rest",
    )

    def __init__(self, limit: int, share: int, on_room: Callable[[PlayerId | None], None]) -> None:
        self._limit = limit
        self._share = share
        self._calm = min(limit, share)
        """While fewer events wait, any input fits."""
        self._on_room = on_room
        self._queue: list[Event] = []
        """At most ``limit`` events; later joins and leaves are in ``late``. A list, not a deque: it
        holds one event, mostly, and an empty deque takes 600 bytes of each room.
        """
        self._crowd: Crowd | None = None
        self._reader: trio.lowlevel.Task | None = None
        self._taken = 0
        self.on_rest: Callable[[], None] | None = None
        """Called in the reader's task each time that it is about to rest."""

    def __len__(self) -> int:
        return len(self._queue) + (0 if self._crowd is None else len(self._crowd.late))

    @property
    def waiting(self) -> list[Event]:
        """All events that are not read yet, in order."""
        return [*self._queue, *(() if self._crowd is None else self._crowd.late)]

    def restore(self, events: list[Event]) -> None:
        """The events wait, in this new inbox, as they did in another one."""
        self._queue.extend(events[: self._limit])
        for event in events[self._limit :]:
            self._crowded().late.add(event)

    @property
    def reader(self) -> trio.lowlevel.Task | None:
        """The task that waits for the next event; None if none waits."""
        return self._reader

    async def rest(self) -> None:
        """The reader rests, but reads nothing. Always a checkpoint."""
        if self.on_rest is not None:
            self.on_rest()
        await trio.lowlevel.checkpoint()

    def has_room(self, player: PlayerId) -> bool:
        """Whether an input of ``player`` fits. If not, ``on_room`` will be called."""
        waiting = len(self._queue)
        if waiting < self._calm:
            return True
        crowd = self._crowded()
        if crowd.of_player.get(player, 0) >= self._share:
            return False
        if waiting < self._limit:
            return True
        crowd.refused = True
        return False

    def put(self, event: Event) -> None:
        """Takes an event that fits: of inputs, :meth:`has_room` must have said so."""
        self._queue.append(event)
        if self._crowd is not None:
            self._crowd.came(event)
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def put_control(self, event: Event) -> None:
        """Takes any other event; it always fits."""
        if len(self._queue) < self._limit:
            self.put(event)
            return
        crowd = self._crowded()
        if isinstance(event, Back | Left) and crowd.cancel(event):
            return
        if len(self._queue) < self._limit:
            self.put(event)
        else:
            crowd.late.add(event)

    def holds(self, event: Event) -> bool:
        """Whether ``event``, which is of no player, waits unread."""
        return event in self._queue or (self._crowd is not None and self._crowd.late.holds(event))

    def remove(self, event: Event) -> None:
        """Takes ``event``, which is of no player, back if it waits unread."""
        crowd = self._crowd
        if event in self._queue:
            self._queue.remove(event)
            if crowd is not None:
                self._relieve(crowd, event)
        elif crowd is not None:
            crowd.late.remove(event)

    async def next(self) -> Event:
        """The next event. Checkpoints when it waits, and before every 64th without waiting.

        When cancelled, no event is lost. One task at a time may wait here: another one gets
        :class:`trio.BusyResourceError`.
        """
        queue = self._queue
        if queue and self._taken < EVENTS_PER_TURN:
            self._taken += 1
        else:  # in this function: a coroutine more between a room and its loop costs 0.1 µs a step
            if queue:
                await trio.lowlevel.checkpoint()
            while not queue:  # again, if another task of the room has taken it meanwhile
                if self._reader is not None:
                    raise trio.BusyResourceError("another task of this room waits for its events")
                self._reader = trio.lowlevel.current_task()
                if self.on_rest is not None:
                    self.on_rest()
                await trio.lowlevel.wait_task_rescheduled(self)
            self._taken = 1
        event = queue.pop(0)
        if self._crowd is not None:
            self._relieve(self._crowd, event)
        return event

    def __call__(self, _: object) -> trio.lowlevel.Abort:
        """The reader is cancelled: trio calls it, since an inbox is the ``abort_fn`` of its reader.
        A bound method for each wait would cost 0.3 µs.
        """
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _crowded(self) -> Crowd:
        if self._crowd is None:
            self._crowd = Crowd(self._queue)
        return self._crowd

    def _relieve(self, crowd: Crowd, event: Event) -> None:
        """``event`` is out of the queue: the first late one is late no more, and who was refused is
        called.
        """
        crowd.catch_up()
        if type(event) is Said and crowd.went(event.player) == self._share // 2:
            self._on_room(event.player)
        if crowd.refused and len(self._queue) <= self._limit // 2:
            crowd.refused = False
            self._on_room(None)
        if not self._queue:
            self._crowd = None
