"""The events that a room has not read yet: one queue, one reader, bounded.

Inputs are refused when ``limit`` events wait, or ``share`` inputs of the same player: the sender
is blocked, and notified when half of them are read. ``Joined``, ``Left``, ``Away``, ``Back``,
``Alarm`` and ``Draining`` always fit. So that they cannot grow without a bound, pairs that cancel
each other are removed while the queue is full: ``Joined`` and ``Left``, ``Away`` and ``Back``,
``Away`` before ``Left``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import trio

from lastcall.events import Away, Back, Event, Joined, Left, Said
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
        self._queue: deque[Event] = deque()
        """At most ``limit`` events; later joins and leaves are in ``late``."""
        self._crowd: _Crowd | None = None
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
        elif isinstance(event, Back | Left):
            self._put_shortened(event)
        else:
            self._crowded().late.add(event)

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
                await trio.lowlevel.wait_task_rescheduled(self._give_up)
            self._taken = 1
        event = queue.popleft()
        if self._crowd is not None:
            self._relieve(self._crowd, event)
        return event

    def _give_up(self, _: Callable[[], None]) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _crowded(self) -> _Crowd:
        if self._crowd is None:
            self._crowd = _Crowd(self._queue)
        return self._crowd

    def _relieve(self, crowd: _Crowd, event: Event) -> None:
        """``event`` is out of the queue: the first late one is late no more, and who was refused is
        called.
        """
        self._catch_up(crowd.late)
        if type(event) is Said and crowd.went(event.player) == self._share // 2:
            self._on_room(event.player)
        if crowd.refused and len(self._queue) <= self._limit // 2:
            crowd.refused = False
            self._on_room(None)
        if not self._queue:
            self._crowd = None

    def _catch_up(self, late: _Late) -> None:
        if late:
            Inbox.put(self, late.pop())  # it has come before: no heir counts it again

    def _put_shortened(self, event: Back | Left) -> None:
        """``event`` and what of its player it makes void: the room has not read that yet."""
        late = self._crowded().late
        mine = [n for n, e in enumerate(self._queue) if getattr(e, "player", None) == event.player]
        if self._last(late, mine, event.player) == Away(event.player):
            self._void(late, mine, event.player)
            if isinstance(event, Back):
                return
        last = self._last(late, mine, event.player)
        joined_alone = len(mine) + late.count(event.player) == 1 and last == Joined(event.player)
        if isinstance(event, Left) and joined_alone:
            self._void(late, mine, event.player)
        elif len(self._queue) < self._limit:
            self.put(event)
        else:
            late.add(event)

    def _last(self, late: _Late, mine: list[int], player: PlayerId) -> Event | None:
        """The player's last event; ``mine`` are the positions of theirs in the queue."""
        if late.count(player):
            return late.last(player)
        return self._queue[mine[-1]] if mine else None

    def _void(self, late: _Late, mine: list[int], player: PlayerId) -> None:
        if late.count(player):
            late.remove_last(player)
        else:
            del self._queue[mine.pop()]
            self._catch_up(late)


class _Crowd:
    """Counts for a queue that is nearly full: kept from then until all events are read.

    Most rooms never have that many events, so they need not count each input.
    """

    __slots__ = ("late", "of_player", "refused")

    def __init__(self, waiting: Iterable[Event]) -> None:
        self.late = _Late()
        self.of_player: dict[PlayerId, int] = {}
        """How many inputs of each player wait; no zeros."""
        self.refused = False
        """Whether an input was refused for want of room for anyone."""
        for event in waiting:
            self.came(event)

    def came(self, event: Event) -> None:
        """Counts an event that is put into the queue."""
        if type(event) is Said:
            self.of_player[event.player] = self.of_player.get(event.player, 0) + 1

    def went(self, player: PlayerId) -> int:
        """An input of ``player`` is read; returns how many more of theirs wait."""
        left = self.of_player[player] - 1
        if left:
            self.of_player[player] = left
        else:
            del self.of_player[player]
        return left


class _Late:
    """Events of players who join and leave beyond a full queue, in order. A player's events are
    found by a dict: in a room of 10 000 that reads nothing, a search for each player would block
    the loop for minutes.
    """

    __slots__ = ("_events", "_numbers", "_of")

    def __init__(self) -> None:
        self._events: OrderedDict[int, Event] = OrderedDict()
        self._numbers = count()
        self._of: dict[PlayerId | None, list[int]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.values())

    def add(self, event: Event) -> None:
        number = next(self._numbers)
        self._events[number] = event
        self._of.setdefault(getattr(event, "player", None), []).append(number)

    def pop(self) -> Event:
        """The first; there is one."""
        _, event = self._events.popitem(last=False)
        player = getattr(event, "player", None)
        numbers = self._of[player]
        del numbers[0]
        if not numbers:
            del self._of[player]
        return event

    def count(self, player: PlayerId) -> int:
        """How many are of ``player``."""
        return len(self._of.get(player, ()))

    def last(self, player: PlayerId) -> Event:
        """The last of ``player``; there is one."""
        return self._events[self._of[player][-1]]

    def holds(self, event: Event) -> bool:
        """Whether ``event``, which is of no player, is here."""
        return any(self._events[number] == event for number in self._of.get(None, ()))

    def remove(self, event: Event) -> None:
        """Takes ``event``, which is of no player, out if it is here."""
        numbers = self._of.get(None, [])
        for number in [number for number in numbers if self._events[number] == event]:
            del self._events[number]
            numbers.remove(number)
        if not numbers:
            self._of.pop(None, None)

    def remove_last(self, player: PlayerId) -> None:
        """Takes :meth:`last` out."""
        del self._events[self._of[player].pop()]
        if not self._of[player]:
            del self._of[player]
