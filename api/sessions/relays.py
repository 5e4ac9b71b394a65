"""All rooms with clients on an api node: each item of a game node finds the places that it is for.

A :class:`lastcall.api.sessions.relay.Relay` stands for one room with clients on this node, a
:class:`lastcall.api.sessions.place.Place` for one of those. Items go to the sessions at once, in
the caller's task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from lastcall.api.sessions.batch_tasks import AckTimer, EndNotices, Start
from lastcall.api.sessions.client_connection import ClientCounts
from lastcall.api.sessions.place import Link, Place, PlaceStatus
from lastcall.api.sessions.relay import Relay
from lastcall.api.sessions.sent_leaves import SentLeaves
from lastcall.api.sessions.session import Session
from lastcall.api.sessions.states import State
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.input_window import InputWindow
from lastcall.ids import PlayerId, RoomId
from lastcall.policy import SocketPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import frames, nodes


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
