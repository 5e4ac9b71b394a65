"""One running room: what the author's function sees of the node, and the node of it.

Everything here is synchronous but :meth:`LiveRoom.run`, the room's one task. A room is *closed*
once its function has returned or is being cancelled: from then on nobody gets a seat.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec
import trio

from rooms.author import Draining, Event, Joined, Left, Room, Said
from rooms.core.roster import Roster, Seat, Verdict, parties
from rooms.errors import BadFrame, MessageTooBig
from rooms.ids import LinkId, PlayerId, RoomId, new_player, new_secret
from rooms.policy import RoomPolicy
from rooms.reasons import EndReason, ErrorCode
from rooms.runtime.inbox import Inbox
from rooms.runtime.served import Served
from rooms.wire import nodes

__all__ = ["EPOCH", "House", "LiveRoom"]

EPOCH = 0
"""How often a room has moved; rooms do not move yet."""
PARTY_BYTES = 64 * 1024
"""How much of names and keys one ``Regroup`` bears: a message between nodes is bounded."""


class House(Protocol):
    """What a room needs of the host it is in."""

    outbox: Callable[[LinkId, nodes.Down], None]
    policy: RoomPolicy
    cut_at: float | None

    def ack(self, room: LiveRoom, seat: Seat) -> None:
        """Every input of ``seat`` up to ``last_n`` is had."""

    def doors_changed(self, room: LiveRoom) -> None:
        """Its free seats are others than before."""

    def freed(self, room: LiveRoom, seat: Seat) -> None:
        """A player is gone."""

    def ended(self, room: LiveRoom, reason: EndReason, result: bytes) -> None:
        """It is over, and its players know. ``result`` is JSON, empty unless it finished."""

    def crashed(self, room: LiveRoom, error: BaseException) -> None:
        """Its author's code has raised ``error``."""


class LiveRoom:
    """One room of a host; the :class:`rooms.author.Desk` of its author's :class:`Room`."""

    __slots__ = (
        "_house",
        "_options",
        "_scope",
        "age",
        "born",
        "cancelled_as",
        "closed",
        "id",
        "inbox",
        "raw_options",
        "regrouped",
        "roster",
        "seq",
        "served",
        "started",
    )

    def __init__(
        self,
        house: House,
        served: Served,
        *,
        room_id: RoomId,
        options: Any,
        raw_options: bytes,
        age: int,
    ) -> None:
        self._house = house
        self._options = options
        self._scope = trio.CancelScope()
        self.served = served
        self.id = room_id
        self.age = age
        """How many rooms were opened before this one."""
        self.born = trio.current_time()
        self.roster = Roster(served.kind.seats)
        self.inbox = Inbox(
            house.policy.inbox_events, house.policy.share_events, self._call_the_held
        )
        self.seq = 0
        self.started = False
        """Whether ``starts`` players have ever sat here together."""
        self.closed = False
        self.cancelled_as = EndReason.CUT
        self.raw_options = raw_options
        """For those who open the room anew elsewhere; dropped once it has started."""
        self.regrouped = False
        """Whether its players were sent elsewhere, so that its end is nothing to them."""

    # What the host asks

    def admit(self, link: LinkId, join: nodes.Join, rng: random.Random) -> ErrorCode | None:
        """Seats a player and tells his link, or returns why not.

        The same ``key`` again is the same player, from a new socket.
        """
        if self.closed:
            return ErrorCode.NO_SUCH_ROOM
        seat = self.roster.find_key(join.key)
        if seat is not None:  # what waits at the old socket, if it is not dead, waits in vain
            self._out(seat, EndReason.LEFT)
            self.roster.retake(seat, link)
            self._seated(seat, join.call)
            return None
        player, secret = new_player(rng), new_secret(rng)
        seat = Seat(player, link=link, secret=secret, name=join.name, key=join.key)
        if (refusal := self.roster.take(seat)) is not None:
            return refusal
        if len(self.roster) >= self.served.kind.starts:
            self.started = True
            self.raw_options = b""
        self._seated(seat, join.call)
        self.inbox.put_control(Joined(seat.player))
        self._house.doors_changed(self)
        return None

    def hear(self, say: nodes.Say) -> None:
        """Takes an input if it is the player's next and fits; see :class:`Verdict`."""
        seat = self.roster.find(say.player)
        verdict = self.roster.accept(say.player, say.session, say.n)
        if seat is None:
            return
        if verdict is Verdict.NEXT:
            self._take(seat, say)
        elif verdict is Verdict.REPEAT:
            self._house.ack(self, seat)
        elif verdict is Verdict.GAP:
            missing = f"n is {say.n}, but {seat.last_n + 1} comes next; inputs count without gaps"
            self._refuse(seat, say.n, ErrorCode.BAD_FRAME, missing)

    def leave(self, player: PlayerId, session: int, reason: EndReason | None) -> None:
        """Frees the seat if ``session`` is its own; tells the player's link, given a reason."""
        seat = self.roster.find(player)
        if seat is not None and seat.session == session:
            self._release(seat, reason)

    def drop_link(self, link: LinkId) -> None:
        """Those who sit here by way of ``link`` are gone."""
        for seat in self.roster.of_link(link):
            self._release(seat, None)

    def warn(self, seconds: float) -> None:
        """The house is closing: the room gets the event.

        One without players is given up, and so is one that never started: its players are to
        be seated elsewhere, since a match must not wait here for an opponent who cannot come.
        """
        self.inbox.put_control(Draining(seconds))
        self._give_up_if_empty()
        if not (self.started or self.closed):
            self._regroup()

    def cancel(self, reason: EndReason) -> None:
        """Ends the room from outside; its ``finally`` blocks run. The first reason holds."""
        if not self._scope.cancel_called:
            self.cancelled_as = reason
            self._scope.cancel()
        self.close()

    def close(self) -> None:
        """From now on nobody gets a seat here."""
        if not self.closed:
            self.closed = True
            self._house.doors_changed(self)

    @property
    def free(self) -> int:
        """How many players could join by kind now."""
        if self.closed or self.roster.refusal is not None:
            return 0
        return self.roster.seats_max - len(self.roster)

    # What the author asks: rooms.author.Desk

    @property
    def players(self) -> tuple[PlayerId, ...]:
        """Who has a seat, in the order of joining."""
        return self.roster.players

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the cut, or None while no drain is under way."""
        cut_at = self._house.cut_at
        return None if cut_at is None else max(0.0, cut_at - trio.current_time())

    def next_event(self) -> Coroutine[Any, Any, Event]:
        """The next event of :class:`Inbox`."""
        return self.inbox.next()

    def name_of(self, player: PlayerId) -> str:
        """The name the player gave, or an empty text."""
        seat = self.roster.find(player)
        return "" if seat is None else seat.name

    def say(self, body: bytes, to: PlayerId | None) -> None:
        """Numbers a message; one item goes to each link that has players it is for."""
        if len(body) > self._house.policy.message_bytes:
            limit = self._house.policy.message_bytes
            raise MessageTooBig(f"a message of {len(body)} bytes; the limit is {limit} bytes")
        outbox = self._house.outbox
        if to is None:
            self.seq += 1
            message = nodes.Message(self.id, EPOCH, self.seq, body)
            for link in self.roster.links:
                outbox(link, message)
        elif (seat := self.roster.find(to)) is not None:
            self.seq += 1
            outbox(seat.link, nodes.Message(self.id, EPOCH, self.seq, body, [to]))

    def lock(self, *, locked: bool) -> None:
        """Closes the room to new players, or opens it again."""
        self.roster.locked = locked
        self._house.doors_changed(self)

    def kick(self, player: PlayerId) -> None:
        """Ends one player's place; what he has said before is still read."""
        seat = self.roster.find(player)
        if seat is not None:
            self._release(seat, EndReason.KICKED)

    # The room's task

    async def run(self) -> None:
        """Runs the author's function to its end, whatever that is, and tells the players.

        Whatever the author's code raises, ``KeyboardInterrupt`` too, ends this room and no other:
        only the cancellation of the host's own task passes.
        """
        reason, result = None, b""
        try:
            with self._scope:
                result = await self._play()
                reason = EndReason.FINISHED
        except BaseException as error:  # noqa: BLE001 - no room may end the node
            passing, crash = _parted(error)
            if crash is not None:
                reason = None if self._scope.cancel_called else EndReason.CRASHED
                self._house.crashed(self, crash)
            if passing is not None:
                raise passing from None
        finally:
            self._end(reason or self.cancelled_as, result)

    async def _play(self) -> bytes:
        kind, result = self.served.kind, None
        async with trio.open_nursery() as nursery:
            room = Room(self, room_id=self.id, kind=kind, options=self._options, nursery=nursery)
            try:
                result = await kind.function(room)
            finally:
                self.close()
            nursery.cancel_scope.cancel()
        try:
            body = msgspec.json.encode(result)
        except Exception as error:  # an author's types may raise anything
            raise TypeError(f"the result of {kind.name!r} cannot be JSON: {error}") from error
        if len(body) > (limit := self._house.policy.message_bytes):
            raise MessageTooBig(f"a result of {len(body)} bytes; the limit is {limit} bytes")
        return body

    def _end(self, reason: EndReason, result: bytes) -> None:
        self.close()
        ended = nodes.Ended(self.id, EPOCH, reason, result)
        for link in () if self.regrouped else self.roster.links:
            self._house.outbox(link, ended)
        self._house.ended(self, reason, result)
        self.roster.clear()

    # The steps

    def _take(self, seat: Seat, say: nodes.Say) -> None:
        if self.served.hears and not self.inbox.has_room(seat.player):
            self.roster.hold(seat)
            return
        try:
            said = Said(seat.player, self.served.read_input(say.body))
        except BadFrame as bad:
            self._refuse(seat, say.n, bad.code, str(bad))
        else:
            self.inbox.put(said)
        self.roster.advance(seat)
        self._house.ack(self, seat)

    def _refuse(self, seat: Seat, n: int, code: str, message: str) -> None:
        self._house.outbox(seat.link, nodes.BadInput(self.id, seat.player, n, code, message))

    def _release(self, seat: Seat, reason: EndReason | None) -> None:
        if reason is not None:
            self._out(seat, reason)
        self.roster.release(seat.player)
        self.inbox.put_control(Left(seat.player))
        self._house.freed(self, seat)
        if self._house.cut_at is not None:
            self._give_up_if_empty()

    def _give_up_if_empty(self) -> None:
        if not self.roster:
            self.cancel(EndReason.ABANDONED)

    def _regroup(self) -> None:
        self.regrouped = True
        kind, options = self.served.kind.name, self.raw_options
        for link in self.roster.links:
            for party in parties(self.roster.of_link(link), PARTY_BYTES):
                players = [(seat.player, seat.name, seat.key) for seat in party]
                self._house.outbox(link, nodes.Regroup(self.id, EPOCH, kind, players, options))
        self.cancel(EndReason.ABANDONED)

    def _call_the_held(self, player: PlayerId | None) -> None:
        for seat, n in self.roster.wanted(player):
            self._house.outbox(seat.link, nodes.Wanted(self.id, seat.player, n))

    def _out(self, seat: Seat, reason: EndReason) -> None:
        self._house.outbox(seat.link, nodes.Out(self.id, seat.player, reason))

    def _seated(self, seat: Seat, call: int) -> None:
        listed = self.roster.listed(seat, self._house.policy.listed_players)
        seated = nodes.Seated(
            call=call,
            room=self.id,
            kind=self.served.kind.name,
            player=seat.player,
            session=seat.session,
            epoch=EPOCH,
            seq=self.seq,
            secret=seat.secret,
            players=[nodes.Player(other.player, other.name) for other in listed],
        )
        self._house.outbox(seat.link, seated)


def _parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What must pass through the room, and what is a crash of it."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)
