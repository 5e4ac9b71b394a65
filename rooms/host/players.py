"""The players' half of a room: who gets a seat, loses his socket, comes back, says, and leaves.

All of it is synchronous. A room is *closed* once its function has returned or is being cancelled:
from then on nobody new gets a seat; but who has one may still take it again.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol

import trio

from lastcall.author import Away, Back, Draining, Joined, Left, Said
from lastcall.core.room.disconnects import Step
from lastcall.core.room.history import History
from lastcall.core.room.replay import Missed, missed
from lastcall.core.room.roster import Roster, Seat
from lastcall.core.sequence import SequenceCheck
from lastcall.errors import BadFrame
from lastcall.host.codec import KindCodec
from lastcall.host.disconnect_timer import DisconnectTimer
from lastcall.host.inbox import Inbox
from lastcall.host.replies import no_such_place, regroups, replay, resumed, seated
from lastcall.host.takeover_timer import TakeoverTimer
from lastcall.host.tickets import check_ticket, rebind_seat
from lastcall.ids import LinkId, PlayerId, RoomId, new_player, new_secret
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes

__all__ = ["Players", "RoomHost"]


class RoomHost(Protocol):
    """What a room needs of the host it is in."""

    outbox: Callable[[LinkId, nodes.Down], None]
    policy: RoomPolicy
    cut_at: float | None
    disconnects: DisconnectTimer
    takeovers: TakeoverTimer

    def ack(self, room: Players, seat: Seat) -> None:
        """Every input of ``seat`` up to ``last_n`` is had."""

    def unack(self, seat: Seat) -> None:
        """What is not yet said of the inputs of ``seat`` is said in another way."""

    def doors_changed(self, room: Players) -> None:
        """Its free seats are others than before."""

    def freed(self, room: Players, seat: Seat) -> None:
        """A player is gone."""

    def places_ended(self, room: Players, reason: EndReason, result: bytes) -> None:
        """Its players' places are over; their seats and the history are the host's now."""

    def ended(self, room: Players, reason: EndReason, result: bytes) -> None:
        """It is over, and its players know. ``result`` is JSON, empty unless it finished."""

    def crashed(self, room: Players, error: BaseException) -> None:
        """Its author's code has raised ``error``."""


class Players(ABC):
    """The seats of one room, what waits to be heard, and what was said."""

    __slots__ = (
        "_house",
        "age",
        "born",
        "closed",
        "history",
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
        self, house: RoomHost, served: KindCodec, *, room_id: RoomId, raw_options: bytes, age: int
    ) -> None:
        self._house = house
        self.served = served
        self.id = room_id
        self.age = age
        """How many rooms were opened before this one."""
        self.born = trio.current_time()
        self.roster: Roster
        self.history: History
        self._vacate()
        policy = house.policy
        self.inbox = Inbox(policy.inbox_events, policy.share_events, self._call_the_held)
        self.seq = 0
        self.started = False
        """Whether ``starts`` players have ever sat here together."""
        self.closed = False
        self.raw_options = raw_options
        """For those who open the room anew elsewhere; dropped once it has started."""
        self.regrouped = False
        """Whether its players were sent elsewhere, so that its end is nothing to them."""

    @abstractmethod
    def cancel(self, reason: EndReason) -> None:
        """Ends the room from outside."""

    @abstractmethod
    def picture(self, player: PlayerId) -> bytes:
        """The author's picture of the room for ``player`` as JSON, or empty."""

    @property
    def free(self) -> int:
        """How many players could join by kind now."""
        if self.closed or self.roster.refusal is not None:
            return 0
        return self.roster.seats_max - len(self.roster)

    # Coming

    def admit(self, link: LinkId, join: nodes.Join, rng: random.Random) -> str | None:
        """Seats a player and tells his link, or returns why not.

        The same ``key`` again is the same player, from a new socket.
        """
        seat = self.roster.find_key(join.key)
        if seat is not None:
            self._seat_again(seat, link, join.call)
            return None
        if join.seated_only:
            return nodes.NO_SUCH_PLACE
        if self.closed:
            return ErrorCode.NO_SUCH_ROOM
        player, secret = new_player(rng), new_secret(rng)
        seat = Seat(
            player, link=link, secret=secret, name=join.name, key=join.key, joined_seq=self.seq
        )
        if (refusal := self.roster.take(seat)) is not None:
            return refusal
        if len(self.roster) >= self.served.kind.starts:
            self.started = True
            self.raw_options = b""
        self._seated(seat, join.call, self.seq)
        self.inbox.put_control(Joined(seat.player))
        self._house.doors_changed(self)
        return None

    def resume(
        self, link: LinkId, resume: nodes.Resume, rng: random.Random
    ) -> nodes.Refused | None:
        """Gives a player his place again, from a new socket: what he has missed, then live.

        Returns why not; then nothing has changed, and the room notices nothing.
        """
        seat = check_ticket(self, resume)
        if isinstance(seat, nodes.Refused):
            return seat
        owed, state = self._owed(seat, max(resume.seen, seat.joined_seq))
        if self.roster.find(seat.player) is not seat:  # the author's picture has kicked him
            return no_such_place(resume.call)
        self._take_over(seat, same_socket=resume.session != 0)
        rebind_seat(self, seat, link, resume, rng)
        for item in resumed(self.id, seat, resume.call, owed, state):
            self._house.outbox(link, item)
        return None

    def contested(self, ask: nodes.Join | nodes.Resume) -> Seat | None:
        """The seat that another live socket has, and that ``ask`` may have been said for before.

        A resume was not if it shows the newest secret, since each one changes that; nor was a
        renewal, which is of the socket that has the seat.
        """
        if isinstance(ask, nodes.Join):
            seat = self.roster.find_key(ask.key)
        else:
            seat = self.roster.find(ask.player)
            if ask.session or seat is None or not seat.accepts_previous(ask.secret):
                return None
        return None if seat is None or seat.away else seat

    def confirm(self, confirm: nodes.Confirm) -> None:
        """A player has the answer to his join or resume."""
        seat = self.roster.find(confirm.player)
        if seat is not None and seat.session == confirm.session:
            self._confirm(seat)

    # Talk

    def hear(self, say: nodes.Say) -> None:
        """Takes an input if it is the player's next and fits; see :class:`SequenceCheck`."""
        seat = self.roster.find(say.player)
        if seat is None:
            return
        if not seat.expects(say.session, say.n):
            self._take_repeated(seat, say)
            return
        if seat.previous_secret or not seat.confirmed:
            self._confirm(seat)
        self._take(seat, say)

    def _take_repeated(self, seat: Seat, say: nodes.Say) -> None:
        """An input that is not the next one."""
        verdict = seat.judge(say.session, say.n)
        if verdict is SequenceCheck.STALE:
            return
        self._confirm(seat)
        if verdict is SequenceCheck.REPEAT:
            self._house.ack(self, seat)
        elif verdict is SequenceCheck.GAP:
            missing = f"n is {say.n}, but {seat.last_n + 1} comes next; inputs count without gaps"
            self._refuse(seat, say.n, ErrorCode.BAD_FRAME, missing)

    # Going

    def leave(self, player: PlayerId, session: int) -> None:
        """Frees the seat if ``session`` is its own, and tells the player's link."""
        seat = self.roster.find(player)
        if seat is not None and seat.session == session:
            self._release(seat, EndReason.LEFT)

    def lose(self, absent: nodes.Absent) -> None:
        """The player is away, if the session is his."""
        seat = self.roster.find(absent.player)
        if seat is not None and seat.session == absent.session and not seat.away:
            self._lose(seat)

    def drop_link(self, link: LinkId) -> Iterator[None]:
        """Those who sit here by way of ``link`` are away; one with each step."""
        for seat in self.roster.of_link(link):
            if seat.link == link and self.roster.find(seat.player) is seat:
                self._lose(seat)
            yield

    def step_of(self, seat: Seat, step: Step) -> None:
        """Something has come of an absence."""
        if step is Step.NOTICED:
            self.inbox.put_control(Away(seat.player))
        else:
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

    def close(self) -> None:
        """From now on nobody new gets a seat here."""
        if not self.closed:
            self.closed = True
            self._house.doors_changed(self)

    def record_end(self, reason: EndReason, result: bytes = b"") -> None:
        """The players' places are over: what they may still ask for is the host's now."""
        if self.roster.present < len(self.roster):
            for seat in self.roster:
                self._house.disconnects.end(self, seat)
        self._house.places_ended(self, reason, result)
        self._vacate()

    # The steps

    def _vacate(self) -> None:
        kind, policy = self.served.kind, self._house.policy
        messages, size = kind.history_messages, kind.history_bytes
        self.roster = Roster(kind.seats)
        self.history = History(
            messages_max=policy.history_messages if messages is None else messages,
            bytes_max=policy.history_bytes if size is None else size,
        )

    def _confirm(self, seat: Seat) -> None:
        seat.confirm()
        self._house.takeovers.confirmed(seat)

    def _seat_again(self, seat: Seat, link: LinkId, call: int) -> None:
        self._take_over(seat)
        self.roster.rebind(seat, link)
        seat.last_n = 0
        owed = self._missed(seat, seat.joined_seq)
        self._seated(seat, call, owed.seq)
        for item in replay(self.id, seat, owed.messages):
            self._house.outbox(link, item)

    def _take_over(self, seat: Seat, *, same_socket: bool = False) -> None:
        """Before a socket has the place: the old one is told, or the room that he is back."""
        if seat.away:
            if self._house.disconnects.end(self, seat):
                self.inbox.put_control(Back(seat.player))
        else:
            self._house.unack(seat)
            if not same_socket:
                self._out(seat, nodes.TAKEN_OVER, seat.session)

    def _owed(self, seat: Seat, seen: int) -> tuple[Missed, bytes]:
        owed = self._missed(seat, seen)
        if owed.complete:
            return owed, b""
        if state := self.picture(seat.player):
            return Missed(self.seq, (), complete=False), state
        return self._missed(seat, seen), b""  # anew: a picture that failed may have spoken

    def _missed(self, seat: Seat, seen: int) -> Missed:
        return missed(self.history, seat.player, seen=seen, seq=self.seq)

    def _take(self, seat: Seat, say: nodes.Say) -> None:
        if self.served.hears and not self.inbox.has_room(seat.player):
            self.roster.block(seat)
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

    def _lose(self, seat: Seat) -> None:
        policy = self._house.policy
        kept = self.served.kind.resume_seconds
        seconds = policy.resume_seconds if kept is None else kept
        if self._house.cut_at is not None or not seat.confirmed:
            seconds = min(seconds, policy.drain_grace_seconds)
        if seconds <= 0 and not self._house.takeovers.waits(seat):
            self._release(seat, None)
        else:
            self._house.unack(seat)
            self.roster.lose(seat, trio.current_time())
            self._house.disconnects.begin(self, seat, seconds)
            self._house.takeovers.away(seat)

    def _release(self, seat: Seat, reason: EndReason | None) -> None:
        if seat.away:
            self._house.disconnects.end(self, seat)
        elif reason is not None:
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
        for link, told in regroups(self.id, kind, self.roster, options):
            self._house.outbox(link, told)
        self.record_end(EndReason.ABANDONED)
        self.cancel(EndReason.ABANDONED)

    def _call_the_held(self, player: PlayerId | None) -> None:
        for seat, n in self.roster.to_notify(player):
            self._house.outbox(seat.link, nodes.Wanted(self.id, seat.player, n))

    def _out(self, seat: Seat, reason: str, session: int = 0) -> None:
        self._house.outbox(seat.link, nodes.Out(self.id, seat.player, reason, session))

    def _seated(self, seat: Seat, call: int, seq: int) -> None:
        listed = self.roster.listed(seat, self._house.policy.listed_players)
        told = seated(self.id, self.served.kind.name, seat, call, seq=seq, listed=listed)
        self._house.outbox(seat.link, told)
