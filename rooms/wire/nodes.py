"""Node messages: msgpack maps between api and game nodes, versioned and tolerant.

Three shapes travel. A *request* goes from api to game, its *reply* comes back, and *feed
batches* come from game to api. Requests and feed batches carry *items*, numbered by position, so
an item of a type that this version does not know must still count: it becomes :class:`Unknown`.

Fields may be added with a default; none is removed or changes its meaning. The golden bytes of
each released :data:`WIRE` version stay in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from rooms.errors import RemoteProtocolError
from rooms.ids import Incarnation, KindName, LinkId, NodeName, PlayerId, RoomId

__all__ = [
    "DRAINING",
    "WIRE",
    "Absent",
    "Acks",
    "Answer",
    "Attach",
    "BadInput",
    "Batch",
    "Detach",
    "Down",
    "Ended",
    "FeedBatch",
    "Join",
    "Leave",
    "Message",
    "NodeState",
    "Out",
    "Player",
    "Refused",
    "Regroup",
    "Reply",
    "Request",
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
]

WIRE = 1


class Item(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True):
    """The shape of all node messages."""


class Unknown(Item, frozen=True, tag="?"):
    """An item of a later version: it takes its number and nothing else."""


# api → game


class Join(Item, frozen=True, tag="join"):
    """A player asks for a seat; the answer is :class:`Seated` or :class:`Refused` with ``call``."""

    call: int
    kind: KindName = KindName("")
    room: RoomId = RoomId("")
    new: bool = False
    options: bytes = b"{}"
    """JSON of the client's ``options``."""
    name: str = ""
    key: str = ""


class Say(Item, frozen=True, tag="say"):
    """A player's input number ``n``; ``body`` is the JSON of ``d``."""

    room: RoomId
    player: PlayerId
    session: int
    n: int
    body: bytes


class Leave(Item, frozen=True, tag="leave"):
    """The player gives the seat up."""

    room: RoomId
    player: PlayerId
    session: int


class Absent(Item, frozen=True, tag="absent"):
    """The player's socket is gone."""

    room: RoomId
    player: PlayerId
    session: int


Up = Join | Say | Leave | Absent | Unknown


# game → api


class Player(msgspec.Struct, frozen=True, array_like=True):
    """A seat as others see it."""

    id: PlayerId
    name: str


class Message(Item, frozen=True, tag="msg"):
    """What the room said; to all of its players on this link, or to those in ``to``."""

    room: RoomId
    epoch: int
    seq: int
    body: bytes
    to: list[PlayerId] | None = None


class Seated(Item, frozen=True, tag="seated"):
    """The join numbered ``call`` has a seat; the room's messages follow from ``seq``."""

    call: int
    room: RoomId
    kind: KindName
    player: PlayerId
    session: int
    epoch: int
    seq: int
    secret: str
    players: list[Player]


DRAINING = "draining"
"""A code that no client sees: another node is asked."""


class Refused(Item, frozen=True, tag="refused"):
    """The join numbered ``call`` has no seat here.

    ``code`` is an error code of the client's list, or :data:`DRAINING`.
    """

    call: int
    code: str
    message: str


class Acks(Item, frozen=True, tag="acks"):
    """For each room and player: every input up to ``n`` is in the room's inbox."""

    acks: list[tuple[RoomId, PlayerId, int]]


class BadInput(Item, frozen=True, tag="bad_input"):
    """Input ``n`` was not what the kind takes; it counts as had."""

    room: RoomId
    player: PlayerId
    n: int
    code: str
    message: str


class Wanted(Item, frozen=True, tag="wanted"):
    """The inbox was full at input ``n`` and has room again: say it and all after it once more."""

    room: RoomId
    player: PlayerId
    n: int


class Out(Item, frozen=True, tag="out"):
    """One player's place is over, and the room goes on."""

    room: RoomId
    player: PlayerId
    reason: str


class Ended(Item, frozen=True, tag="ended"):
    """The room is over for all; ``result`` is JSON, or empty."""

    room: RoomId
    epoch: int
    reason: str
    result: bytes = b""


class Regroup(Item, frozen=True, tag="regroup"):
    """The room never started and is given up: seat ``players`` (id, name, key) elsewhere."""

    room: RoomId
    epoch: int
    kind: KindName
    players: list[tuple[PlayerId, str, str]]
    options: bytes = b"{}"


class NodeState(Item, frozen=True, tag="state"):
    """A game node as placement sees it; of two, the one with the higher ``revision`` holds.

    ``seats`` are the free seats in open rooms, by kind, for every kind that the node serves;
    ``sizes`` are the seats of a whole room. ``seconds_left`` counts to the cut, while draining.
    """

    revision: int
    phase: str
    rooms: int
    seats: dict[KindName, int]
    seconds_left: float | None = None
    sizes: dict[KindName, int] = {}


Down = (
    Message
    | Seated
    | Refused
    | Acks
    | BadInput
    | Wanted
    | Out
    | Ended
    | Regroup
    | NodeState
    | Unknown
)


# requests, replies, feed batches


class Attach(Item, frozen=True, tag="attach"):
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


class Batch(Item, frozen=True, tag="batch"):
    """Everything that has gathered since the last request; in lockstep, ``number`` counts from 1.

    ``confirmed``: the feed has arrived up to that item. ``missing``: ranges, both ends included,
    to be published again. ``items`` are encoded :data:`Up` values.
    """

    link: LinkId
    number: int
    confirmed: int
    missing: list[tuple[int, int]] = []
    items: list[msgspec.Raw] = []


class Detach(Item, frozen=True, tag="detach"):
    """The api node is going: its players on this link are away, its feed may be freed."""

    link: LinkId


class Welcome(Item, frozen=True, tag="welcome"):
    """The link stands. ``born`` is the node's start in seconds since 1970."""

    wire: int
    link: LinkId
    name: NodeName
    incarnation: Incarnation
    version: str
    born: float
    state: NodeState


class Answer(Item, frozen=True, tag="answer"):
    """Batch ``number`` is applied; ``head`` is the number of the feed's newest item."""

    link: LinkId
    number: int
    head: int
    state: NodeState


class UnknownLink(Item, frozen=True, tag="unknown_link"):
    """No such link here, and nothing was applied: attach anew."""

    incarnation: Incarnation


class Twice(Item, frozen=True, tag="twice"):
    """You are attached to this node already, by another address; nothing was changed."""

    incarnation: Incarnation


class Unsupported(Item, frozen=True, tag="unsupported"):
    """A request of a type that this node does not know, or one that could not be read."""

    message: str = ""


Request = Attach | Batch | Detach
Reply = Welcome | Answer | UnknownLink | Twice | Unsupported


class FeedBatch(msgspec.Struct, frozen=True):
    """Feed items ``first``, ``first + 1``, … of one link; each an encoded :data:`Down` value."""

    link: LinkId
    first: int
    items: list[msgspec.Raw]


encode = msgspec.msgpack.Encoder().encode
_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_feed = msgspec.msgpack.Decoder(FeedBatch)
_up: msgspec.msgpack.Decoder[Up] = msgspec.msgpack.Decoder(Up)
_down: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)

T = TypeVar("T")


def _read(decoder: msgspec.msgpack.Decoder[T], data: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"a node sent what cannot be read: {error}") from error


def decode_request(data: bytes) -> Request:
    """A request; raises :class:`RemoteProtocolError` for one that cannot be read."""
    return _read(_request, data)


def decode_reply(data: bytes) -> Reply:
    """A reply; raises :class:`RemoteProtocolError` for one that cannot be read."""
    return _read(_reply, data)


def decode_feed(data: bytes) -> FeedBatch:
    """A feed batch; raises :class:`RemoteProtocolError` for one that cannot be read."""
    return _read(_feed, data)


def decode_up(items: Sequence[msgspec.Raw]) -> list[Up]:
    """The items of a request, in order; one that this version cannot read is ``Unknown``."""
    return [_item(_up, item) for item in items]


def decode_down(items: Sequence[msgspec.Raw]) -> list[Down]:
    """The items of a feed batch, in order; one that this version cannot read is ``Unknown``."""
    return [_item(_down, item) for item in items]


_UNKNOWN = Unknown()


def _item(decoder: msgspec.msgpack.Decoder[T], item: msgspec.Raw) -> T | Unknown:
    try:
        return decoder.decode(item)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _UNKNOWN
