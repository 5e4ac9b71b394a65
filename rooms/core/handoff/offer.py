"""One room that its node gives to another: the giver's side, as one state table.

* The room is frozen first; then one node after the other is asked to adopt its image.
* The giver alone decides. Until it commits it may take the room back: the room *thaws*, and the
  node that was asked forgets the image. Once it has committed it never runs the room again.
* The room is *moved* when its taker has said that it runs there. It is *lost* if the taker dies or
  has forgotten the image before it has said so, or does not say it in time.

An event without a step in the table raises :class:`lastcall.errors.WrongEvent` and changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from types import MappingProxyType

import msgspec

from lastcall.core.edge.placement import Candidate
from lastcall.core.handoff.table import diagram_of, step
from lastcall.ids import Incarnation, KindName, RoomId

Nodes = Collection[Candidate]
"""The other game nodes."""


class State(enum.StrEnum):
    """How far the offer is; the last four are its ends."""

    FREEZING = "freezing"
    SEEKING = "seeking"
    ASKED = "asked"
    COMMITTED = "committed"
    KEPT = "kept"
    THAWED = "thawed"
    MOVED = "moved"
    LOST = "lost"


class Event(enum.StrEnum):
    """An event of an offer."""

    FROZEN = "frozen"
    NOT_FROZEN = "not frozen"
    TAKER = "taker found"
    NO_TAKER = "no taker"
    ADOPTED = "adopted"
    REFUSED = "refused"
    GONE = "taker gone"
    LATE = "no answer"
    STOP = "stop"
    RELEASED = "released"
    FORGOTTEN = "forgotten"


TABLE = MappingProxyType(
    {
        State.FREEZING: {Event.FROZEN: State.SEEKING, Event.NOT_FROZEN: State.KEPT},
        State.SEEKING: {Event.TAKER: State.ASKED, Event.NO_TAKER: State.THAWED},
        State.ASKED: {
            Event.ADOPTED: State.COMMITTED,
            Event.REFUSED: State.SEEKING,
            Event.GONE: State.SEEKING,
            Event.LATE: State.SEEKING,
            Event.STOP: State.THAWED,
        },
        State.COMMITTED: {
            Event.RELEASED: State.MOVED,
            Event.FORGOTTEN: State.LOST,
            Event.GONE: State.LOST,
            Event.LATE: State.LOST,
        },
        State.KEPT: {},
        State.THAWED: {},
        State.MOVED: {},
        State.LOST: {},
    }
)
OWED = frozenset({Event.LATE, Event.STOP})
"""After these, a node that was asked may hold the image: it is told to forget it."""


class Movable(msgspec.Struct, frozen=True):
    """A room that may be given away. ``size`` is about how many bytes its image takes."""

    room: RoomId
    kind: KindName
    size: int


class Offer(msgspec.Struct, eq=False):
    """One room under way. ``epoch`` is the one that it will have at the taker."""

    room: RoomId
    kind: KindName
    size: int
    state: State = State.FREEZING
    epoch: int = 0
    image: bytes = b""
    taker: Incarnation | None = None
    expires_at: float = float("inf")
    """When :attr:`Event.LATE` is due."""
    tried: set[Incarnation] = msgspec.field(default_factory=set)
    """The nodes that were asked for this offer."""

    def knows(self, event: Event) -> bool:
        """Whether the table has a step for ``event`` from this state."""
        return event in TABLE[self.state]

    def on(self, event: Event) -> State:
        """Takes the step and returns the new state."""
        self.state = step(TABLE, self.state, event)
        return self.state


def diagram() -> str:
    """The table as a Mermaid state diagram; the documentation's picture is this text."""
    return diagram_of(TABLE, State.FREEZING)
