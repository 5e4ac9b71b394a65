"""A player's place in a room: what they say there, what they receive, and how it ends.

A place does not know sockets. It sends by ``outgoing.py``, which has a writer or, between two
sockets, none; its messages wait in ``unread.py``. The frames of a socket are applied to it in
``receiver.py``; ``client.py`` moves it from one socket to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

import trio

from lastcall.client.outgoing import Outgoing
from lastcall.client.unread import Unread
from lastcall.client.values import Ended, InputRefused, Message, Picture, PlaceState
from lastcall.client.writer import FrameWriter
from lastcall.core.client.resume_state import ResumeState
from lastcall.errors import ConnectionLost, MessageTooBig
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.policy import SocketPolicy
from lastcall.reasons import Close, EndReason
from lastcall.wire import frames
from lastcall.wire.frames import Player
from lastcall.wire.values import encode_value

INPUT_BYTES_MAX = SocketPolicy().frame_bytes
ERRORS_KEPT = 64


OnState = Callable[["Place", PlaceState], None]
"""Called at each change of a place's state after ``joined``, in the task that reads the socket:
it returns soon, without waiting. An exception from it ends the client's block and comes out of it.
"""


class Place:
    """A seat in a room, from ``joined`` to its end, over one socket or many.

    Iterate it for the room's messages: the loop ends when the place has :attr:`ended`, and raises
    :attr:`lost` when the place is lost. Each message for this player comes exactly once and in
    order, over any number of sockets. After an absence longer than the room's history, a
    :class:`lastcall.client.Picture` comes in place of the forgotten messages. Up to 1024 messages
    wait to be read. With more, the socket is not read, and the server closes it (4100): a client
    that only speaks must read too.

    A room that had not started may be **regrouped** while its node drains: the same place is then
    in another room, with another :attr:`you`, and :attr:`regroups` has gone up. Unread messages
    of the old room, and inputs that it did not acknowledge, are dropped.

    An input that the room's kind refuses raises nothing, since the answer comes later: see
    :attr:`refused` and :attr:`errors`.
    """

    def __init__(
        self,
        joined: frames.Joined,
        node: str,
        writer: FrameWriter,
        on_state: OnState | None = None,
    ) -> None:
        self._changed = trio.lowlevel.ParkingLot()
        self.on_state = on_state
        """Set for a place that outlives its socket; None: the place is lost with it."""
        self.progress = ResumeState(joined)
        """The numbers of its messages and inputs, and its ``ticket``: keep that to yourself."""
        self.outgoing = Outgoing(self.progress, writer)
        """The way to the room."""
        self.unread: Unread[Message | Picture] = Unread()
        """The messages that wait to be read."""
        self.leaving = False
        """The player gives the seat up, or has done so."""
        self.state = PlaceState.HERE
        self.node = node
        """The api node that the place is, or was last, reached through."""
        self.ended: Ended | None = None
        """How the place ended; None until then, and when it is lost."""
        self.lost: ConnectionLost | None = None
        """Why the place was lost before its end."""
        self.errors: deque[InputRefused] = deque(maxlen=ERRORS_KEPT)
        """The last 64 inputs that were refused."""
        self.refused = 0
        """How many inputs were refused."""
        self.regroups = 0
        """How often this place was moved into another room."""
        self.resumes = 0
        """How often this place was resumed on another socket."""
        self.incomplete = 0
        """How often the room's history was too short for an absence."""
        self.picture: Picture | None = None
        """The last picture that replaced forgotten messages."""
        self.away_since: float | None = None
        """When the socket was lost, by trio's clock; None while there is one."""
        self.away_seconds = 0.0
        """How long the last absence lasted, from the loss to ``resumed``."""
        self.enter_room(joined)

    def __repr__(self) -> str:
        return f"<Place {self.you} in {self.room} ({self.kind}), seq {self.seq}, {self.state}>"

    @property
    def room(self) -> RoomId:
        """The room's id."""
        return self.progress.room

    @property
    def seq(self) -> int:
        """The number of the last message received, read or not."""
        return self.progress.seq

    @property
    def unacked(self) -> int:
        """How many inputs the room has not acknowledged yet."""
        return self.progress.inputs.last - self.progress.inputs.acked

    # For the player

    def __aiter__(self) -> AsyncIterator[Message | Picture]:
        return self

    async def __anext__(self) -> Message | Picture:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self.unread:
            if self.ended is not None:
                raise StopAsyncIteration
            if self.lost is not None:
                raise self.lost.again()
            await self.unread.wait()
        return self.unread.take()

    async def say(self, value: object) -> None:
        """Says ``value``, which JSON can hold, to the room; the room receives it exactly once.

        Waits while the place is away, and while 64 inputs are unacknowledged; if cancelled while
        waiting, nothing was said. After the end the input is dropped silently: the caller cannot
        know of the end in time. Raises :class:`lastcall.errors.ConnectionLost`
        (:class:`lastcall.errors.PlaceLost`) when the place is lost,
        :class:`lastcall.errors.MessageTooBig` over 64 KiB, and ``TypeError`` for what JSON cannot
        hold (NaN and half an emoji, too).
        """
        body = encode_value(value)
        if len(body) > INPUT_BYTES_MAX - 64:
            raise MessageTooBig(
                f"an input of {len(body)} bytes; a frame holds {INPUT_BYTES_MAX} with its envelope"
            )
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.outgoing.wait_for_space()
        if self.ended is not None or self.leaving:
            return
        if self.lost is not None:
            raise self.lost.again()
        self.outgoing.post(self.progress.say(body))

    async def leave(self) -> None:
        """Gives the seat up and waits until the room confirms it; when away, after the return.

        Messages that still come are dropped. Does nothing after the end. If cancelled, the seat
        is given up all the same.
        """
        self.leave_soon()
        await self.wait_over()

    def leave_soon(self) -> None:
        """Gives the seat up, without waiting."""
        if not self.outgoing.closed:
            self.leaving = True
            self.outgoing.post(frames.Leave())
            self.outgoing.close()
            self.unread.close()

    async def wait_state(self, *states: PlaceState) -> PlaceState:
        """Returns when the place is in one of ``states``, or over, with the state it is in.

        An absence may be too short to be seen here; for each change, use ``on_state``.
        """
        while self.state not in states and self.state is not PlaceState.OVER:
            await self._changed.park()
        return self.state

    async def wait_over(self) -> None:
        """Returns when the place has ended or is lost."""
        await self.wait_state(PlaceState.OVER)

    # For the connection and the client

    def enter_room(self, joined: frames.Joined) -> None:
        """The place is in a room, the first or (regrouped) another."""
        self.kind: KindName = joined.kind
        self.you: PlayerId = joined.you
        self.players: tuple[Player, ...] = tuple(joined.players)
        """The players who had a seat when this place was taken."""
        self.outgoing.wake()

    def enter(self, state: PlaceState) -> None:
        """Changes the state, wakes all who wait, and reports the change."""
        self.state = state
        if state is PlaceState.OVER:
            self.unread.close()
            self.outgoing.close()
        self.outgoing.wake()
        self._changed.unpark_all()
        if self.on_state is not None:
            self.on_state(self, state)

    def lose(self, lost: ConnectionLost) -> None:
        """Ends the place for good: it is lost, or it was left and only the answer is missing."""
        if self.state is PlaceState.OVER:
            return
        if self.leaving and lost.code == Close.NO_SUCH_PLACE:
            self.ended = Ended(EndReason.LEFT)
        else:
            self.lost = lost
        self.enter(PlaceState.OVER)
