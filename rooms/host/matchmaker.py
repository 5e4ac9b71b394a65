"""Joins: which room a player gets a seat in, and whether one is opened for them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import trio

from lastcall.core.room.former_places import read_tickets
from lastcall.errors import BadFrame
from lastcall.host.codec import KindCodec
from lastcall.host.live_room import LiveRoom
from lastcall.host.players import FULL
from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import KindName, LinkId, NodeName, RoomId, new_room
from lastcall.kind import Kind
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes


class Matchmaker:
    """Seats the players of one host; the rooms that it opens are added to ``rooms``."""

    def __init__(
        self,
        rooms: RunningRooms,
        *,
        kinds: Mapping[KindName, Kind],
        node: NodeName,
        rng: random.Random,
    ) -> None:
        self._rooms = rooms
        self.codecs = {
            name: KindCodec(kind, state_bytes=rooms.policy.state_bytes)
            for name, kind in kinds.items()
        }
        self._node = node
        self._rng = rng
        self._opened = 0
        self.sizes = {name: kind.seats for name, kind in kinds.items()}
        """The seats of a room, for every kind that is served."""
        self.seated = 0
        """How many joins have a seat; a repeated one counts again."""
        self.refusals: Counter[str] = Counter()
        """Those that have none, by code; without those that ask for a seat taken before."""
        self.work: trio.Nursery | None = None
        """Where rooms run; none is opened before there is one."""
        self.doors_open = True
        """If not, only joins that name a room get a seat; the rest is ``draining``."""

    def room_of(self, join: nodes.Join) -> RoomId | None:
        """The id of the room that ``join`` names, or where its key or a former ticket has a seat.

        That room may be held here, or have moved.
        """
        if join.room:
            return join.room
        if join.key and (room_id := self._rooms.by_key.get((join.kind, join.key))) is not None:
            return room_id
        present = self._rooms.former_places.find(read_tickets(join.former))
        return None if present is None else present[0]

    def holder(self, join: nodes.Join) -> LiveRoom | None:
        """The running room in which a seat may have been taken with the key of ``join`` before, or
        for one of its former tickets.
        """
        room_id = self.room_of(join)
        room = None if room_id is None else self._rooms.by_id.get(room_id)
        if room is None or join.room or room.players.taken_by(join) is not None:
            return room
        return None

    def join(self, link: LinkId, join: nodes.Join) -> None:
        """Seats a player, or tells the link why not."""
        if join.room:
            self._join_room(link, join)
        elif (codec := self.codecs.get(join.kind)) is None:
            known = ", ".join(sorted(self.codecs))
            self._refuse(link, join, ErrorCode.NO_SUCH_KIND, f"no kind {join.kind!r}; {known}")
        else:
            self._join_kind(link, join, codec)

    def _join_room(self, link: LinkId, join: nodes.Join) -> None:
        room = self._rooms.by_id.get(join.room)
        if room is not None:
            refusal = self._seat(room, link, join)
        else:
            refusal = nodes.NO_SUCH_PLACE if join.seated_only else ErrorCode.NO_SUCH_ROOM
        if refusal is not None:
            self._refuse(link, join, refusal, f"room {join.room!r}: {_WHY[refusal]}")

    def _join_kind(self, link: LinkId, join: nodes.Join, codec: KindCodec) -> None:
        previous = self.holder(join)
        refusal = nodes.NO_SUCH_PLACE
        if previous is not None:
            refusal = self._seat(previous, link, join) or ""
        final = (nodes.WRONG_KEY, ErrorCode.NO_GAME_NODE)  # they may have a seat in that room
        if refusal in final or (refusal and join.seated_only):
            self._refuse(link, join, refusal, _WHY[refusal])
        elif refusal:
            self._join_anew(link, join, codec)

    def _join_anew(self, link: LinkId, join: nodes.Join, codec: KindCodec) -> None:
        """Seats a player who has no seat by their key."""
        if not self.doors_open or self.work is None:
            self._refuse(link, join, nodes.DRAINING, "this node opens no rooms")
            return
        try:
            options = codec.read_options(join.options)
        except BadFrame as bad:
            self._refuse(link, join, bad.code, str(bad))
            return
        self._seat_or_open(link, join, codec, options, self.work)

    def _seat_or_open(
        self, link: LinkId, join: nodes.Join, codec: KindCodec, options: Any, work: trio.Nursery
    ) -> None:
        chosen = (
            None
            if join.new
            else self._rooms.open_rooms.choose(
                join.kind, lambda room_id: self._rooms.by_id[room_id].state.bars(join)
            )
        )
        limits = self._rooms.limits
        if chosen is not None:
            refusal = self._seat(self._rooms.by_id[chosen], link, join)
            if refusal is not None:
                self._refuse(link, join, refusal, _WHY[refusal])
        elif not limits.may_open(len(self._rooms.by_id) + len(self._rooms.held.by_id)):
            message = f"this node runs {limits.rooms} rooms, its limit"
            self._refuse(link, join, ErrorCode.FULL, message)
        elif (refusal := limits.refusal(join)) is not None:
            self._refuse(link, join, refusal, _WHY[refusal])
        elif not limits.take_opening(join):
            message = "too many new rooms from your address; wait a second before the next"
            self._refuse(link, join, ErrorCode.TOO_MANY, message)
        else:
            room = self._open(codec, options, join)
            self._seat(room, link, join)
            if self._rooms.cut_at is not None:
                room.warn(max(0.0, self._rooms.cut_at - trio.current_time()))
            work.start_soon(room.run, name=room.state.id)

    def _seat(self, room: LiveRoom, link: LinkId, join: nodes.Join) -> str | None:
        refusal = room.players.join(link, join, self._rng)
        self.seated += refusal is None
        if room.state.roster.find_own(join.key) is not None and refusal is None:
            self._rooms.by_key[room.state.kind, join.key] = room.state.id
        return refusal

    def _open(self, codec: KindCodec, options: Any, join: nodes.Join) -> LiveRoom:
        room_id = new_room(self._rng, self._node)
        room = LiveRoom(
            self._rooms,
            codec,
            room_id=room_id,
            options=options,
            raw_options=join.options,
            age=self._opened,
            private=join.private,
        )
        self._opened += 1
        self._rooms.by_id[room_id] = room
        return room

    def _refuse(self, link: LinkId, join: nodes.Join, code: str, message: str) -> None:
        self.refusals[code] += not join.seated_only
        self._rooms.outbox(link, nodes.Refused(join.call, code, message))


_WHY: dict[str, str] = {
    nodes.NO_SUCH_PLACE: "no seat was taken with that key or for that ticket",
    nodes.WRONG_KEY: "the seat of that key is not yours",
    ErrorCode.NO_SUCH_ROOM: "there is none of that id, or it is over",
    ErrorCode.FULL: "every seat is taken",
    ErrorCode.NO_GAME_NODE: FULL,
    ErrorCode.LOCKED: "it takes no more players",
    ErrorCode.TOO_MANY: "too many seats are taken from your address; leave one, or wait",
}
