"""Client frames: JSON objects in WebSocket text frames; ``t`` is the type (``lastcall.v1``).

Decoding accepts unknown keys, and is strict otherwise: :func:`decode` returns a value or raises
:class:`lastcall.errors.BadFrame` with the error code for the client. ``d`` stays the bytes that the
client or the room wrote: the api node never decodes it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Annotated, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from lastcall.errors import BadFrame
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import UNREADABLE

SUBPROTOCOL = "lastcall.v1"

ShortText = Annotated[str, Meta(max_length=128)]
Name = Annotated[str, Meta(max_length=64)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
NO_OPTIONS = msgspec.Raw(b"{}")


class Frame(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """The base of all frames."""


class Join(Frame, frozen=True, tag="join"):
    """Asks for a seat: in a room of ``kind``, or in the one with the id ``room``."""

    kind: Annotated[KindName, Meta(max_length=128)] = KindName("")
    room: Annotated[RoomId, Meta(max_length=256)] = RoomId("")
    new: bool = False
    options: msgspec.Raw = NO_OPTIONS
    name: Name = ""
    key: ShortText = ""
    private: bool = False
    """No join by kind finds the new room."""

    def __post_init__(self) -> None:
        if bytes(self.options)[:1] != b"{":
            raise ValueError("options is an object")
        if self.private:
            msgspec.structs.force_setattr(self, "new", True)


class Say(Frame, frozen=True, tag="say"):
    """An input; ``n`` counts from 1 in each place."""

    n: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    d: msgspec.Raw


class Got(Frame, frozen=True, tag="got"):
    """The client has received all messages up to ``seq``, of ``room`` if it is given."""

    seq: Count
    room: Annotated[RoomId, Meta(max_length=256)] = RoomId("")


class Leave(Frame, frozen=True, tag="leave"):
    """Gives the seat up."""


class Resume(Frame, frozen=True, tag="resume"):
    """Asks for a place again; ``seen`` is the last ``seq`` that the client received."""

    ticket: Annotated[str, Meta(max_length=512)]
    seen: Count = 0


class Player(msgspec.Struct, frozen=True):
    """A player, as the others see them."""

    id: PlayerId
    name: str


class Hello(Frame, frozen=True, tag="hello"):
    """The first frame from a server."""

    v: int
    node: str
    version: str


class Joined(Frame, frozen=True, tag="joined"):
    """A seat is taken; messages follow from ``seq``. ``you`` is the player's id.

    ``complete`` is only sent as false, for a seat that the join's key had already: some of its
    messages are forgotten, and ``state`` is the room's picture in place of them.
    """

    room: RoomId
    kind: KindName
    you: PlayerId
    seq: int
    ticket: str
    players: list[Player]
    complete: bool | UnsetType = UNSET
    state: msgspec.Raw | UnsetType = UNSET


class Message(Frame, frozen=True, tag="msg"):
    """A message from the room; :func:`message` builds its bytes."""

    seq: int
    d: msgspec.Raw


class Ack(Frame, frozen=True, tag="ack"):
    """The room has accepted all inputs up to ``n``."""

    n: int


class Resumed(Frame, frozen=True, tag="resumed"):
    """The client has its place again; the missed messages follow.

    If not ``complete``, some are forgotten, and ``state`` is the room's picture in place of them.
    """

    room: RoomId
    seq: int
    n: int
    ticket: str
    complete: bool
    state: msgspec.Raw | UnsetType = UNSET


class Draining(Frame, frozen=True, tag="draining"):
    """A node of ``tier`` drains: work that is left after ``seconds`` is cut."""

    tier: str
    seconds: float


class Move(Frame, frozen=True, tag="move"):
    """The socket will close with 1012 in ``after`` seconds; the client reconnects then."""

    after: float


class Ended(Frame, frozen=True, tag="ended"):
    """The place is over; the socket stays open for another join."""

    room: RoomId
    reason: EndReason
    result: msgspec.Raw | UnsetType = UNSET


class Beat(Frame, frozen=True, tag="beat"):
    """The server is alive, and has had nothing else to send."""


class Error(Frame, frozen=True, tag="error"):
    """A request was refused; ``retry``: it may succeed later; ``n``: the input it is about."""

    code: ErrorCode
    message: str
    retry: bool
    n: int | UnsetType = UNSET


FromClient = Join | Say | Got | Leave | Resume
FromServer = Hello | Joined | Message | Ack | Resumed | Draining | Move | Ended | Beat | Error

_from_client: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_from_server: msgspec.json.Decoder[FromServer] = msgspec.json.Decoder(FromServer)
_KNOWN = frozenset({"join", "say", "got", "leave", "resume"})
_KNOWN_SERVER = frozenset(str(frame.__struct_config__.tag) for frame in get_args(FromServer))


class _Peek(msgspec.Struct):
    t: str


_peek = msgspec.json.Decoder(_Peek)
_DEEP_SAY = re.compile(r'\s*{\s*"t"\s*:\s*"say"\s*,\s*"n"\s*:\s*([1-9][0-9]{0,14})\s*,')
"""The beginning of an input that is nested too deeply for any reader."""

encode = msgspec.json.Encoder().encode
"""Returns a frame's JSON bytes."""


def message(seq: int, body: bytes) -> bytes:
    """The JSON bytes of a ``msg`` frame around ``body``, which is JSON already."""
    return b'{"t":"msg","seq":%d,"d":%b}' % (seq, body)


def ack(n: int) -> bytes:
    """The JSON bytes of an ``ack`` frame."""
    return b'{"t":"ack","n":%d}' % n


def decode(text: str | bytes) -> FromClient:
    """Decodes a client's frame; raises :class:`BadFrame`.

    A ``say`` whose number can be read, but not its value, is one with an empty ``d``: the room
    refuses it, and its number counts, or the client would have a gap that it cannot close.
    """
    try:
        return _from_client.decode(text)
    except UNREADABLE as error:
        frame = _second_reading(text)
        if frame is None:
            raise _bad_frame(text, error, _KNOWN) from error
        return frame


def _second_reading(text: str | bytes) -> FromClient | None:
    """The frame, by a reader that takes more than JSON: what other languages write as JSON (halves
    of surrogate pairs, NaN, control characters), and null for a field of a join that is left out.
    """
    try:
        fields = json.loads(text, strict=False)
    except RecursionError:
        numbered = _DEEP_SAY.match(text if isinstance(text, str) else text.decode())
        return Say(int(numbered[1]), msgspec.Raw(b"")) if numbered else None
    except ValueError:
        return None
    with suppress(*UNREADABLE, ValueError, TypeError):
        match fields:
            case {"t": "say", "d": _}:
                return msgspec.convert(fields | {"d": msgspec.Raw(b"")}, Say)
            case {"t": "join"} if None in fields.values():
                given = {name: value for name, value in fields.items() if value is not None}
                return _from_client.decode(encode(given))
    return None


def decode_server(text: str | bytes) -> FromServer | None:
    """A server's frame, or None for a type that this version does not know."""
    try:
        return _from_server.decode(text)
    except UNREADABLE as error:
        bad = _bad_frame(text, error, _KNOWN_SERVER)
        if bad.code == ErrorCode.UNKNOWN_TYPE:
            return None
        raise bad from error


def _bad_frame(text: str | bytes, error: Exception, known: frozenset[str]) -> BadFrame:
    if isinstance(error, msgspec.ValidationError):
        return _invalid_frame(text, error, known)
    if isinstance(error, RecursionError):
        return BadFrame(ErrorCode.BAD_JSON, "nested too deeply")
    return BadFrame(ErrorCode.BAD_JSON, f"not JSON: {error}")


def _invalid_frame(
    text: str | bytes, error: msgspec.ValidationError, known: frozenset[str]
) -> BadFrame:
    """The error for JSON that is not a frame: of an unknown type, or with an invalid field."""
    try:
        kind = _peek.decode(text).t
    except RecursionError:  # msgspec refused the tag before it met the nesting
        return BadFrame(ErrorCode.BAD_JSON, "nested too deeply")
    except msgspec.DecodeError:
        return BadFrame(ErrorCode.BAD_FRAME, 'a frame is a JSON object with a text "t"')
    if kind not in known:
        listed = " ".join(sorted(known))
        return BadFrame(ErrorCode.UNKNOWN_TYPE, f'"t" is {kind[:40]!r}; known are: {listed}')
    return BadFrame(ErrorCode.BAD_FRAME, f"{kind}: {error}")
