"""The changes of a surviving room since its last step, and its words.

Nothing here makes a step: :class:`lastcall.host.room_steps.RoomSteps` does, from these changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lastcall.core.room.roster import Seat
from lastcall.host.stepped_inbox import SteppedInbox
from lastcall.host.words import Words
from lastcall.ids import LinkId, PlayerId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import EndImage


class Steps(Protocol):
    """The steps of a surviving room: :class:`lastcall.host.room_steps.RoomSteps`."""

    changes: RoomChanges

    def begin(self) -> None:
        """The room has an image from now on, if its state can be encoded."""

    async def end(self, end: EndImage) -> None:
        """The room's function is over: returns when its players may be told."""


class RoomChanges:
    """One room's changes; ``on_touch`` asks for a step at the end of the turn."""

    __slots__ = (
        "_on_touch",
        "acting",
        "alarms",
        "bans",
        "inbox",
        "over",
        "seats",
        "to_ack",
        "words",
        "worked",
    )

    def __init__(self, inbox: SteppedInbox, words: Words, on_touch: Callable[[], None]) -> None:
        self.inbox = inbox
        self.words = words
        self._on_touch = on_touch
        self.acting = False
        """Whether the room has done or said something that is in no step."""
        self.to_ack: dict[PlayerId, None] = {}
        self.over: EndImage | None = None
        """How the room has ended, if it has."""
        self.seats: set[PlayerId] = set()
        """Of seats that were taken, have changed, or were freed."""
        self.worked: dict[PlayerId, None] = {}
        """Whose inputs were done."""
        self.alarms = self.bans = False
        """Whether these have changed."""

    def forget(self) -> None:
        """All changes are in a step."""
        self.seats.clear()
        self.worked.clear()
        self.alarms = self.bans = False

    def rest(self) -> None:
        """The room's function rests: the events in hand are done."""
        if self.inbox.hand:
            done = self.inbox.finish_hand()
            self.worked.update(dict.fromkeys(done))
            self.to_ack.update(dict.fromkeys(done))
        self.acting = False

    def say(self, link: LinkId, item: nodes.Down) -> None:
        """The host says ``item`` for the room."""
        self.words.put(link, item)
        self._on_touch()

    def act(self) -> None:
        """The room's code has said or done something."""
        if self.inbox.rests:  # one of its other tasks
            self._on_touch()
        else:
            self.acting = True

    def change_seat(self, seat: Seat) -> None:
        """The seat was taken or freed, or has changed."""
        self.seats.add(seat.player)
        self._on_touch()

    def change_alarms(self) -> None:
        """The alarms are others; no step needs to be made for that alone."""
        self.alarms = True

    def change_bans(self) -> None:
        """The bans, or the seats that were taken away, are others."""
        self.bans = True
        self._on_touch()

    def add(self, room: RoomId, seat: Seat) -> None:  # noqa: ARG002 - as PendingAcks.add
        """The room has accepted all inputs of ``seat`` up to the last; it is acked when done."""
        if self.inbox.progress.newest(seat.player) == seat.last_n:
            return
        self.to_ack[seat.player] = None
        self.worked[seat.player] = None
        self._on_touch()
