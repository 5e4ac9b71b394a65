"""What an author of rooms touches: the decorator, the room, and its events.

::

    @room("tictactoe", seats=2, starts=2, inputs=Place)
    async def tictactoe(table: Room) -> dict:
        async for event in table:
            match event:
                case Said(player, Place(cell)): table.broadcast(...)
                case Left(player): return {"winner": ...}

A room is an async function. It ends when the function returns, and what it returns is the result
that its clients see. It runs in one task, with one nursery of its own, and needs no locks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from math import inf
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec
import trio

from lastcall.errors import BadRooms
from lastcall.ids import KindName, PlayerId, RoomId

__all__ = [
    "Away",
    "Back",
    "Draining",
    "Event",
    "Joined",
    "Kind",
    "Left",
    "Room",
    "RoomBackend",
    "Said",
]
__all__ += ["room"]

SEATS_MAX = 10_000

P = ParamSpec("P")
R = TypeVar("R")

_json = msgspec.json.Encoder().encode


class Joined(msgspec.Struct, frozen=True):
    """A player has taken a seat."""

    player: PlayerId


class Left(msgspec.Struct, frozen=True):
    """A player has given the seat up, or lost it; the seat is free again."""

    player: PlayerId


class Away(msgspec.Struct, frozen=True):
    """A player's socket is lost; the seat is kept for a while."""

    player: PlayerId


class Back(msgspec.Struct, frozen=True):
    """A player who was away is here again."""

    player: PlayerId


class Said(msgspec.Struct, frozen=True):
    """A player's input, decoded and validated as the kind's ``inputs``."""

    player: PlayerId
    input: Any


class Draining(msgspec.Struct, frozen=True):
    """The house is closing: in ``seconds`` the room will be cut."""

    seconds: float


Event: TypeAlias = Joined | Left | Away | Back | Said | Draining


class RoomBackend(Protocol):
    """What carries a room: the host in a node, the harness in a test."""

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """Who has a seat, in the order of joining."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""

    async def next_event(self) -> Event:
        """The next event; waits for one. Checkpoints only when it waits, or every 64 events."""

    def name_of(self, player: PlayerId) -> str:
        """The name the player gave, or an empty text."""

    def say(self, body: bytes, to: PlayerId | None) -> None:
        """Numbers a message and sends it to all, or to one."""

    def lock(self, *, locked: bool) -> None:
        """Closes the room to new players, or opens it again."""

    def kick(self, player: PlayerId) -> None:
        """Ends one player's place."""


class Room:
    """One room, in the hands of its author."""

    __slots__ = ("_desk", "id", "kind", "nursery", "options", "state_for")

    def __init__(
        self, desk: RoomBackend, *, room_id: RoomId, kind: Kind, options: Any, nursery: trio.Nursery
    ) -> None:
        self._desk = desk
        self.id = room_id
        self.kind = kind
        self.options = options
        """What the first player's ``join`` asked for, decoded as the kind's ``options``."""
        self.nursery = nursery
        """For the room's timers and bots; they end with the room.

        Cancelling its ``cancel_scope`` ends the room as finished, as a return would: the result
        is what the author's function still returns while it is being cancelled, or None.
        """
        self.state_for: Callable[[PlayerId], Any] | None = None
        """The room's picture for one player, if the author gives a function that draws it.

        It is asked when a player comes back who has missed more than the room remembers: he then
        gets what it returns (anything that JSON can hold) in place of the messages before. Without
        one he gets those messages that are left. It must not wait; what it raises is logged, and
        the player is served as if there were none.
        """

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """Who has a seat, in the order of joining."""
        return self._desk.players

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""
        return self._desk.seconds_left

    def name_of(self, player: PlayerId) -> str:
        """The name the player gave at the join, or an empty text."""
        return self._desk.name_of(player)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    def __anext__(self) -> Awaitable[Event]:
        return self._desk.next_event()

    def broadcast(self, message: Any) -> None:
        """Sends ``message`` to every player; never blocks.

        It is encoded as JSON at once, so it may be changed afterwards. Raises
        :class:`lastcall.errors.MessageTooBig` over the policy's ``message_bytes``, and
        ``TypeError`` for what JSON cannot hold.
        """
        self._desk.say(_json(message), None)

    def send(self, player: PlayerId, message: Any) -> None:
        """Sends ``message`` to one player; never blocks; nothing if he has no seat here.

        Others see a hole in ``seq``. Raises as :meth:`broadcast` does.
        """
        self._desk.say(_json(message), player)

    def lock(self) -> None:
        """Closes the door: nobody joins until :meth:`unlock`."""
        self._desk.lock(locked=True)

    def unlock(self) -> None:
        """Opens the door again."""
        self._desk.lock(locked=False)

    def kick(self, player: PlayerId) -> None:
        """Shows a player the door: he gets ``ended`` with ``kicked``, the room gets ``Left``."""
        self._desk.kick(player)


HISTORY_MESSAGES_MAX = 8_192
HISTORY_BYTES_MAX = 512 * 1024
"""Half of what may wait for a client (1 MiB), since a resume brings a history at once; and 32 of
them, which a link may bring at once, are half of its ring."""

RoomFunction: TypeAlias = Callable[[Room], Awaitable[Any]]


class Kind(msgspec.Struct, frozen=True):
    """A named room type: an author's function and what it asks for; see :func:`room`."""

    name: KindName
    function: RoomFunction
    seats: int
    starts: int
    inputs: Any
    options: Any
    history_messages: int | None = None
    history_bytes: int | None = None
    resume_seconds: float | None = None


def _in_our_words(room: Callable[P, R]) -> Callable[P, R]:
    """Says what is wrong with a call's arguments as an author would."""
    known = list(inspect.signature(room).parameters)

    @functools.wraps(room)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        name = args[0] if args else kwargs.get("name")
        if not isinstance(name, str):
            raise BadRooms('a kind has a name first, such as @room("dice", seats=4)')
        for argument in kwargs:
            if argument not in known:
                takes = ", ".join(known[1:])
                raise BadRooms(f"kind {name!r}: @room takes no {argument!r}; it takes {takes}")
        if "seats" not in kwargs:
            raise BadRooms(
                f"kind {name!r}: it does not say for how many players it is, "
                f'such as @room("{name}", seats=4)'
            )
        return room(*args, **kwargs)

    return checked


@_in_our_words
def room(
    name: str,
    *,
    seats: int,
    starts: int = 1,
    inputs: Any = Any,
    options: Any = dict[str, Any],
    history_messages: int | None = None,
    history_bytes: int | None = None,
    resume_seconds: float | None = None,
) -> Callable[[RoomFunction], Kind]:
    """Makes an async function a kind of room.

    ``seats`` bounds its players, ``starts`` is how many make it a started match, ``inputs`` and
    ``options`` are types that msgspec can decode: what does not fit is refused before the room
    sees it. With ``inputs=None`` the players have nothing to say, and every input is refused: a
    room that reads no events must ask for that. The room remembers its last ``history_messages``
    (at most ``history_bytes`` of them; 8 192 and 512 KiB are the most), and keeps the seat of a
    player whose socket is lost for ``resume_seconds``; None means the node's policy (1 024,
    256 KiB, 30 s). Raises :class:`lastcall.errors.BadRooms` for numbers that make no sense, and for
    arguments that are missing or unknown.
    """
    if not name or len(name) > 128:
        raise BadRooms(f"a kind's name has 1 to 128 characters; {name[:140]!r} has {len(name)}")
    if not 1 <= seats <= SEATS_MAX:
        raise BadRooms(f"kind {name!r}: a room has 1 to {SEATS_MAX} seats; got {seats}")
    if not 1 <= starts <= seats:
        raise BadRooms(f"kind {name!r}: 1 <= starts <= seats must hold; got {starts} and {seats}")
    for what in (history_messages, history_bytes, resume_seconds):
        if what is not None and not 0 <= what < inf:
            raise BadRooms(f"kind {name!r}: history and resume_seconds are 0 or more; got {what}")
    if (history_messages or 0) > HISTORY_MESSAGES_MAX or (history_bytes or 0) > HISTORY_BYTES_MAX:
        raise BadRooms(
            f"kind {name!r}: a history holds {HISTORY_MESSAGES_MAX} messages and "
            f"{HISTORY_BYTES_MAX // 1024} KiB at the most: it must fit through a client's socket"
        )

    def kind(function: RoomFunction) -> Kind:
        if inspect.isfunction(function) and not inspect.iscoroutinefunction(function):
            raise BadRooms(
                f"kind {name!r}: {function.__name__} is no async function; "
                f"it begins with: async def {function.__name__}(table: Room)"
            )
        return Kind(
            KindName(name),
            function,
            seats,
            starts,
            inputs,
            options,
            history_messages,
            history_bytes,
            resume_seconds,
        )

    return kind
