"""The seams by which a room tells of its changes, if it survives its node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lastcall.core.room.roster import Seat
from lastcall.host.inbox import Inbox
from lastcall.ids import LinkId, PlayerId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import EndImage


class Acks(Protocol):
    """Where the acks of a room's inputs go."""

    def add(self, room: RoomId, seat: Seat) -> None:
        """The room has accepted all inputs up to ``seat.last_n``."""


class Changes(Acks, Protocol):
    """Hears of the changes of a surviving room: :class:`lastcall.host.room_steps.RoomSteps`."""

    @property
    def full(self) -> bool:
        """Whether so many words wait that nobody may have a place now."""

    @property
    def too_many(self) -> bool:
        """Whether so many words wait that the room must say no more."""

    def say(self, link: LinkId, item: nodes.Down) -> None:
        """The host says ``item`` for the room."""

    @property
    def speak(self) -> Callable[[LinkId, nodes.Down], None]:
        """The outbox of the room's code."""

    def open_inbox(self, on_room: Callable[[PlayerId | None], None]) -> Inbox:
        """The room's inbox, which is made once."""

    def begin(self) -> None:
        """The room has an image from now on, if its state can be encoded."""

    def act(self) -> None:
        """The room's code has said or done something."""

    def change_seat(self, seat: Seat) -> None:
        """The seat was taken or freed, or has changed."""

    def change_alarms(self) -> None:
        """The alarms are others."""

    def change_bans(self) -> None:
        """The bans, or the seats that were taken away, are others."""

    def renumber(self, seat: Seat) -> None:
        """The player's inputs count from 1 again."""

    def done(self, seat: Seat) -> int:
        """The last input of the player that the room has done."""

    async def end(self, end: EndImage) -> None:
        """The room's function is over: returns when its players may be told."""
