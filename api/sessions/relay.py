"""Rooms as an api node sees them: whose place is here, and where a room's messages go.

A :class:`Relay` stands for one room with clients on this node, a
:class:`lastcall.api.sessions.place.Place` for one of those. Items from the game node go to the
sessions at once, in the caller's task: a frame is built once for each room message, and there is
no task switch between the feed and the sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import trio

from lastcall.api.sessions.batch_tasks import AckTimer, EndNotices, Start
from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.sessions.place import Link, Place, PlaceStatus
from lastcall.api.sessions.sent_leaves import SentLeaves
from lastcall.api.sessions.session import Session
from lastcall.api.sessions.states import State
from lastcall.api.socket.client_stream import ClientStream, send_to_all
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.input_window import InputWindow
from lastcall.ids import Incarnation, PlayerId, RoomId
from lastcall.policy import SocketPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import frames, nodes


class Relay:
    """The actor of one room with clients here: made with its first place here, ended with its last.

    Its task is the room's lifetime on this node. Acks and notices of ends do not run in it: they
    are sent in batches for all rooms, since a wake-up of each room would cost more than the work.
    ``epoch`` only rises: what the room's owner before a hand-off still sends is dropped.
    """

    __slots__ = (
        "_empty",
        "_outputs",
        "_relays",
        "acks_due",
        "acks_scheduled",
        "epoch",
        "nursery",
        "owner",
        "places",
        "room",
        "seq",
        "suspended",
    )

    def __init__(self, relays: Relays, room: RoomId, epoch: int, owner: Incarnation) -> None:
        self._empty = trio.Event()
        self._relays = relays
        self.room = room
        self.epoch = epoch
        self.owner = owner
        """The game process that has had the room since ``epoch``."""
        self.nursery: trio.Nursery | None = None
        """Tasks that must end with the room's time on this node; None until :meth:`run` begins."""
        self.seq = 0
        """The number of the room's last message that came by the live places' link."""
        self.places: dict[PlayerId, Place] = {}
        """The live ones, which the room's messages reach."""
        self._outputs: list[ClientStream] | None = None
        """Their clients' streams; None if they are others than at the last message."""
        self.suspended: dict[PlayerId, Place] = {}
        self.acks_due: list[Place] = []
        """The places whose clients get an ack with the next message, or soon."""
        self.acks_scheduled = False
        """Whether :class:`AckTimer` will send them, if no message comes before."""

    async def run(self) -> None:
        """Runs until the last client has left; when cancelled, ends its nursery silently."""
        async with trio.open_nursery() as self.nursery:
            await self._empty.wait()
            self.nursery.cancel_scope.cancel()

    def add(self, place: Place) -> None:
        """Adds ``place``; another session that had the same player's place is taken over."""
        previous = self.places.get(place.player) or self.suspended.pop(place.player, None)
        self.places[place.player] = place
        self._outputs = None
        if previous is not None and previous.session is not place.session:
            previous.taken_over()

    def remove(self, place: Place) -> None:
        """Takes ``place`` out, unless another place has the player's seat by now."""
        for places in (self.places, self.suspended):
            if places.get(place.player) is place:
                del places[place.player]
        self._outputs = None
        if not (self.places or self.suspended):
            self._relays.drop(self)
            self._empty.set()

    def suspend(self, place: Place) -> None:
        """The place has lost its room: nothing is passed on, either way, until :meth:`resume`."""
        self.suspended[place.player] = self.places.pop(place.player)
        self._outputs = None
        place.replayed_seq = place.seen
        place.status = PlaceStatus.SUSPENDED

    def resume(self, place: Place) -> None:
        """Passes the room's messages on to the suspended place again."""
        self.places[place.player] = self.suspended.pop(place.player)
        self._outputs = None

    def rise(self, epoch: int, owner: Incarnation, link: Link | None = None) -> list[Place]:
        """The room has ``epoch`` at ``owner``: returns the places to renew there, suspended.

        Places that use ``link``, which leads there, stay. All others must get nothing more from
        here: the messages that they miss would never come. If the epoch is not new, nothing
        changes.
        """
        if epoch <= self.epoch:
            return []
        if owner != self.owner:
            self._relays.counts.rooms_moved += 1
        self.epoch, self.owner = epoch, owner
        for place in [place for place in self.places.values() if place.link is not link]:
            self.suspend(place)
        return list(self.suspended.values())

    def remember_leave(self, link: Link, leave: nodes.Leave) -> None:
        """A leave was sent: the room may move before the game node applies it."""
        self._relays.left.add(link, leave)

    def message(self, item: nodes.Message) -> None:
        """Fans one message out. No place vanishes meanwhile: see
        :mod:`lastcall.api.sessions.client_connection`.

        An ack that is due goes before the message, and so leaves in the same write: a client that
        gets messages often pays nothing for its acks.
        """
        self.seq = item.seq
        frame = text_frame(frames.message(item.seq, item.body))
        if item.to is None:
            outputs = self._outputs
            if outputs is None:
                outputs = self._outputs = [place.output for place in self.places.values()]
            counts = self._relays.counts
            counts.frames_out += len(outputs)
            counts.bytes_out += len(outputs) * len(frame)
            if self.acks_due:
                self._send_acks()
            send_to_all(outputs, frame)
            return
        for player in item.to:
            addressed = self.places.get(player)
            if addressed is not None:
                self.send(addressed, frame)

    def send(self, place: Place, frame: bytes) -> None:
        """Sends a frame to the place's client alone, as its connection would: each object on the
        way there is one more to be fetched from memory.
        """
        counts = self._relays.counts
        counts.frames_out += 1
        counts.bytes_out += len(frame)
        place.output.send_nowait(frame)

    def schedule_acks(self) -> None:
        """Has the acks sent that are due, and those that will be, at the timer's end."""
        self.acks_scheduled = True
        self._relays.acks.schedule(self)

    def take_acks_due(self) -> list[Place]:
        """The places that are to get their acks now, since the timer has ended."""
        self.acks_scheduled = False
        due, self.acks_due = self.acks_due, []
        return due

    def _send_acks(self) -> None:
        due, self.acks_due = self.acks_due, []
        for place in due:
            if place.ack_due:
                place.send_ack()

    def end(self, reason: EndReason, result: bytes) -> None:
        """The room is over for all who have its last message, whatever becomes of its link.

        A suspended place does not have it: it gets the rest, and the end, when it is reattached.
        """
        places, self.places, self._outputs = self.places, {}, None
        self._relays.ends.send(list(places.values()), lambda place: place.end(reason, result))


class Relays:
    """All rooms with clients on this node.

    ``start`` starts a task, such as a room's; ``counts`` are the node's, since a room's messages
    count as well.
    """

    def __init__(
        self, policy: SocketPolicy, start: Start, counts: ClientCounts | None = None
    ) -> None:
        self._policy = policy
        self._start = start
        self._relays: dict[RoomId, Relay] = {}
        self.left = SentLeaves()
        self.counts = counts or ClientCounts()
        self.acks = AckTimer(policy.ack_seconds, start)
        self.ends = EndNotices(start)

    @property
    def rooms(self) -> int:
        """How many rooms have a client here."""
        return len(self._relays)

    def seat(
        self, link: Link, news: nodes.Seated | nodes.Resumed, session: Session
    ) -> Sequence[Place]:
        """A session's join or resume has a place: makes it and hands it over.

        A session that is gone by now gets none, and the room is told so. A resumed client's missed
        messages follow as :class:`lastcall.wire.nodes.Replay`; its inputs count on from the last
        one that the room has.

        Returns the suspended places whose room is known to be at another game node now; the new
        place is among them if the room has moved on since the answer.
        """
        if session.state is State.GONE:
            link.send(nodes.Absent(news.room, news.player, news.session))
            return ()
        relay = self._relays.get(news.room)
        owner = link.node.incarnation
        if relay is None:
            relay = self._relays[news.room] = Relay(self, news.room, news.epoch, owner)
            self._start(relay.run)
        moved = relay.rise(news.epoch, owner, link)
        relay.seq = max(relay.seq, news.seq)
        acked = news.n if isinstance(news, nodes.Resumed) else 0
        window = InputWindow(self._policy.unacked_inputs, self._policy.unacked_bytes, acked)
        place = Place(relay, link, news, session, window)
        relay.add(place)
        session.placed(place, news)
        if news.epoch < relay.epoch and place.status is PlaceStatus.LIVE:
            relay.suspend(place)
            moved.append(place)
        return moved

    def take(self, link: Link, item: nodes.Down) -> Sequence[Place]:
        """Passes on what a game node sends to places; an item that concerns none is dropped.

        Returns the places, suspended, whose room the item shows to be at another game node now.
        """
        moved: Sequence[Place] = ()
        match item:
            case nodes.Message():
                relay = self._relays.get(item.room)
                if relay is not None and item.epoch >= relay.epoch:
                    if item.epoch > relay.epoch:
                        moved = relay.rise(item.epoch, link.node.incarnation, link)
                    relay.message(item)
            case nodes.Ended() | nodes.Moved():
                moved = self._take_state(link, item)
            case nodes.Acks():
                for room, player, n in item.acks:
                    if place := self._place(link, room, player):
                        place.acked(n)
            case nodes.BadInput() | nodes.Wanted() | nodes.Out() | nodes.Replay():
                if place := self._place(link, item.room, item.player):
                    _pass_on(place, item)
            case _:
                pass  # answers to calls and the node's state are for api.games
        return moved

    def _take_state(self, link: Link, item: nodes.Ended | nodes.Moved) -> Sequence[Place]:
        relay = self._relays.get(item.room)
        if relay is None or item.epoch < relay.epoch:
            return ()
        if isinstance(item, nodes.Moved):
            return relay.rise(item.epoch, item.to)
        moved = relay.rise(item.epoch, link.node.incarnation, link)
        relay.end(_reason(item.reason), item.result)
        return moved

    def lost(self, link: Link, reason: EndReason) -> None:
        """The link's rooms have ended for ``reason``: tells all clients in them."""
        self.ends.send(self._places(link), lambda place: place.end(reason))

    def suspend(
        self, link: Link, which: Callable[[Place], bool] = lambda _place: True
    ) -> list[Place]:
        """The link is over: suspends its places, of all or ``which``; returns them."""
        places = list(filter(which, self._places(link)))
        for place in places:
            self._relays[place.room].suspend(place)
        return places

    def regroup(
        self, link: Link, item: nodes.Regroup
    ) -> list[tuple[Session, frames.Join, tuple[str, ...]]]:
        """Empties a room that was given up before it started.

        Returns its sessions here, each with the join that finds its player another room, and the
        tickets that the client may have until then; but not those with a pending leave.
        """
        relay = self._relays.get(item.room)
        if relay is None or item.epoch < relay.epoch:
            return []
        options = msgspec.Raw(item.options)
        found = []
        for player, name, key in item.players:
            place = relay.places.get(player)
            if place and place.link is link and place.seat_gone(place.session.regrouped):
                join = frames.Join(kind=item.kind, options=options, name=name, key=key)
                found.append((place.session, join, item.former.get(player, ())))
        return found

    def leaves(self, link: Link, room: RoomId) -> list[nodes.Leave]:
        """The leaves from ``room`` that were sent on ``link``, of the last ones."""
        return self.left.of(link, room)

    def sessions(self, link: Link) -> list[Session]:
        """The sessions whose live place uses ``link``."""
        return [place.session for place in self._places(link)]

    def drop(self, relay: Relay) -> None:
        """Forgets a room that has no client here any more."""
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


def _pass_on(place: Place, item: nodes.BadInput | nodes.Wanted | nodes.Out | nodes.Replay) -> None:
    match item:
        case nodes.BadInput():
            place.session.connection.error(_code(item.code), item.message, item.n)
        case nodes.Wanted():
            place.resend(item.n)
        case nodes.Replay(session=number):
            if number == place.session_number:
                for seq, body in item.messages:
                    place.session.connection.send_built(text_frame(frames.message(seq, body)))
                    place.replayed_seq = seq
        case nodes.Out(session=number):
            if number not in {0, place.session_number}:
                return
            if item.reason == nodes.TAKEN_OVER:
                place.taken_over()
            else:
                place.end(_reason(item.reason), item.result)


def _reason(text: str) -> EndReason:
    """The reason; one of a later version, which our clients would not know, is *cut*."""
    try:
        return EndReason(text)
    except ValueError:
        return EndReason.CUT


def _code(text: str) -> ErrorCode:
    try:
        return ErrorCode(text)
    except ValueError:
        return ErrorCode.BAD_INPUT
