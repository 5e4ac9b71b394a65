"""The states of a session, and the events that each of them allows.

An event that the table does not know is a bug: it raises :class:`lastcall.errors.WrongEvent` and
changes nothing.
"""

from __future__ import annotations

import enum
from types import MappingProxyType


class State(enum.Enum):
    """The state of a session."""

    FREE = "free"
    JOINING = "joining"
    RESUMING = "resuming"
    SEATED = "seated"
    REGROUPING = "regrouping"
    """Its room was given up before the start, and the node looks for another one."""
    GONE = "gone"


class Event(enum.Enum):
    """An event of a session."""

    JOIN = "join"
    RESUME = "resume"
    PLACED = "placed"
    NO_PLACE = "no place"
    """The join or the resume has failed, or the place is over."""
    REGROUPED = "regrouped"
    CLOSED = "closed"


TABLE = MappingProxyType(
    {
        State.FREE: {
            Event.JOIN: State.JOINING,
            Event.RESUME: State.RESUMING,
            Event.CLOSED: State.GONE,
        },
        State.JOINING: {
            Event.PLACED: State.SEATED,
            Event.NO_PLACE: State.FREE,
            Event.CLOSED: State.GONE,
        },
        State.RESUMING: {
            Event.PLACED: State.SEATED,
            Event.NO_PLACE: State.FREE,
            Event.CLOSED: State.GONE,
        },
        State.SEATED: {
            Event.PLACED: State.SEATED,  # another place, in exchange for this one
            Event.NO_PLACE: State.FREE,
            Event.REGROUPED: State.REGROUPING,
            Event.CLOSED: State.GONE,
        },
        State.REGROUPING: {
            Event.PLACED: State.SEATED,
            Event.NO_PLACE: State.FREE,
            Event.CLOSED: State.GONE,
        },
        State.GONE: {},
    }
)
