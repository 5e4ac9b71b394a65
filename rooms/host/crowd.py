"""The counts of an inbox that is nearly full, and the events that do not fit into it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import count

from lastcall.events import Away, Back, Event, Joined, Left, Said
from lastcall.ids import PlayerId


class Crowd:
    """Of a ``queue`` that is nearly full: kept from then until all events are read.

    Most rooms never have that many events, so they need not count each input.
    """

    __slots__ = ("_queue", "late", "of_player", "refused")

    def __init__(self, queue: list[Event]) -> None:
        self._queue = queue
        self.late = LateEvents()
        self.of_player: dict[PlayerId, int] = {}
        """How many inputs of each player wait; no zeros."""
        self.refused = False
        """Whether an input was refused for want of room for anyone."""
        for event in queue:
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

    def catch_up(self) -> None:
        """An event is out of the queue: the first late one is late no more."""
        if self.late:
            event = self.late.pop()
            self._queue.append(event)
            self.came(event)  # an input, if the room came here with more events than fit

    def cancel(self, event: Back | Left) -> bool:
        """Removes what ``event`` makes void of its player's events, which the room has not read;
        returns whether ``event`` is void, too.
        """
        late, player = self.late, event.player
        mine = [n for n, e in enumerate(self._queue) if getattr(e, "player", None) == player]
        if self._last(mine, player) == Away(player):
            self._void(mine, player)
            if isinstance(event, Back):
                return True
        alone = len(mine) + late.count(player) == 1 and self._last(mine, player) == Joined(player)
        if isinstance(event, Left) and alone:
            self._void(mine, player)
            return True
        return False

    def _last(self, mine: list[int], player: PlayerId) -> Event | None:
        """The player's last event; ``mine`` are the positions of theirs in the queue."""
        if self.late.count(player):
            return self.late.last(player)
        return self._queue[mine[-1]] if mine else None

    def _void(self, mine: list[int], player: PlayerId) -> None:
        if self.late.count(player):
            self.late.remove_last(player)
        else:
            del self._queue[mine.pop()]
            self.catch_up()


class LateEvents:
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
        """The newest."""
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
