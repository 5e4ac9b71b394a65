"""The image of a room: all that it needs to go on in another process, as one msgpack map.

A node takes a room's image while the room's function rests, and another node (or the same one) runs
the room from it. Times are in seconds before or after the image was taken, so no two clocks need to
agree. Fields may be added with a default, and unknown ones are ignored; a change of what a field
means has another :data:`IMAGE_VERSION`, which older nodes refuse.

An image comes from another node's code: :func:`flaw` says what is wrong with it, beside what only
the kind of its room can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, isfinite
from typing import Annotated, TypeAlias

import msgspec

from lastcall.errors import RemoteProtocolError
from lastcall.identity import Identity
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.wire import UNREADABLE

IMAGE_VERSION = 1
NUMBER_MAX = 2**53
"""A number beyond it is not sent again in the same form: clients count with floats."""
ALARM_SECONDS_MIN = 0.001
"""Between two rings of a repeated alarm: each wakes the room up."""
PART_BYTES = 64 * 1024
"""The most of an image that one item carries."""

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of an image and its parts."""


class SeatImage(Part, frozen=True):
    """One player's seat; see :class:`lastcall.core.room.roster.Seat`."""

    player: Annotated[PlayerId, msgspec.Meta(min_length=1)]
    secret: Text
    previous_secret: str = ""
    former: tuple[str, ...] = ()
    """The tickets of a regrouped player's previous rooms."""
    name: str = ""
    key: str = ""
    address: str = ""
    identity: Identity | None = None
    joined_seq: Number = 0
    session: Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)] = 1
    last_n: Number = 0
    confirmed: bool = False
    away_seconds: float | None = None
    """For how long the player had no socket; None if they had one."""
    noticed: bool = False
    """Whether the room was told that the player is away."""


class HistoryImage(Part, frozen=True):
    """The messages that a room keeps: (number, body, its only reader or None), one by one up to the
    last one.
    """

    seq: Number = 0
    """The number of the last message."""
    forgotten: Number = 0
    """The highest number that was forgotten."""
    kept: tuple[tuple[Number, bytes, PlayerId | None], ...] = ()


class AlarmImage(Part, frozen=True):
    """An alarm that is due in ``seconds_left``, and then each ``every`` seconds; 0: once."""

    name: str
    seconds_left: float
    every: float = 0.0


class EventImage(Part, frozen=True):
    """An event that the room has not read: its name in ``EVENTS``, and what it bears."""

    what: str
    player: PlayerId = PlayerId("")
    input: bytes = b""
    """Of ``said``: the decoded value, as JSON."""
    alarm: str = ""


EVENTS = frozenset({"joined", "left", "away", "back", "said", "alarm"})


class BanImage(Part, frozen=True):
    """A player who may not join again for ``seconds_left``, which may be infinite."""

    seconds_left: float
    identity: str = ""
    key: str = ""
    """Of a player without an identity."""


class GoneImage(Part, frozen=True):
    """A seat that was taken away: why, and the room's last message that was for its player."""

    seat: SeatImage
    reason: str
    seq: Number
    seconds_left: float


class EndImage(Part, frozen=True):
    """How a room has ended: why, and its result as JSON, which is empty unless it finished."""

    reason: str
    result: bytes = b""


class Image(Part, frozen=True):
    """A room at rest. A node that runs it from this image gives it this ``epoch``."""

    v: int
    room: Annotated[RoomId, msgspec.Meta(min_length=1)]
    kind: KindName
    epoch: Number
    options: bytes
    """JSON: the ``options`` of the join that opened the room."""
    state: bytes
    """The author's state, as msgpack."""
    seats: tuple[SeatImage, ...] = ()
    """In the order of joining."""
    history: HistoryImage = HistoryImage()
    alarms: tuple[AlarmImage, ...] = ()
    events: tuple[EventImage, ...] = ()
    """The events that the room has not read, in order."""
    bans: tuple[BanImage, ...] = ()
    """The oldest first."""
    gone: tuple[GoneImage, ...] = ()
    """The oldest first."""
    age: Number = 0
    """How many rooms its first node had opened before it: older rooms are filled first."""
    open_seconds: float = 0.0
    """How long ago the room was opened."""
    started: bool = False
    locked: bool = False
    moves: Number = 0
    """How often the room was run from its image by another node."""
    over: EndImage | None = None
    """Of a surviving room that has ended, while its players may not know yet."""
    private: bool = False
    """No join by kind finds it."""


def in_parts(image: bytes) -> list[bytes]:
    """An encoded image in parts, at least one, between which the items of others get through."""
    return [image[at : at + PART_BYTES] for at in range(0, max(1, len(image)), PART_BYTES)]


def for_another_node(image: Image, epoch: int) -> Image:
    """The image by which another node runs the room, in that epoch."""
    return msgspec.structs.replace(image, epoch=epoch, moves=image.moves + 1)


encode_image = msgspec.msgpack.Encoder().encode
_image = msgspec.msgpack.Decoder(Image)


def decode_image(data: bytes) -> Image:
    """The image in ``data``; raises :class:`RemoteProtocolError` if it cannot be read."""
    try:
        return _image.decode(data)
    except UNREADABLE as error:
        raise RemoteProtocolError(f"a room's image cannot be read: {error}") from error


def flaw(image: Image) -> str | None:
    """A sentence about what is wrong with the image; None if it could be of any room."""
    return next((found for check in _CHECKS if (found := check(image))), None)


def _version(image: Image) -> str | None:
    if image.v == IMAGE_VERSION:
        return None
    return f"the image has version {image.v}, and this node reads version {IMAGE_VERSION}"


def _players(image: Image) -> str | None:
    seats = [*image.seats, *(gone.seat for gone in image.gone)]
    if (twice := _twice(seat.player for seat in seats)) is not None:
        return f"the player {twice!r} has two seats"
    keys = _twice(seat.key for seat in image.seats if seat.key)
    return None if keys is None else "two seats have the same key"


def _history(image: Image) -> str | None:
    history = image.history
    before = history.seq - len(history.kept)
    if [seq for seq, _, _ in history.kept] != [*range(before + 1, history.seq + 1)]:
        return f"the messages do not count one by one up to {history.seq}"
    if history.forgotten > before:
        return f"the messages up to {history.forgotten} are forgotten, but only {before} can be"
    ahead = [seat.player for seat in image.seats if seat.joined_seq > history.seq]
    return f"the player {ahead[0]!r} has joined after message {history.seq}" if ahead else None


def _times(image: Image) -> str | None:
    times = [image.open_seconds, *(alarm.seconds_left for alarm in image.alarms)]
    times += [seat.away_seconds for seat in image.seats if seat.away_seconds is not None]
    times += [gone.seconds_left for gone in image.gone]
    wrong = [seconds for seconds in times if not 0 <= seconds < inf]
    wrong += [ban.seconds_left for ban in image.bans if not ban.seconds_left >= 0]
    return f"a time is {wrong[0]} s; it is finite, and 0 or more" if wrong else None


def _alarms(image: Image) -> str | None:
    if (twice := _twice(alarm.name for alarm in image.alarms)) is not None:
        return f"there are two alarms {twice!r}"
    for alarm in image.alarms:
        if alarm.every and not (isfinite(alarm.every) and alarm.every >= ALARM_SECONDS_MIN):
            return f"the alarm {alarm.name!r} is repeated every {alarm.every} s"
    return None


def _events(image: Image) -> str | None:
    unknown = [event.what for event in image.events if event.what not in EVENTS]
    return f"an event {unknown[0]!r} waits, which this node does not know" if unknown else None


_CHECKS: tuple[Callable[[Image], str | None], ...] = (
    _version,
    _players,
    _history,
    _times,
    _alarms,
    _events,
)


def _twice(names: Iterable[str]) -> str | None:
    """The first of ``names`` that has come before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
