"""Node messages: msgpack maps between api and game nodes, versioned and tolerant.

Three shapes travel. A *request* goes from api to game, its *reply* comes back, and *feed
batches* come from game to api. Requests and feed batches carry the items of
:mod:`lastcall.wire.items`, which are named here too.

The golden bytes of each released :data:`WIRE` version stay in the tests.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from lastcall.errors import RemoteProtocolError
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.wire import UNREADABLE
from lastcall.wire.items import (
    CANCELLED,
    DRAINING,
    NO_SUCH_PLACE,
    TAKEN_OVER,
    Absent,
    Acks,
    BadInput,
    Cancel,
    Confirm,
    Down,
    Ended,
    Join,
    Leave,
    Message,
    NodeState,
    Out,
    Player,
    Refused,
    Regroup,
    Renew,
    Replay,
    Resume,
    Resumed,
    Say,
    Seated,
    Unknown,
    Up,
    Wanted,
    decode_down,
    decode_up,
    size_of,
)

__all__ = [
    "CANCELLED",
    "DRAINING",
    "NO_SUCH_PLACE",
    "RESUMES",
    "TAKEN_OVER",
    "WIRE",
    "Absent",
    "Acks",
    "Answer",
    "Attach",
    "BadInput",
    "Batch",
    "Cancel",
    "Confirm",
    "Detach",
    "Down",
    "Ended",
    "FeedBatch",
    "FeedRun",
    "Join",
    "Leave",
    "Message",
    "NodeState",
    "Out",
    "Player",
    "Refused",
    "Regroup",
    "Renew",
    "Replay",
    "Reply",
    "Request",
    "Resume",
    "Resumed",
    "Say",
    "Seated",
    "Twice",
    "Unknown",
    "UnknownLink",
    "Unsupported",
    "Up",
    "Wanted",
    "Welcome",
    "decode_down",
    "decode_feed",
    "decode_reply",
    "decode_request",
    "decode_up",
    "encode",
    "size_of",
]

WIRE = 2
"""Version 2 added what resuming needs: a node of version 1 knows of no place to resume."""
RESUMES = 2
"""The first version whose game nodes can resume a place."""


class Envelope(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """The shape of requests and replies."""


class Attach(Envelope, frozen=True, tag="attach"):
    """Asks for a new link. ``attempt`` rises, so that a delayed one cannot displace a later one.

    ``replaces`` is the link that the same address was asked for before, or 0. A node that has
    another live link of this api node answers :class:`Twice`: it is known by two addresses.
    """

    wire: int
    link: LinkId
    attempt: int
    api: NodeName
    incarnation: Incarnation
    feed: str
    """The URL of the api node's subscriber, as the game node can dial it."""
    version: str = ""
    replaces: LinkId = LinkId(0)


class Batch(Envelope, frozen=True, tag="batch"):
    """Everything that has gathered since the last request; in lockstep, ``number`` counts from 1.

    ``confirmed``: the feed has arrived up to that item. ``missing``: ranges, both ends included,
    to be published again.
    """

    link: LinkId
    number: int
    confirmed: int
    missing: list[tuple[int, int]] = []
    items: list[Up] = []


class _RawBatch(Envelope, frozen=True, tag="batch"):
    """A :class:`Batch` with items that this version cannot read."""

    link: LinkId
    number: int
    confirmed: int
    missing: list[tuple[int, int]] = []
    items: list[msgspec.Raw] = []


class Detach(Envelope, frozen=True, tag="detach"):
    """The api node is going: its players on this link are away, its feed may be freed."""

    link: LinkId


class Welcome(Envelope, frozen=True, tag="welcome"):
    """The link stands. ``born`` is the node's start in seconds since 1970."""

    wire: int
    link: LinkId
    name: NodeName
    incarnation: Incarnation
    version: str
    born: float
    state: NodeState


class Answer(Envelope, frozen=True, tag="answer"):
    """Batch ``number`` is applied; ``head`` is the number of the feed's newest item."""

    link: LinkId
    number: int
    head: int
    state: NodeState


class UnknownLink(Envelope, frozen=True, tag="unknown_link"):
    """No such link here, and nothing was applied: attach anew."""

    incarnation: Incarnation


class Twice(Envelope, frozen=True, tag="twice"):
    """You are attached to this node already, by another address; nothing was changed."""

    incarnation: Incarnation


class Unsupported(Envelope, frozen=True, tag="unsupported"):
    """A request of a type that this node does not know, or one that could not be read."""

    message: str = ""


Request = Attach | Batch | Detach
Reply = Welcome | Answer | UnknownLink | Twice | Unsupported


class FeedRun(msgspec.Struct, frozen=True, gc=False):
    """Feed items ``first``, ``first + 1``, … of one link, as they are sent: encoded before."""

    link: LinkId
    first: int
    items: list[msgspec.Raw]


class FeedBatch(msgspec.Struct, frozen=True, gc=False):
    """The same as it is received. ``item_bytes`` is no part of it: about what an item took."""

    link: LinkId
    first: int
    items: list[Down]
    item_bytes: int = 0


encode = msgspec.msgpack.Encoder().encode
_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_RawRequest = Attach | _RawBatch | Detach
_raw_request: msgspec.msgpack.Decoder[_RawRequest] = msgspec.msgpack.Decoder(_RawRequest)
_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_feed = msgspec.msgpack.Decoder(FeedBatch)
_feed_run = msgspec.msgpack.Decoder(FeedRun)

T = TypeVar("T")


def _read(decoder: msgspec.msgpack.Decoder[T], data: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise RemoteProtocolError(f"a node sent what cannot be read: {error}") from error


def decode_request(data: bytes) -> Request:
    """A request; raises :class:`RemoteProtocolError` for one that cannot be read.

    An item that this version cannot read is :class:`Unknown`; all are read at once as long as
    there is none: 0.11 µs for each instead of 0.21.
    """
    try:
        return _request.decode(data)
    except UNREADABLE:
        raw = _read(_raw_request, data)
    if not isinstance(raw, _RawBatch):
        return raw
    return Batch(raw.link, raw.number, raw.confirmed, raw.missing, decode_up(raw.items))


def decode_reply(data: bytes) -> Reply:
    """A reply; raises :class:`RemoteProtocolError` for one that cannot be read."""
    return _read(_reply, data)


def decode_feed(data: bytes) -> FeedBatch:
    """A feed batch; raises :class:`RemoteProtocolError` for one that cannot be read.

    Of its items goes what :func:`decode_request` says.
    """
    try:
        batch = _feed.decode(data)
        link, first, items = batch.link, batch.first, batch.items
    except UNREADABLE:
        run = _read(_feed_run, data)
        link, first, items = run.link, run.first, decode_down(run.items)
    return FeedBatch(link, first, items, len(data) // max(1, len(items)))
