"""One room that a node takes from another: the taker's side, as one state table.

* The parts of the image come, then the image is decoded, then it is *held*: the room does not run.
* It runs when its giver releases it, and never otherwise.
* It is forgotten when the giver asks for that, has died, or is silent for too long.

An event without a step in the table raises :class:`lastcall.errors.WrongEvent` and changes nothing.
"""

from __future__ import annotations

import enum
from types import MappingProxyType

import msgspec

from lastcall.core.handoff.parts import Assembly
from lastcall.core.handoff.table import diagram_of, step
from lastcall.ids import Incarnation, RoomId


class State(enum.StrEnum):
    """How far the adoption is; the last two are its ends."""

    COMING = "coming"
    WHOLE = "whole"
    HELD = "held"
    RUNNING = "running"
    FORGOTTEN = "forgotten"


class Event(enum.StrEnum):
    """An event of an adoption."""

    LAST_PART = "last part"
    ADOPTED = "adopted"
    REFUSED = "refused"
    RELEASE = "release"
    WITHDRAW = "withdraw"
    GONE = "giver gone"
    LATE = "no decision"


_OVER = dict.fromkeys((Event.WITHDRAW, Event.GONE, Event.LATE), State.FORGOTTEN)
TABLE = MappingProxyType(
    {
        State.COMING: {Event.LAST_PART: State.WHOLE, Event.REFUSED: State.FORGOTTEN, **_OVER},
        State.WHOLE: {Event.ADOPTED: State.HELD, Event.REFUSED: State.FORGOTTEN, **_OVER},
        State.HELD: {Event.RELEASE: State.RUNNING, **_OVER},
        State.RUNNING: {},
        State.FORGOTTEN: {},
    }
)


class Key(msgspec.Struct, frozen=True):
    """Which move: of which room, from which process, to be run with which epoch."""

    giver: Incarnation
    room: RoomId
    epoch: int


class Adoption(msgspec.Struct, eq=False):
    """One room on its way here."""

    key: Key
    assembly: Assembly
    expires_at: float
    """When :attr:`Event.LATE` is due."""
    state: State = State.COMING

    def knows(self, event: Event) -> bool:
        """Whether the table has a step for ``event`` from this state."""
        return event in TABLE[self.state]

    def on(self, event: Event) -> State:
        """Takes the step and returns the new state."""
        self.state = step(TABLE, self.state, event)
        return self.state


def diagram() -> str:
    """The table as a Mermaid state diagram; the documentation's picture is this text."""
    return diagram_of(TABLE, State.COMING)
