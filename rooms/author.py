"""The author's API: the :class:`Room`; :func:`lastcall.room` makes the functions that get one.

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

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, Protocol

import trio

from lastcall.events import Event
from lastcall.identity import Identity
from lastcall.ids import PlayerId, RoomId
from lastcall.kind import Kind
from lastcall.wire.images import ALARM_SECONDS_MIN
from lastcall.wire.values import encode_value

TYPE_CHECKING = False
if TYPE_CHECKING:  # a plain `Room` is a `Room[Any]`: at run time that needs nothing
    from typing_extensions import TypeVar

    S = TypeVar("S", default=Any)
else:
    from typing import TypeVar

    S = TypeVar("S")

__all__ = ["Room", "RoomBackend"]

ALARM_NAME_CHARS_MAX = 128


class RoomBackend(Protocol):
    """The host as a :class:`Room` needs it."""

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """The players who have a seat, in the order of joining."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the room is cut, or None while the node does not drain."""

    @property
    def moves(self) -> int:
        """How often the room has moved to another node."""

    @property
    def state(self) -> Any:
        """The room's state; raises :class:`lastcall.errors.StateFailed` if its kind has none."""

    @state.setter
    def state(self, state: Any) -> None:
        """The room has another state from now on."""

    async def commit(self) -> None:
        """Lets what was said so far leave. Always a checkpoint."""

    def set_alarm(self, name: str, seconds: float, every: float) -> None:
        """The alarm is due in ``seconds``, and then at each period ``every``; 0: once."""

    def silence(self, name: str) -> None:
        """There is no alarm ``name`` any more, nor one that waits unread."""

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


class Room(Generic[S]):
    """One room, as its author's function receives it: iterate it for the room's events.

    ``Room[Board]`` is a room whose kind has ``state=Board``.
    """

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

    @property
    def state(self) -> S:
        """The part of the room that outlasts a move.

        Change it in place, or assign another of the same type. It is taken while the function waits
        for its next event. Raises :class:`lastcall.errors.StateFailed` for a kind without a state.
        """
        state: S = self._backend.state
        return state

    @state.setter
    def state(self, state: S) -> None:
        self._backend.state = state

    @property
    def moves(self) -> int:
        """How often the room has moved to another node: the function is called again each time."""
        return self._backend.moves

    async def commit(self) -> None:
        """A rest in the middle of a long step: the event in hand counts as done, the state is as it
        should be, and what was said so far may leave. Always a checkpoint.
        """
        await self._backend.commit()

    def alarm(self, name: str, *, after: float) -> None:
        """The room gets ``Alarm(name)`` once, ``after`` seconds from now; also if it has moved.

        It replaces the alarm of that name, even one that the room has not read yet. A room has at
        most 64. One that is late comes late, and never twice. Raises ``ValueError`` for seconds
        that are not a number from 0 on, for a name that is not 1 to 128 characters, and for one
        alarm too many.
        """
        self._backend.set_alarm(_alarm_name(name), _seconds(after, 0), 0)

    def every(self, name: str, seconds: float) -> None:
        """The room gets ``Alarm(name)`` again and again, first ``seconds`` from now.

        It keeps its pace: a late one does not delay the next, and those that a busy room or node
        has missed are left out. Setting it again with the same period changes nothing, so a room's
        function may do so each time that it is called. Otherwise as :meth:`alarm`; the period is at
        least 0.001 s.
        """
        seconds = _seconds(seconds, ALARM_SECONDS_MIN)
        self._backend.set_alarm(_alarm_name(name), seconds, seconds)

    def silence(self, name: str) -> None:
        """Takes the alarm of that name back, also one that waits unread; there may be none."""
        self._backend.silence(name)

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


def _alarm_name(name: str) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= ALARM_NAME_CHARS_MAX:
        raise ValueError(f"an alarm's name is a text of 1 to 128 characters; got {name!r:.150}")
    return name


def _seconds(seconds: float, least: float) -> float:
    if not least <= seconds < math.inf:
        raise ValueError(f"an alarm takes a number of seconds from {least:g} on; got {seconds!r}")
    return seconds
