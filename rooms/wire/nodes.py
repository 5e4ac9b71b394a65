"""Node messages: msgpack maps between nodes; newer fields and items are accepted.

A *request* goes from a caller (an api node, or another game node) to a game node, its *reply* comes
back, and *feed batches* come from the game node. Requests and feed batches carry the items of
:mod:`lastcall.wire.items` and :mod:`lastcall.wire.peer_items`, which can be imported from here too,
as can the messages of :mod:`lastcall.wire.attaching`, and those of
:mod:`lastcall.wire.survival_items`.
The tests keep golden bytes of each released :data:`WIRE` version.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from lastcall.errors import RemoteProtocolError
from lastcall.ids import LinkId
from lastcall.wire import UNREADABLE
from lastcall.wire.attaching import (
    API,
    GAME,
    Attach,
    Challenge,
    Detach,
    Envelope,
    Twice,
    UnknownLink,
    Unsupported,
    Welcome,
)
from lastcall.wire.item import Unknown
from lastcall.wire.item_codec import decode_down, decode_up, size_of
from lastcall.wire.items import (
    CANCELLED,
    DRAINING,
    MOVED,
    NO_SUCH_PLACE,
    TAKEN_OVER,
    WRONG_KEY,
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
    Moved,
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
    Up,
    Wanted,
    Whereabouts,
)
from lastcall.wire.peer_items import (
    Adopt,
    Adopted,
    AdoptionRefused,
    Move,
    PeerDown,
    PeerUp,
    Release,
    Released,
    Withdraw,
    Withdrawn,
)
from lastcall.wire.survival_items import OfRoom, SurvivalItem, Vote

__all__ = [
    "API",
    "CANCELLED",
    "DRAINING",
    "GAME",
    "ITEMS_MAX",
    "MOVED",
    "NO_SUCH_PLACE",
    "PEERS",
    "RANGES_MAX",
    "REQUEST_BYTES_MAX",
    "RESUMES",
    "TAKEN_OVER",
    "WIRE",
    "WRONG_KEY",
    "Absent",
    "Acks",
    "Adopt",
    "Adopted",
    "AdoptionRefused",
    "Answer",
    "Attach",
    "BadInput",
    "Batch",
    "Cancel",
    "Challenge",
    "Confirm",
    "Detach",
    "Down",
    "Ended",
    "FeedBatch",
    "FeedRun",
    "Join",
    "Leave",
    "Message",
    "Move",
    "Moved",
    "NodeState",
    "OfRoom",
    "Out",
    "PeerDown",
    "PeerUp",
    "Player",
    "Refused",
    "Regroup",
    "Release",
    "Released",
    "Renew",
    "Replay",
    "Reply",
    "Request",
    "Resume",
    "Resumed",
    "Say",
    "Seated",
    "SurvivalItem",
    "Twice",
    "Unknown",
    "UnknownLink",
    "Unsupported",
    "Up",
    "Vote",
    "Wanted",
    "Welcome",
    "Whereabouts",
    "Withdraw",
    "Withdrawn",
    "decode_down",
    "decode_feed",
    "decode_reply",
    "decode_request",
    "decode_up",
    "encode",
    "size_of",
]

WIRE = 3
"""Version 2 added resuming, version 3 links between game nodes."""
RESUMES = 2
"""The first version whose game nodes can resume a place."""
PEERS = 3
"""The first version whose game nodes know a link from another game node for what it is."""
ITEMS_MAX = 4_096
"""A request with more items is refused as a whole: a join takes 80 µs, an input 10."""
RANGES_MAX = 64
"""A request that asks for more ranges of missing feed items is refused as a whole."""
REQUEST_BYTES_MAX = 1024 * 1024
"""No request is longer: a batch is at most 256 KiB, or one item. Replies and feeds may be."""

Items = Annotated[list[Up], msgspec.Meta(max_length=ITEMS_MAX)]
RawItems = Annotated[list[msgspec.Raw], msgspec.Meta(max_length=ITEMS_MAX)]
Ranges = Annotated[list[tuple[int, int]], msgspec.Meta(max_length=RANGES_MAX)]


class Batch(Envelope, frozen=True, tag="batch"):
    """The items since the last request; requests go in lockstep, and ``number`` counts from 1.

    ``confirmed``: all feed items up to this number have arrived. ``missing``: ranges of items to
    publish again, both ends included.
    """

    link: LinkId
    number: int
    confirmed: int
    missing: Ranges = msgspec.field(default_factory=list)
    items: Items = msgspec.field(default_factory=list)


class _RawBatch(Envelope, frozen=True, tag="batch"):
    """A :class:`Batch` whose items are not decoded yet: this version cannot read one of them."""

    link: LinkId
    number: int
    confirmed: int
    missing: Ranges = msgspec.field(default_factory=list)
    items: RawItems = msgspec.field(default_factory=list)


class Answer(Envelope, frozen=True, tag="answer"):
    """Batch ``number`` was applied; ``head`` is the number of the feed's newest item.

    ``feed`` is a :class:`FeedRun` that was not published, encoded; empty if there is none.
    """

    link: LinkId
    number: int
    head: int
    state: NodeState
    feed: bytes = b""


Request = Attach | Batch | Detach
Reply = Welcome | Challenge | Answer | UnknownLink | Twice | Unsupported


class FeedRun(msgspec.Struct, frozen=True, gc=False):
    """Feed items ``first``, ``first + 1``, … of one link, encoded, as they are sent."""

    link: LinkId
    first: int
    items: list[msgspec.Raw]


class FeedBatch(msgspec.Struct, frozen=True, gc=False):
    """A feed run as it is received. ``item_bytes`` is not sent: it is an item's mean size."""

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
        raise RemoteProtocolError(f"a node sent a message that cannot be read: {error}") from error


def decode_request(data: bytes) -> Request:
    """Decodes a request; raises :class:`RemoteProtocolError` if it cannot be read.

    An item that this version cannot read is :class:`Unknown`. Without such an item, all are decoded
    at once: 0.11 µs for each instead of 0.21.
    """
    try:
        return _request.decode(data)
    except UNREADABLE:
        raw = _read(_raw_request, data)
    if not isinstance(raw, _RawBatch):
        return raw
    return Batch(raw.link, raw.number, raw.confirmed, raw.missing, decode_up(raw.items))


def decode_reply(data: bytes) -> Reply:
    """Decodes a reply; raises :class:`RemoteProtocolError` if it cannot be read."""
    return _read(_reply, data)


def decode_feed(data: bytes) -> FeedBatch:
    """Decodes a feed batch, its items as :func:`decode_request` does.

    Raises :class:`RemoteProtocolError` if it cannot be read.
    """
    try:
        batch = _feed.decode(data)
        link, first, items = batch.link, batch.first, batch.items
    except UNREADABLE:
        run = _read(_feed_run, data)
        link, first, items = run.link, run.first, decode_down(run.items)
    return FeedBatch(link, first, items, len(data) // max(1, len(items)))
