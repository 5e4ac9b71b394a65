"""The messages between nodes: the items of requests (up) and of the feed (down).

Items are numbered by their position, so an item of an unknown type must still count: it becomes
:class:`Unknown`. Fields may be added with a default; no field is removed or changes its meaning.
"""

from __future__ import annotations

import msgspec

from lastcall.identity import Identity
from lastcall.ids import Incarnation, KindName, NodeName, PlayerId, RoomId
from lastcall.wire.item import Item, Unknown
from lastcall.wire.peer_items import PeerDown, PeerUp
from lastcall.wire.survival_items import SurvivalItem

# api → game


class Request(Item, frozen=True, kw_only=True):
    """The base of joins and resumes: a place with an identity is only for that identity."""

    identity: Identity | None = None
    """The client's, as the api node has it from the handshake; None for an anonymous client.

    A node of version 0.1 ignores it.
    """


class Join(Request, frozen=True, tag="join"):
    """A player asks for a seat; the answer is :class:`Seated` or :class:`Refused` with ``call``."""

    call: int
    kind: KindName = KindName("")
    room: RoomId = RoomId("")
    new: bool = False
    options: bytes = b"{}"
    """The client's ``options``, as JSON."""
    name: str = ""
    key: str = ""
    seated_only: bool = False
    """Only a seat that ``key`` or ``former`` has: without one, the answer is ``no_such_place``."""
    address: str = ""
    """The client's IPv4 address or IPv6 /64 network, by which the game node's limits count."""
    former: tuple[str, ...] = ()
    """The tickets that a regrouped player may still have; see :class:`Regroup`."""
    private: bool = False
    """No join by kind finds the ``new`` room. A node of version 0.1 ignores it."""


class Resume(Request, frozen=True, tag="resume", forbid_unknown_fields=True):
    """A player resumes a place from a new socket; ``seen`` is the last number the player has.

    The answer is :class:`Resumed`, or :class:`Refused` with :data:`NO_SUCH_PLACE`, or with
    ``bad_frame`` for a number that the room has not reached. For the ``former`` ticket of a join it
    is :class:`Seated`, as if the join were repeated.
    """

    call: int
    room: RoomId
    player: PlayerId
    secret: str
    seen: int


class Renew(Resume, frozen=True, tag="resume", forbid_unknown_fields=False):
    """An api node resumes a place of its own on a new link; the client's socket is the same.

    Only the seat's current session may renew, else the answer is :data:`TAKEN_OVER`. The secret and
    the session stay the same, because the answer may be lost with that link too.

    On the wire it is a ``resume`` with a ``session``, from 1 on. The decoders of whole requests
    refuse that field, and so leave it to :func:`decode_up`: all other items are read at full speed.
    """

    session: int = 0


class Cancel(Item, frozen=True, tag="cancel"):
    """The client no longer waits for the answer to ``call``, a join or a resume.

    If the call still waits for another socket to give up the seat, it is :class:`Refused` with
    :data:`CANCELLED`; if it was answered, nothing happens.
    """

    call: int


class Confirm(Item, frozen=True, tag="confirm"):
    """The client has received its ``joined`` or ``resumed``: the previous ticket expires."""

    room: RoomId
    player: PlayerId
    session: int


class Say(Item, frozen=True, tag="say"):
    """Input ``n`` of a player; ``body`` is the JSON of ``d``."""

    room: RoomId
    player: PlayerId
    session: int
    n: int
    body: bytes


class Leave(Item, frozen=True, tag="leave"):
    """The player gives the seat up.

    The seat's ``secret`` lets it pass by any link: after a reset, the next one does not hold the
    seat yet. A node of version 0.1 does not say it, and leaves by the seat's own link only.
    """

    room: RoomId
    player: PlayerId
    session: int
    secret: str = ""


class Absent(Item, frozen=True, tag="absent"):
    """The player's socket is lost; the seat is kept for a while."""

    room: RoomId
    player: PlayerId
    session: int


Up = Join | Resume | Cancel | Confirm | Say | Leave | Absent | Unknown | PeerUp | SurvivalItem


# game → api


class Player(msgspec.Struct, frozen=True, array_like=True):
    """A seat as others see it."""

    id: PlayerId
    name: str


class Message(Item, frozen=True, tag="msg"):
    """A message of the room to all of its players on this link, or to those in ``to``."""

    room: RoomId
    epoch: int
    seq: int
    body: bytes
    to: list[PlayerId] | None = None


class Seated(Item, frozen=True, tag="seated"):
    """The answer to a join: the seat. The room's messages after ``seq`` follow.

    Of a seat that ``key`` had already, the messages since it was taken follow; ``complete`` and
    ``state`` are as in :class:`Resumed`.
    """

    call: int
    room: RoomId
    kind: KindName
    player: PlayerId
    session: int
    epoch: int
    seq: int
    secret: str
    players: list[Player]
    complete: bool = True
    state: bytes = b""
    survives: bool = False
    """Whether the room goes on at another game node if this one is gone."""
    can_move: bool = False
    """Whether this node may give the room to another one."""


class Resumed(Item, frozen=True, tag="resumed"):
    """The answer to a resume: the place. The messages after ``seq`` follow.

    ``n`` is the last input that the room accepted. If not ``complete``, some missed messages are
    forgotten, and ``state`` is the room's picture as JSON, or empty without a ``state_for``.
    """

    call: int
    room: RoomId
    player: PlayerId
    session: int
    epoch: int
    seq: int
    n: int
    secret: str
    complete: bool
    state: bytes = b""
    survives: bool = False
    can_move: bool = False
    """Both as in :class:`Seated`."""


class Replay(Item, frozen=True, tag="replay"):
    """The messages that one player missed (number, body), in order, before newer ones."""

    room: RoomId
    player: PlayerId
    session: int
    messages: list[tuple[int, bytes]]


CANCELLED = "cancelled"
"""A code that no client sees: the answer to a call that the api node cancelled in time."""
DRAINING = "draining"
"""A code that no client sees: the api node asks another game node."""
MOVED = "moved"
"""A code that no client sees: the room is on another game node, which the refusal names."""
NO_SUCH_PLACE = "no_such_place"
"""No such room, player or secret on this node: the api node asks another game node."""
WRONG_KEY = "wrong_key"
"""A code that no client sees: another identity has the seat of the join's key."""
TAKEN_OVER = "taken_over"
"""A newer socket has the place: a code of refused renewals, and a reason of :class:`Out`."""


class Refused(Item, frozen=True, tag="refused"):
    """The answer to a join or resume that gets no seat here.

    ``code`` is one of the clients' error codes, or one of those above. ``ended``: the player had a
    place here, which is over. With :data:`MOVED`, the room is at the game node with incarnation
    ``to``, called ``name``. ``retry``: the node may have the place soon, so it is asked again; with
    :data:`MOVED`, it keeps an image of the room, which is at ``to`` as far as it hears.
    A node of version 0.1 says none of these.
    """

    call: int
    code: str
    message: str
    ended: bool = False
    to: Incarnation = Incarnation(0)
    name: NodeName = NodeName("")
    retry: bool = False


class Acks(Item, frozen=True, tag="acks"):
    """For each (room, player, ``n``): the room has accepted all inputs up to ``n``."""

    acks: list[tuple[RoomId, PlayerId, int]]


class BadInput(Item, frozen=True, tag="bad_input"):
    """Input ``n`` does not fit the kind's ``inputs``; it counts as accepted."""

    room: RoomId
    player: PlayerId
    n: int
    code: str
    message: str


class Wanted(Item, frozen=True, tag="wanted"):
    """The inbox was full at input ``n`` and has space again: send it and all later ones again."""

    room: RoomId
    player: PlayerId
    n: int


class Out(Item, frozen=True, tag="out"):
    """One player's place has ended: the room goes on, or had ended before they resumed.

    With ``session`` 0, it is for every session. ``reason`` is an ``EndReason`` or ``TAKEN_OVER``.
    """

    room: RoomId
    player: PlayerId
    reason: str
    session: int = 0
    result: bytes = b""


class Ended(Item, frozen=True, tag="ended"):
    """The room has ended for all its players; ``result`` is JSON, or empty."""

    room: RoomId
    epoch: int
    reason: str
    result: bytes = b""


class Moved(Item, frozen=True, tag="moved"):
    """The room is at the game node with incarnation ``to``, called ``name``, from now on.

    It has ``epoch`` there. Places in it are renewed there, and unacked inputs sent again.
    """

    room: RoomId
    epoch: int
    to: Incarnation
    name: NodeName


class Whereabouts(msgspec.Struct, frozen=True):
    """The game node that a room has moved to, and the room's epoch there."""

    incarnation: Incarnation
    name: NodeName
    epoch: int


class Regroup(Item, frozen=True, tag="regroup"):
    """The room had not started and is given up: seat ``players`` (id, name, key) elsewhere.

    ``former`` are the tickets that each of them may still have until they know of another place. A
    node of version 0.1 does not say them.
    """

    room: RoomId
    epoch: int
    kind: KindName
    players: list[tuple[PlayerId, str, str]]
    options: bytes = b"{}"
    former: dict[PlayerId, tuple[str, ...]] = msgspec.field(default_factory=dict)


class NodeState(Item, frozen=True, tag="state"):
    """A game node as placement sees it; a higher ``revision`` replaces a lower one.

    For every kind that the node serves, ``seats`` are the free seats in open rooms, and ``sizes``
    the seats of a whole room. ``seconds_left`` is the time to the cut, while the node drains.
    """

    revision: int
    phase: str
    rooms: int
    seats: dict[KindName, int]
    seconds_left: float | None = None
    sizes: dict[KindName, int] = msgspec.field(default_factory=dict)


Down = (
    Message
    | Seated
    | Resumed
    | Replay
    | Refused
    | Acks
    | BadInput
    | Wanted
    | Out
    | Ended
    | Moved
    | Regroup
    | NodeState
    | Unknown
    | PeerDown
    | SurvivalItem
)
