"""Rooms as an api node sees them: who is here, and which way their words go.

A :class:`Relay` stands for one room with clients on this node, a :class:`Place` for one of those.
What comes from the game node goes to the sessions at once, in the caller's task: a frame is built
once for each room message, and there is no task switch between the feed and the sockets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import trio

from api.outlet import text_frame
from api.session import Session, State
from rooms.core.delivery import InputWindow, Verdict
from rooms.ids import PlayerId, RoomId
from rooms.policy import SocketPolicy
from rooms.reasons import EndReason, ErrorCode
from rooms.wire import frames, nodes

__all__ = ["Link", "Place", "Relay", "Relays", "Start"]

Start = Callable[[Callable[[], Awaitable[None]]], object]
"""``nursery.start_soon``, as far as relays need it."""


class Link(Protocol):
    """A live link to one game node."""

    def send(self, item: nodes.Up) -> None:
        """Queues an item; order is kept, nothing is lost short of a reset."""


class Place:
    """One client's seat, and the inputs that its room may not have yet.

    ``number`` is the place's session number: the game node ignores what an older one says.
    """

    __slots__ = ("link", "number", "player", "relay", "session", "window")

    def __init__(
        self, relay: Relay, link: Link, seat: nodes.Seated, session: Session, window: InputWindow
    ) -> None:
        self.relay = relay
        self.link = link
        self.player = seat.player
        self.number = seat.session
        self.session = session
        self.window = window

    # From the session.

    @property
    def full(self) -> bool:
        """Whether the socket must not be read for now."""
        return self.window.full

    @property
    def expected(self) -> int:
        """The number of the next input."""
        return self.window.last + 1

    def say(self, n: int, body: bytes) -> Verdict:
        """Passes an input on if it is the next, and keeps it until the room has it."""
        verdict = self.window.take(n, body)
        if verdict is Verdict.NEXT:
            self._pass_on(n, body)
        return verdict

    def leave(self) -> None:
        """Gives the seat up: the client has its ``ended`` at once, whatever the room still says."""
        self.relay.remove(self)
        self.link.send(nodes.Leave(self.relay.room, self.player, self.number))
        self.session.ended(self.relay.room, EndReason.LEFT)

    def absent(self) -> None:
        """The socket is gone, and was not taken over."""
        self.relay.remove(self)
        self.link.send(nodes.Absent(self.relay.room, self.player, self.number))

    # From the room.

    def acked(self, n: int) -> None:
        """The room has every input up to ``n``."""
        if self.window.ack(n):
            self.session.acked(self.window.acked)

    def wanted(self, n: int) -> None:
        """The room refused ``n`` for want of space, and has space again."""
        for number, body in self.window.again(n):
            self._pass_on(number, body)

    def over(self, reason: EndReason, result: bytes = b"") -> None:
        """The place is over, by the room's or the node's doing."""
        self.relay.remove(self)
        self.session.ended(self.relay.room, reason, result)

    def _pass_on(self, n: int, body: bytes) -> None:
        self.link.send(nodes.Say(self.relay.room, self.player, self.number, n, body))


class Relay:
    """The actor of one room with clients here; ends with the room, or with its last place here.

    Its task is the room's lifetime on this node. ``epoch`` only rises: what an owner of before a
    hand-off still says is dropped.
    """

    __slots__ = ("_over", "_relays", "epoch", "nursery", "places", "room")

    def __init__(self, relays: Relays, room: RoomId, epoch: int) -> None:
        self._over = trio.Event()
        self._relays = relays
        self.room = room
        self.epoch = epoch
        self.nursery: trio.Nursery | None = None
        """What must end with the room's time on this node runs here; None until it has begun."""
        self.places: dict[PlayerId, Place] = {}

    async def run(self) -> None:
        """The actor's life; cancelling it ends what runs in its nursery and tells nobody."""
        async with trio.open_nursery() as self.nursery:
            await self._over.wait()
            self.nursery.cancel_scope.cancel()

    def add(self, place: Place) -> None:
        """Seats ``place``; a session that had the same player's place is taken over."""
        before = self.places.get(place.player)
        self.places[place.player] = place
        if before is not None and before.session is not place.session:
            before.session.taken_over()

    def remove(self, place: Place) -> None:
        """Takes ``place`` out, unless another has the player's seat by now."""
        if self.places.get(place.player) is place:
            del self.places[place.player]
        if not self.places:
            self._relays.drop(self)
            self._over.set()

    def current(self, epoch: int) -> bool:
        """Whether what bears ``epoch`` may speak for the room; a higher one is its owner now."""
        if epoch < self.epoch:
            return False
        self.epoch = epoch
        return True

    def message(self, item: nodes.Message) -> None:
        """Fans one message out. No place vanishes meanwhile: see :mod:`api.session`."""
        frame = text_frame(frames.message(item.seq, item.body))
        if item.to is None:
            for place in self.places.values():
                place.session.send_built(frame)
            return
        for player in item.to:
            addressed = self.places.get(player)
            if addressed is not None:
                addressed.session.send_built(frame)

    def ended(self, reason: EndReason, result: bytes) -> None:
        """The room is over for all."""
        for place in tuple(self.places.values()):
            place.over(reason, result)


class Relays:
    """All rooms with clients on this node. ``start`` is given when the node's nursery stands."""

    def __init__(self, policy: SocketPolicy) -> None:
        self._policy = policy
        self._relays: dict[RoomId, Relay] = {}
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
            return
        relay = self._relays.get(seat.room)
        if relay is None:
            relay = self._relays[seat.room] = Relay(self, seat.room, seat.epoch)
            self.start(relay.run)
        window = InputWindow(self._policy.held_inputs, self._policy.held_bytes)
        place = Place(relay, link, seat, session, window)
        relay.add(place)
        session.seated(place, seat)

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
            case nodes.BadInput() | nodes.Wanted() | nodes.Out():
                if place := self._place(link, item.room, item.player):
                    _tell(place, item)
            case _:
                pass  # answers to calls, and the node's state, are the directory's

    def lost(self, link: Link, reason: EndReason) -> None:
        """The link's rooms are no more, for ``reason``."""
        for place in self._places(link):
            place.over(reason)

    def vacate(self, link: Link, item: nodes.Regroup) -> list[tuple[Session, frames.Join]]:
        """Empties a room that was given up before it started.

        Returns its sessions here, each with the join that finds its player another room.
        """
        relay = self._relays.get(item.room)
        if relay is None or not relay.current(item.epoch):
            return []
        options = msgspec.Raw(item.options)
        found = []
        for player, name, key in item.players:
            place = relay.places.get(player)
            if place is not None and place.link is link:
                relay.remove(place)
                place.session.regrouped(item.room)
                join = frames.Join(kind=item.kind, options=options, name=name, key=key)
                found.append((place.session, join))
        return found

    def draining(self, link: Link, seconds: float) -> None:
        """The game node drains: its players are told the seconds to the cut."""
        notice = text_frame(frames.encode(frames.Draining("game", round(seconds, 3))))
        for place in self._places(link):
            place.session.send_built(notice)

    def drop(self, relay: Relay) -> None:
        """The room has no client here any more."""
        if self._relays.get(relay.room) is relay:
            del self._relays[relay.room]

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


def _tell(place: Place, item: nodes.BadInput | nodes.Wanted | nodes.Out) -> None:
    match item:
        case nodes.BadInput():
            place.session.error(_code(item.code), item.message, item.n)
        case nodes.Wanted():
            place.wanted(item.n)
        case nodes.Out():
            place.over(_reason(item.reason))


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
