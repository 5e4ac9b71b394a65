"""The places of players, in running and in ended rooms, and the requests for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import inf

import msgspec

from lastcall.core.room.roster import Seat
from lastcall.core.room.takeovers import PendingTakeover
from lastcall.errors import MisplacedItem
from lastcall.host.ended_rooms import EndedRooms
from lastcall.host.live_room import LiveRoom
from lastcall.host.matchmaker import Matchmaker
from lastcall.host.players import Players
from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes


class Places:
    """Finds the place that a request is about, and applies the request to it."""

    def __init__(self, rooms: RunningRooms, matchmaker: Matchmaker, rng: random.Random) -> None:
        self._rooms = rooms
        self._matchmaker = matchmaker
        self._rng = rng
        self.resumes = 0
        """How many resumes and renewals were granted."""

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        """Applies any item but an input; see :meth:`lastcall.host.host.Host.handle`.

        :mod:`lastcall.host.seat_binding` says which link may send which item.
        """
        item = self._translated(item)
        if self._is_done(link, item):
            return
        match item:
            case nodes.Join():
                self._request(link, item, self._matchmaker.holder(item))
            case nodes.Renew():
                self._grant(link, item)
            case nodes.Resume():
                self._request(link, item, self._running(item.room))
            case nodes.Cancel():
                self._rooms.takeovers.cancel(link, item.call)
            case nodes.Confirm():
                self._players(item.room).confirm(link, item)
            case nodes.Absent():
                self._hand_on(self._players(item.room).lose(link, item))
            case nodes.Leave():
                self._leave(link, item)

    def carry_out(self, takeover: PendingTakeover) -> None:
        """Does what the request asks for; it does not wait any more."""
        self._grant(takeover.link, takeover.request)

    def drop_link(self, link: LinkId, confirmed_until: float) -> Iterator[None]:
        """The players by ``link`` are away, one for each step; see ``Host.drop_link``."""
        rooms = self._rooms.by_id.items()
        ids = [room_id for room_id, room in rooms if link in room.state.roster.links]
        return self._drop_link(link, confirmed_until, ids)

    def _drop_link(
        self, link: LinkId, confirmed_until: float, rooms: list[RoomId]
    ) -> Iterator[None]:
        ended_rooms = self._rooms.ended_rooms
        yield from ended_rooms.drop_link(link, confirmed_until)
        while rooms:
            room_id, last = rooms.pop(), None
            while (room := self._rooms.by_id.get(room_id)) not in (None, last):
                for seat in room.players.drop_link(link):
                    self._hand_on(seat)
                    yield
                last = room  # or it was frozen meanwhile, and is another one now
            if room_id in self._rooms.held.by_id:
                self._rooms.held.drop_link(link)
            if self._running(room_id) is None:  # it has ended since, and they were not told
                yield from ended_rooms.drop_link(link, -inf, room_id)

    def _translated(self, item: nodes.Up) -> nodes.Up:
        """``item``, or for the resume of a former place the one of the present place."""
        if isinstance(item, nodes.Resume) and not isinstance(item, nodes.Renew):
            return self._rooms.former_places.translate(item)
        return item

    def _is_done(self, link: LinkId, item: nodes.Up) -> bool:
        """Whether all is done with the item: it is about a room that is held, has moved, or whose
        image is kept here; or it is a vote.
        """
        held = self._rooms.held
        if isinstance(item, nodes.Vote):
            self._rooms.protected.voted(link, item)
            return True
        if isinstance(item, nodes.Unknown):
            return True
        if isinstance(item, nodes.Move | nodes.OfRoom):
            raise MisplacedItem("only game nodes say that to each other")
        if isinstance(item, nodes.Cancel):
            return held.cancel(link, item)
        room = self._matchmaker.room_of(item) if isinstance(item, nodes.Join) else item.room
        if room is None or room in self._rooms.by_id:
            return room in held.waking and held.receive(link, item, room)
        return self._rooms.protected.asked(link, item, room) or held.receive(link, item, room)

    def _running(self, room_id: RoomId) -> LiveRoom | None:
        """The running room that has the players' places; None if they are in an ended room."""
        room = self._rooms.by_id.get(room_id)
        return None if room is None or room.state.regrouped else room

    def _players(self, room_id: RoomId) -> Players | EndedRooms:
        room = self._running(room_id)
        return self._rooms.ended_rooms if room is None else room.players

    def _request(
        self, link: LinkId, request: nodes.Join | nodes.Resume, room: LiveRoom | None
    ) -> None:
        """Grants the request, or lets it wait while another live socket has the seat."""
        seat = None if room is None else room.players.contested_seat(request)
        if room is not None and seat is not None:
            takeovers, room_id = self._rooms.takeovers, room.state.id
            if takeovers.begin(link, request, room=room_id, seat=seat):
                return
        self._grant(link, request)

    def _leave(self, link: LinkId, leave: nodes.Leave) -> None:
        if (room := self._running(leave.room)) is not None:
            room.players.leave(link, leave)

    def _hand_on(self, lost: Seat | None) -> None:
        """Gives a seat whose socket is lost to the request that waits for it, if any."""
        takeover = None if lost is None else self._rooms.takeovers.away(lost)
        if takeover is not None:
            self.carry_out(takeover)

    def _grant(self, link: LinkId, request: nodes.Join | nodes.Resume) -> None:
        if isinstance(request, nodes.Join):
            self._matchmaker.join(link, request)
            return
        refused = self._players(request.room).resume(link, request, self._rng)
        if refused is None:
            self.resumes += 1
        else:
            ended = request.player in self._rooms.ended_places
            outbox, room = self._rooms.outbox, self._running(request.room)
            if room is not None and not room.state.is_full:
                outbox = room.state.outbox
            outbox(link, msgspec.structs.replace(refused, ended=ended))
