"""The events of a stream that a reader can resume: which ones it gets, after the last that it had.

There are two sorts. A *state* replaces the one before it, and only its newest counts. A *line* is
kept, until more than ``limit`` others follow. An event's id names the ring and the position up to
which its reader has everything, so the id of another ring, or one from before the oldest line, gets
a fresh start: all states, and then all lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple


class Event(NamedTuple):
    """An event as it is sent."""

    id: str
    name: str
    data: bytes


class _Kept(NamedTuple):
    number: int
    name: str
    data: bytes


class EventRing:
    """The events of one ring. ``states`` are the names of the states, in the order of a fresh
    start; ``token`` tells this ring from others, and has no dash.
    """

    def __init__(self, token: str, states: Sequence[str], limit: int) -> None:
        self._token = token
        self._states: dict[str, _Kept | None] = dict.fromkeys(states)
        self._lines: deque[_Kept] = deque(maxlen=limit)
        self._newest = 0
        self._forgotten = 0
        """The number of the newest line that is not kept any more."""

    @property
    def last_id(self) -> str:
        """The id of a reader that has everything."""
        return self._id(self._newest)

    def set_state(self, name: str, data: bytes) -> None:
        """A new state, in place of the one before."""
        self._newest += 1
        self._states[name] = _Kept(self._newest, name, data)

    def add_line(self, name: str, data: bytes) -> None:
        """One more line; the oldest is forgotten if there are too many."""
        self._newest += 1
        if len(self._lines) == self._lines.maxlen:
            self._forgotten = self._lines[0].number
        self._lines.append(_Kept(self._newest, name, data))

    def after(self, last_id: str) -> list[Event]:
        """The events that a reader has to get whose last one was ``last_id``, in their order.

        In a fresh start, the last state has an id from before the first line, and those before it
        the id of none: a reader that is lost in the middle gets all states again, and no line
        twice.
        """
        position = self._position(last_id)
        states = [kept for kept in self._states.values() if kept is not None]
        if position is None:
            ids = [*[self._id("")] * (len(states) - 1), self._id(self._forgotten)]
            fresh = [
                Event(id_, kept.name, kept.data) for id_, kept in zip(ids, states, strict=False)
            ]
            return fresh + [self._event(kept) for kept in self._lines]
        news = [kept for kept in states if kept.number > position]
        news += islice(self._lines, self._count_until(position), None)
        return [self._event(kept) for kept in sorted(news)]

    def _count_until(self, position: int) -> int:
        """How many of the kept lines the reader has; it has most of them, as a rule."""
        behind = 0
        for kept in reversed(self._lines):
            if kept.number <= position:
                break
            behind += 1
        return len(self._lines) - behind

    def _position(self, last_id: str) -> int | None:
        token, _, number = last_id.rpartition("-")
        if token != self._token or not (number.isascii() and number.isdigit()):
            return None
        if len(number) > len(str(self._newest)):
            return None
        position = int(number)
        return position if self._forgotten <= position <= self._newest else None

    def _id(self, number: int | str) -> str:
        return f"{self._token}-{number}"

    def _event(self, kept: _Kept) -> Event:
        return Event(self._id(kept.number), kept.name, kept.data)
