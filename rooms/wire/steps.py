"""A step of a surviving room: the changes since the step before, as one msgpack map.

A step follows on an image, or on the step before it (:mod:`lastcall.wire.images`); fields that are
left out stay the same. Times are in seconds before or after the step was made. Fields may be added
with a default, and unknown ones are ignored; a change of what a field means is another version of
images.
"""

from __future__ import annotations

import msgspec

from lastcall.errors import RemoteProtocolError
from lastcall.ids import PlayerId
from lastcall.wire import UNREADABLE
from lastcall.wire.images import (
    AlarmImage,
    BanImage,
    EndImage,
    EventImage,
    GoneImage,
    Number,
    Part,
    SeatImage,
)


class RoomStep(Part, frozen=True):
    """The changes of one room."""

    state: bytes | None = None
    """The author's state, if it is another."""
    said: tuple[tuple[Number, bytes, PlayerId | None], ...] = ()
    """The messages that the room has said and keeps: (number, body, its only reader or None)."""
    seq: Number | None = None
    """The number of the last message, if that is not the last one of ``said``."""
    forgotten: Number | None = None
    """The highest number that was forgotten."""
    done: dict[PlayerId, Number] | None = None
    """The last input of each player that the room has done."""
    seats: tuple[SeatImage, ...] = ()
    """Seats that were taken, in the order of joining, or have changed."""
    freed: tuple[PlayerId, ...] = ()
    """The players who have no seat any more."""
    alarms: tuple[AlarmImage, ...] | None = None
    """All alarms."""
    events: tuple[EventImage, ...] | None = None
    """All events that wait; see :class:`lastcall.wire.images.Image`."""
    more_events: tuple[EventImage, ...] = ()
    """Events that wait behind the others."""
    bans: tuple[BanImage, ...] | None = None
    """All bans."""
    gone: tuple[GoneImage, ...] | None = None
    """All seats that were taken away."""
    started: bool | None = None
    locked: bool | None = None
    over: EndImage | None = None
    """The room has ended so."""


encode_step = msgspec.msgpack.Encoder().encode
LOST_STEP = b"\xc1"
"""A step that could not be encoded. No image can take it: this byte is never used in msgpack."""
_step = msgspec.msgpack.Decoder(RoomStep)


def decode_step(data: bytes) -> RoomStep:
    """The step in ``data``; raises :class:`RemoteProtocolError` if it cannot be read."""
    try:
        return _step.decode(data)
    except UNREADABLE as error:
        raise RemoteProtocolError(f"a room's step cannot be read: {error}") from error
