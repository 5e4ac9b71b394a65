"""Rooms as an api node sees them: who is here, and which way their words go.

A :class:`Relay` stands for one room with clients on this node, a
:class:`lastcall.api.sessions.place.Place` for one of those. What comes from the game node goes to
the sessions at once, in the caller's task: a frame is built once for each room message, and there
is no task switch between the feed and the sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import msgspec
import structlog
import trio

from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.sessions.place import Condition, Link, Place
from lastcall.api.sessions.session import Session, State
from lastcall.api.socket.client_stream import send_to_all
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.input_window import InputWindow
from lastcall.ids import PlayerId, RoomId
from lastcall.policy import SocketPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.runtime.batches import CLIENTS_PER_BATCH, each
from lastcall.wire import frames, nodes

__all__ = ["Relay", "Relays", "Start"]

log = structlog.get_logger("lastcall.api.sessions.relay")

T = TypeVar("T")

Start = Callable[[Callable[[], Awaitable[None]]], object]
"""``nursery.start_soon``, as far as relays need it."""


class Relay:
    """The actor of one room with clients here; ends with the room, or with its last place here.

    Its task is the room's lifetime on this node. ``epoch`` only rises: what an owner of before a
    hand-off still says is dropped.
    """

    __slots__ = ("_over", "_relays", "epoch", "nursery", "places", "room", "seq", "suspended")

    def __init__(self, relays: Relays, room: RoomId, epoch: int) -> None:
        self._over = trio.Event()
        self._relays = relays
        self.room = room
        self.epoch = epoch
        self.seq = 0
        """The last of the room's numbers that came by the live places' link."""
        self.nursery: trio.Nursery | None = None
        """What must end with the room's time on this node runs here; None until it has begun."""
        self.places: dict[PlayerId, Place] = {}
        """The live ones: whom the room's messages reach."""
        self.suspended: dict[PlayerId, Place] = {}

    async def run(self) -> None:
        """The actor's life; cancelling it ends what runs in its nursery and tells nobody."""
        async with trio.open_nursery() as self.nursery:
            await self._over.wait()
            self.nursery.cancel_scope.cancel()

    def add(self, place: Place) -> None:
        """Seats ``place``; a session that had the same player's place is taken over."""
        before = self.places.get(place.player) or self.suspended.pop(place.player, None)
        self.places[place.player] = place
        if before is not None and before.session is not place.session:
            before.taken_over()

    def remove(self, place: Place) -> None:
        """Takes ``place`` out, unless another has the player's seat by now."""
        for places in (self.places, self.suspended):
            if places.get(place.player) is place:
                del places[place.player]
        if not (self.places or self.suspended):
            self._relays.drop(self)
            self._over.set()

    def suspend(self, place: Place) -> None:
        """The place hears nothing of the room until :meth:`revive`."""
        self.suspended[place.player] = self.places.pop(place.player)
        place.suspend()

    def revive(self, place: Place) -> None:
        """The suspended place hears the room again."""
        self.places[place.player] = self.suspended.pop(place.player)

    def schedule_ack(self, place: Place) -> None:
        """The place has acks to tell its client, soon."""
        self._relays.schedule_ack(place)

    def current(self, epoch: int) -> bool:
        """Whether what bears ``epoch`` may speak for the room; a higher one is its owner now."""
        if epoch < self.epoch:
            return False
        self.epoch = epoch
        return True

    def message(self, item: nodes.Message) -> None:
        """Fans one message out. No place vanishes meanwhile: see
        :mod:`lastcall.api.sessions.client_connection`.

        An ack that is owed goes before it, and so leaves in the same write: who hears often pays
        nothing for his acks.
        """
        self.seq = item.seq
        frame = text_frame(frames.message(item.seq, item.body))
        if item.to is None:
            places = self.places.values()
            self._relays.counts.frames_out += len(places)
            for place in places:
                if place.ack_due:
                    place.tell_acked()
            send_to_all([place.output for place in places], frame)
            return
        for player in item.to:
            addressed = self.places.get(player)
            if addressed is not None:
                addressed.session.send_built(frame)

    def ended(self, reason: EndReason, result: bytes) -> None:
        """The room is over for all who have heard its last words, whatever becomes of its link.

        A suspended place has not: it hears them, and of the end, when it is renewed.
        """
        places, self.places = self.places, {}
        self._relays.tell(list(places.values()), lambda place: place.over(reason, result))


class Relays:
    """All rooms with clients on this node. ``start`` is given when the node's nursery stands."""

    def __init__(self, policy: SocketPolicy, counts: ClientCounts | None = None) -> None:
        self._policy = policy
        self.counts = counts or ClientCounts()
        """The node's: what goes out of rooms counts as well."""
        self._relays: dict[RoomId, Relay] = {}
        self._ack_due: dict[Place, None] = {}
        self._untold: deque[tuple[Place, Callable[[Place], None]]] = deque()
        self.start: Start

    @property
    def rooms(self) -> int:
        """How many rooms have a client here."""
        return len(self._relays)

    def seat(self, link: Link, seat: nodes.Seated, session: Session) -> None:
        """A session's join has a seat: makes its place and tells it.

        A session that is gone by now gets none, and the room is told so.
        """
        if session.state is State.GONE:
            link.send(nodes.Absent(seat.room, seat.player, seat.session))
        else:
            session.seated(self._placed(link, seat, session, 0), seat)

    def resume(self, link: Link, item: nodes.Resumed, session: Session) -> None:
        """A session's resume has its place: makes it and tells the session; see :meth:`seat`.

        What the place has missed follows as :class:`lastcall.wire.nodes.Replay`. Inputs count on
        from what the room has.
        """
        if session.state is State.GONE:
            link.send(nodes.Absent(item.room, item.player, item.session))
        else:
            session.resumed(self._placed(link, item, session, item.n), item)

    def _placed(
        self, link: Link, news: nodes.Seated | nodes.Resumed, session: Session, acked: int
    ) -> Place:
        relay = self._relays.get(news.room)
        if relay is None:
            relay = self._relays[news.room] = Relay(self, news.room, news.epoch)
            self.start(relay.run)
        relay.current(news.epoch)
        relay.seq = max(relay.seq, news.seq)
        window = InputWindow(self._policy.unacked_inputs, self._policy.unacked_bytes, acked)
        place = Place(relay, link, news, session, window)
        relay.add(place)
        return place

    def take(self, link: Link, item: nodes.Down) -> None:
        """What a game node says to places here; what concerns nobody here is dropped."""
        match item:
            case nodes.Message():
                relay = self._relays.get(item.room)
                if relay is not None and relay.current(item.epoch):
                    relay.message(item)
            case nodes.Acks():
                for room, player, n in item.acks:
                    if place := self._place(link, room, player):
                        place.acked(n)
            case nodes.Ended():
                relay = self._relays.get(item.room)
                if relay is not None and relay.current(item.epoch):
                    relay.ended(_reason(item.reason), item.result)
            case nodes.BadInput() | nodes.Wanted() | nodes.Out() | nodes.Replay():
                if place := self._place(link, item.room, item.player):
                    _tell(place, item)
            case _:
                pass  # answers to calls, and the node's state, are the directory's

    def lost(self, link: Link, reason: EndReason) -> None:
        """The link's rooms are no more, for ``reason``: all are told."""
        self.tell(self._places(link), lambda place: place.over(reason))

    def tell(self, places: Sequence[Place], do: Callable[[Place], None]) -> None:
        """Does ``do`` with live places: the first few at once, the rest while others run.

        A room may have thousands of clients here, and a game node 20 000.
        """
        for place in places[:CLIENTS_PER_BATCH]:
            _tell_live(place, do)
        if len(places) > CLIENTS_PER_BATCH:
            if not self._untold:
                self.start(self._tell_rest)
            self._untold += ((place, do) for place in places[CLIENTS_PER_BATCH:])

    async def _tell_rest(self) -> None:
        """One task for all rooms, which runs only while somebody is to be told something."""
        await trio.lowlevel.checkpoint()
        await each(_taken(self._untold), lambda one: _tell_live(*one))

    def suspend(self, link: Link) -> list[Place]:
        """The link was reset: its places, which wait to be renewed from now on."""
        places = self._places(link)
        for place in places:
            self._relays[place.relay.room].suspend(place)
        return places

    def vacate(self, link: Link, item: nodes.Regroup) -> list[tuple[Session, frames.Join]]:
        """Empties a room that was given up before it started.

        Returns its sessions here, each with the join that finds its player another room; but not
        those who were about to leave.
        """
        relay = self._relays.get(item.room)
        if relay is None or not relay.current(item.epoch):
            return []
        options = msgspec.Raw(item.options)
        found = []
        for player, name, key in item.players:
            place = relay.places.get(player)
            if place is not None and place.link is link and place.vacated():
                join = frames.Join(kind=item.kind, options=options, name=name, key=key)
                found.append((place.session, join))
        return found

    def sessions(self, link: Link) -> list[Session]:
        """Who has a live place by way of ``link``."""
        return [place.session for place in self._places(link)]

    def drop(self, relay: Relay) -> None:
        """The room has no client here any more."""
        if self._relays.get(relay.room) is relay:
            del self._relays[relay.room]

    def schedule_ack(self, place: Place) -> None:
        """Has the place tell its acks within ``ack_seconds``, all that come until then in one.

        One task for all places, which runs only while something is owed.
        """
        if not self._ack_due:
            self.start(self._tell_acks)
        self._ack_due[place] = None

    async def _tell_acks(self) -> None:
        await trio.sleep(self._policy.ack_seconds)
        owed, self._ack_due = self._ack_due, {}
        await each(owed, _tell_acked)

    def _place(self, link: Link, room: RoomId, player: PlayerId) -> Place | None:
        relay = self._relays.get(room)
        place = relay.places.get(player) if relay is not None else None
        return place if place is not None and place.link is link else None

    def _places(self, link: Link) -> list[Place]:
        return [
            place
            for relay in self._relays.values()
            for place in relay.places.values()
            if place.link is link
        ]


def _tell_live(place: Place, do: Callable[[Place], None]) -> None:
    """The border: a fault of ours with one client costs no other."""
    try:
        if place.condition is Condition.LIVE:  # else it has left, or was taken over, meanwhile
            do(place)
    except Exception:
        log.exception("client.internal_error")


def _taken(waiting: deque[T]) -> Iterator[T]:
    """One after the other, those included that come meanwhile."""
    while waiting:
        yield waiting[0]
        waiting.popleft()


def _tell_acked(place: Place) -> None:
    """Unless it was told with a message meanwhile."""
    if place.ack_due and place.condition in {Condition.LIVE, Condition.SUSPENDED}:
        place.tell_acked()


def _tell(place: Place, item: nodes.BadInput | nodes.Wanted | nodes.Out | nodes.Replay) -> None:
    match item:
        case nodes.BadInput():
            place.session.error(_code(item.code), item.message, item.n)
        case nodes.Wanted():
            place.resend(item.n)
        case nodes.Replay(session=number):
            if number == place.number:
                place.replay(item)
        case nodes.Out(session=number):
            if number not in {0, place.number}:
                return
            if item.reason == nodes.TAKEN_OVER:
                place.taken_over()
            else:
                place.over(_reason(item.reason), item.result)


def _reason(text: str) -> EndReason:
    """A later version's reason, which our clients would not know either, reads as *cut*."""
    try:
        return EndReason(text)
    except ValueError:
        return EndReason.CUT


def _code(text: str) -> ErrorCode:
    try:
        return ErrorCode(text)
    except ValueError:
        return ErrorCode.BAD_INPUT
