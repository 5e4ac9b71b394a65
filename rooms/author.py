"""The author's API: the decorator :func:`room`, the :class:`Room`, and its events.

::

    @room("tictactoe", seats=2, starts=2, inputs=Place)
    async def tictactoe(table: Room) -> dict:
        async for event in table:
            match event:
                case Said(player, Place(cell)): table.broadcast(...)
                case Left(player): return {"winner": ...}

A room is an async function. The room ends when the function returns, and its clients see what it
returned as the result. It runs in one task, with a nursery of its own, and needs no locks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec
import trio

from lastcall.errors import BadRooms
from lastcall.events import Away, Back, Draining, Event, Joined, Left, Said
from lastcall.identity import Identity
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.wire.values import encode_value

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
    "room",
]

SEATS_MAX = 10_000

P = ParamSpec("P")
R = TypeVar("R")


class RoomBackend(Protocol):
    """The host as a :class:`Room` needs it."""

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """The players who have a seat, in the order of joining."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the room is cut, or None while the node does not drain."""

    async def next_event(self) -> Event:
        """Waits for the next event. Checkpoints only when it waits, and at each 64th event."""

    def name_of(self, player: PlayerId) -> str:
        """The player's name, or an empty text."""

    def identity_of(self, player: PlayerId) -> Identity | None:
        """The player's identity; None if it is not known."""

    def broadcast(self, body: bytes) -> None:
        """Numbers a message and sends it to all players."""

    def send(self, player: PlayerId, body: bytes) -> None:
        """Numbers a message and sends it to one player."""

    def lock(self, *, locked: bool) -> None:
        """Closes the room to new players, or opens it again."""

    def kick(self, player: PlayerId, ban_seconds: float = 0) -> None:
        """Ends one player's place; they cannot join this room again for ``ban_seconds``."""


class Room:
    """One room, as its author's function receives it: iterate it for the room's events."""

    __slots__ = ("_backend", "id", "kind", "nursery", "options", "state_for")

    def __init__(
        self,
        backend: RoomBackend,
        *,
        room_id: RoomId,
        kind: Kind,
        options: Any,
        nursery: trio.Nursery,
    ) -> None:
        self._backend = backend
        self.id = room_id
        self.kind = kind
        self.options = options
        """The options of the ``join`` that opened the room, decoded as the kind's ``options``."""
        self.nursery = nursery
        """For the room's timers and bots: its tasks end with the room.

        Cancelling its ``cancel_scope`` ends the room as finished, as a return does. The result is
        what the author's function returns while it is being cancelled, or None.
        """
        self.state_for: Callable[[PlayerId], Any] | None = None
        """Set this to a function that returns the room's current state for one player.

        It is called when a player comes back who has missed more messages than the room's history
        holds. They then receive what it returns (anything that JSON can hold) in place of those
        messages. Without it they receive the messages that are left. It must not wait. If it
        raises, the error is logged, and the player is served as if there were no function.
        """

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """The players who have a seat, in the order of joining; those who are away too."""
        return self._backend.players

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the room is cut, or None while the node does not drain."""
        return self._backend.seconds_left

    def name_of(self, player: PlayerId) -> str:
        """The name of the player's identity, or else the one that they gave when they joined; or
        an empty text.
        """
        return self._backend.name_of(_player(player))

    def identity(self, player: PlayerId) -> Identity | None:
        """The player's identity, as the api nodes' ``--auth`` found it last.

        None for an anonymous player (the nodes have no ``--auth``), and for one without a seat.
        """
        return self._backend.identity_of(_player(player))

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    def __anext__(self) -> Awaitable[Event]:
        return self._backend.next_event()

    def broadcast(self, message: Any) -> None:
        """Sends ``message`` to every player; does not wait.

        The message is encoded as JSON at once, so it may be changed afterwards. Raises
        :class:`lastcall.errors.MessageTooBig` over the policy's ``message_bytes``, ``TypeError``
        for what JSON cannot hold (NaN and half an emoji, too), and
        :class:`lastcall.errors.TooMuchAtOnce` after 16 MiB, or 16 000 messages, without an
        ``await`` that lets others run.

        Up to 1 MiB, with 35 bytes more for each message, always reaches a player whose client reads
        anything at all, however slowly; up to 32 MiB does while the api node has memory for it
        (256 MiB for all its clients together). A player who falls further behind, or whose client
        reads nothing for 10 s, resumes on a new socket with what the room's history has. All rooms
        of a node share 32 MiB on the way to each api node.
        """
        self._backend.broadcast(encode_value(message))

    def send(self, player: PlayerId, message: Any) -> None:
        """Sends ``message`` to one player; does not wait. Does nothing if they have no seat here.

        The others see a hole in ``seq``. Raises the errors of :meth:`broadcast`, and ``TypeError``
        if ``player`` is not a player's id: None, for instance, is not everybody.
        """
        self._backend.send(_player(player), encode_value(message))

    def lock(self) -> None:
        """Closes the room to new players until :meth:`unlock`."""
        self._backend.lock(locked=True)

    def unlock(self) -> None:
        """Opens the room to new players again."""
        self._backend.lock(locked=False)

    def kick(self, player: PlayerId, *, ban: float = 0) -> None:
        """Removes a player: they receive ``ended`` with ``kicked``, and the room gets ``Left``.

        With ``ban``, they cannot join this room again for that many seconds (``inf``: as long as
        it runs): a ``join`` by its id is ``locked``, and one by its kind finds another room. A ban
        holds the player's identity. An anonymous player is known by the ``key`` of their join
        alone, so one whose client takes a new key gets in. A room remembers 1 024 bans, the latest.

        Does nothing if the player has no seat here. Raises ``TypeError`` if ``player`` is not a
        player's id, and ``ValueError`` if ``ban`` is not a number from 0 on.
        """
        if not ban >= 0:
            raise ValueError(f"ban is a number of seconds, 0 or more; got {ban!r}")
        self._backend.kick(_player(player), ban)


def _player(player: PlayerId) -> PlayerId:
    """``player``; raises ``TypeError`` if an author's untyped value came through, such as None."""
    if not isinstance(player, str):
        raise TypeError(f"a player's id is a text, as in event.player; got {type(player).__name__}")
    return player


HISTORY_MESSAGES_MAX = 8_192
HISTORY_BYTES_MAX = 512 * 1024
"""Half of what may always wait for a client (1 MiB), since a resume sends a whole history at once.
32 of them, which one link may carry at once, are half of its ring."""

RESUME_SECONDS_MAX = 24 * 3600

RoomFunction: TypeAlias = Callable[[Room], Awaitable[Any]]


class Kind(msgspec.Struct, frozen=True):
    """A named type of room: the author's function and its settings; see :func:`room`."""

    name: KindName
    function: RoomFunction
    seats: int
    starts: int
    inputs: Any
    options: Any
    history_messages: int | None = None
    history_bytes: int | None = None
    resume_seconds: float | None = None
    one_seat_each: bool = False


def _check_arguments(room: Callable[P, R]) -> Callable[P, R]:
    """Raises :class:`BadRooms` with a plain message where Python would raise ``TypeError``."""
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


def _check_number(name: str, field: str, number: object, least: int, most: int) -> None:
    """Raises :class:`BadRooms` for another type, or for a number out of range."""
    numbers = (int, float) if field.endswith("_seconds") else (int,)
    if type(number) not in numbers or not least <= number <= most:  # type: ignore[operator]
        what = "a number" if float in numbers else "a whole number"
        raise BadRooms(f"kind {name!r}: {field} is {what} from {least} to {most}; got {number!r}")


def _check_function(name: str, function: RoomFunction) -> None:
    """Raises :class:`BadRooms` unless ``function`` is async and can be called with the room."""
    called = getattr(function, "__name__", type(function).__name__)
    form = f"it begins with: async def {called}(table: Room)"
    if inspect.isfunction(function) and not inspect.iscoroutinefunction(function):
        raise BadRooms(f"kind {name!r}: {called} is not an async function; {form}")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise BadRooms(
            f"kind {name!r}: {called} cannot be called with the room alone ({error}); {form}"
        ) from error


@_check_arguments
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
    one_seat_each: bool = False,
) -> Callable[[RoomFunction], Kind]:
    """Makes an async function a kind of room that players join by ``name``.

    * ``seats``: the most players in one room.
    * ``starts``: the match has started once this many players have a seat. Before that, a drain
      closes the room and seats its players together on another node.
    * ``inputs``, ``options``: types that msgspec can decode. An input or a ``join`` that does not
      fit is refused before the room sees it. With ``inputs=None``, every input is refused: use it
      for a room that reads no events.
    * ``history_messages``, ``history_bytes``: how many messages, and how many bytes of them, the
      room keeps for players who come back (at most 8 192 and 512 KiB).
    * ``resume_seconds``: how long the seat of a player whose socket is lost is kept; at most a day.
    * ``one_seat_each``: an identity has one seat in a room: if they join again, from another device
      for instance, the newer socket gets the same seat, and the older one is closed with 4005.
      Anonymous players have no identity, and a seat for each join.

    None means the node's policy (1 024, 256 KiB, 30 s). Raises :class:`lastcall.errors.BadRooms`
    for numbers out of range, and for arguments that are missing or unknown.
    """
    if not name or len(name) > 128 or not name.isprintable():
        raise BadRooms(
            f"a kind's name has 1 to 128 printable characters; {name[:140]!r} has {len(name)}"
        )
    _check_number(name, "seats", seats, 1, SEATS_MAX)
    _check_number(name, "starts", starts, 1, seats)
    for field, number, most in (
        ("history_messages", history_messages, HISTORY_MESSAGES_MAX),
        ("history_bytes", history_bytes, HISTORY_BYTES_MAX),
        ("resume_seconds", resume_seconds, RESUME_SECONDS_MAX),
    ):
        if number is not None:
            _check_number(name, field, number, 0, most)
    if type(one_seat_each) is not bool:
        raise BadRooms(f"kind {name!r}: one_seat_each is True or False; got {one_seat_each!r}")

    def kind(function: RoomFunction) -> Kind:
        _check_function(name, function)
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
            one_seat_each,
        )

    return kind
