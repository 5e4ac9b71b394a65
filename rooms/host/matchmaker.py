"""Joins: which room a player gets a seat in, and whether one is opened for him."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import trio

from lastcall.author import Kind
from lastcall.core.room.open_rooms import OpenRooms
from lastcall.core.room.roster import Seat
from lastcall.errors import BadFrame
from lastcall.host.codec import KindCodec
from lastcall.host.live_room import LiveRoom
from lastcall.host.players import Players, RoomHost
from lastcall.ids import KindName, LinkId, NodeName, RoomId, new_room
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes

__all__ = ["Matchmaker"]


class Matchmaker:
    """Of one house. ``rooms`` are those that run; what is opened here is added to them."""

    def __init__(
        self,
        house: RoomHost,
        rooms: dict[RoomId, LiveRoom],
        *,
        kinds: Mapping[KindName, Kind],
        node: NodeName,
        rng: random.Random,
    ) -> None:
        self._house = house
        self._rooms = rooms
        self._kinds = {name: KindCodec(kind) for name, kind in kinds.items()}
        self._node = node
        self._rng = rng
        self._open_rooms = OpenRooms(self._kinds)
        self._keys: dict[tuple[KindName, str], Players] = {}
        self._opened = 0
        self.work: trio.Nursery | None = None
        """Where rooms run; none is opened before there is one."""
        self.doors_open = True
        """If not, only rooms that a join names take players; the rest is ``draining``."""

    def __len__(self) -> int:
        """How many of those who sit here have given a key."""
        return len(self._keys)

    def seats(self) -> dict[KindName, int]:
        """Free seats in open rooms, for every kind that is served."""
        return self._open_rooms.seats()

    @property
    def sizes(self) -> dict[KindName, int]:
        """The seats of a room, for every kind that is served."""
        return {name: served.kind.seats for name, served in self._kinds.items()}

    def doors_changed(self, room: Players) -> None:
        """Its free seats are others than before."""
        self._open_rooms.put(
            room.id, room.served.kind.name, age=room.age, free=room.free, started=room.started
        )

    def forget(self, room: Players, seat: Seat) -> None:
        """The seat's key is good for another place now."""
        name = (room.served.kind.name, seat.key)
        if seat.key and self._keys.get(name) is room:
            del self._keys[name]

    def holder(self, join: nodes.Join) -> Players | None:
        """The room in which a seat may have been taken with the key of ``join`` before."""
        if join.room:
            return self._rooms.get(join.room)
        return self._keys.get((join.kind, join.key)) if join.key else None

    def join(self, link: LinkId, join: nodes.Join) -> None:
        """Seats a player, or tells his link why not."""
        if join.room:
            self._join_room(link, join)
        elif (served := self._kinds.get(join.kind)) is None:
            known = ", ".join(sorted(self._kinds))
            self._refuse(link, join, ErrorCode.NO_SUCH_KIND, f"no kind {join.kind!r}; {known}")
        else:
            self._join_kind(link, join, served)

    def _join_room(self, link: LinkId, join: nodes.Join) -> None:
        room = self._rooms.get(join.room)
        if room is not None:
            refusal = self._admit(room, link, join)
        else:
            refusal = nodes.NO_SUCH_PLACE if join.seated_only else ErrorCode.NO_SUCH_ROOM
        if refusal is not None:
            self._refuse(link, join, refusal, f"room {join.room!r}: {_WHY[refusal]}")

    def _join_kind(self, link: LinkId, join: nodes.Join, served: KindCodec) -> None:
        mine = self.holder(join)
        if mine is not None and mine.admit(link, join, self._rng) is None:
            return
        if join.seated_only:
            self._refuse(link, join, nodes.NO_SUCH_PLACE, _WHY[nodes.NO_SUCH_PLACE])
            return
        if not self.doors_open or self.work is None:
            self._refuse(link, join, nodes.DRAINING, "this node opens no rooms")
            return
        try:
            options = served.read_options(join.options)
        except BadFrame as bad:
            self._refuse(link, join, bad.code, str(bad))
            return
        self._seat_or_open(link, join, served, options)

    def _seat_or_open(
        self, link: LinkId, join: nodes.Join, served: KindCodec, options: Any
    ) -> None:
        chosen = None if join.new else self._open_rooms.choose(join.kind)
        limit = self._house.policy.max_rooms
        if chosen is not None:
            self._admit(self._rooms[chosen], link, join)
        elif len(self._rooms) >= limit:
            self._refuse(link, join, ErrorCode.FULL, f"this node runs {limit} rooms, its limit")
        else:
            room = self._open(served, options, join.options)
            self._admit(room, link, join)
            self._start(room)

    def _admit(self, room: LiveRoom, link: LinkId, join: nodes.Join) -> str | None:
        refusal = room.admit(link, join, self._rng)
        if refusal is None and join.key:
            self._keys[room.served.kind.name, join.key] = room
        return refusal

    def _open(self, served: KindCodec, options: Any, raw: bytes) -> LiveRoom:
        room_id = new_room(self._rng, self._node)
        room = LiveRoom(
            self._house,
            served,
            room_id=room_id,
            options=options,
            raw_options=raw,
            age=self._opened,
        )
        self._opened += 1
        self._rooms[room_id] = room
        return room

    def _start(self, room: LiveRoom) -> None:
        if self._house.cut_at is not None:
            room.warn(max(0.0, self._house.cut_at - trio.current_time()))
        if self.work is not None:
            self.work.start_soon(room.run, name=room.id)

    def _refuse(self, link: LinkId, join: nodes.Join, code: str, message: str) -> None:
        self._house.outbox(link, nodes.Refused(join.call, code, message))


_WHY: dict[str, str] = {
    nodes.NO_SUCH_PLACE: "no seat was taken with that key",
    ErrorCode.NO_SUCH_ROOM: "there is none of that id, or it is over",
    ErrorCode.FULL: "every seat is taken",
    ErrorCode.LOCKED: "it takes no more players",
}
