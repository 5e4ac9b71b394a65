"""Rooms leave this host and come to it: frozen and thawed, adopted and released.

All but :meth:`Moves.freeze` is synchronous. A *giver* freezes a room, and then either thaws it or
says where it has moved; a *taker* adopts its image, and then either releases the room or withdraws.
Both go one way: a room is made from its image, held for a while, and run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

import trio

from lastcall.core.room.moved_rooms import MovedRoom
from lastcall.core.room.takeovers import PendingTakeover
from lastcall.errors import ImageRefused, StateFailed
from lastcall.host.freezing import MutedHost, at_rest
from lastcall.host.held_rooms import HeldRoom
from lastcall.host.images import capture, restore
from lastcall.host.live_room import LiveRoom
from lastcall.host.matchmaker import Matchmaker
from lastcall.host.places import Places
from lastcall.host.room_state import RoomState
from lastcall.host.running_rooms import RunningRooms
from lastcall.host.standby_copy import StandbyCopy
from lastcall.host.waking import Waking
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes
from lastcall.wire.images import Image, encode_image

END_SECONDS = 1.0
"""For the tasks of a frozen room to end; then they are left behind, and heard by nobody."""


class Moves:
    """The rooms of one host that come and go."""

    def __init__(self, rooms: RunningRooms, matchmaker: Matchmaker, places: Places) -> None:
        self._rooms = rooms
        self._held = rooms.held
        self._matchmaker = matchmaker
        self._places = places
        self._muted = MutedHost(rooms.policy, rooms.on_crash)
        self.waking = Waking(rooms, places)

    def movable(self, *moves: str) -> list[RoomState]:
        """The running rooms of kinds that move so: ``at_once``, ``deadline``. Not the protected
        ones: they are handed over to the nodes with their copies.
        """
        states = (room.state for room in self._rooms.by_id.values())
        return [state for state in states if state.codec.kind.moves in moves and _may_move(state)]

    async def freeze(self, room_id: RoomId) -> Image | None:
        """Stops the room at rest, and returns its image; nobody is told that it does not run.

        It is held then, until :meth:`thaw` or :meth:`moved`. None if there is no such running room,
        if its kind never moves, if it is protected, if its state fails, or if it does not come to
        rest within 1 s: it runs on, or has ended. When cancelled, the room runs. Takes at most 2 s,
        of which the last one, for the end of the room's tasks, cannot be cancelled; and up to 1 s
        more for a room that has just come.
        """
        await self.waking.wait(room_id)
        room = self._rooms.by_id.get(room_id)
        if room is None or not room.state.codec.kind.can_move or not _may_move(room.state):
            return None
        try:
            taken = await at_rest(room, partial(self._take, room))
        except BaseException:
            self._thaw(room_id)
            raise
        if taken is None:
            return None
        image, ended = taken
        with trio.move_on_after(END_SECONDS, shield=True):
            await ended.wait()
        return image

    def thaw(self, image: Image) -> None:
        """The room of that image, which was frozen here, runs on here."""
        self._thaw(image.room)

    def moved(self, room_id: RoomId, where: nodes.Whereabouts) -> list[LinkId]:
        """The room, which was frozen here, is at ``where``: tells its players' nodes, and from now
        on those who ask for it. The nodes of players who have left say so again there. Returns the
        links of those nodes.
        """
        held = self._held.take(room_id, frozen=True)
        if held is None:
            return []
        links = list(dict.fromkeys(held.links.values()))
        moved = self._tell(held.room.state, where, links)
        for link, request in held.requests:
            self._held.answer(link, request, moved)
        self._rooms.check_all_ended()
        return links

    def drop(self, room_id: RoomId, where: nodes.Whereabouts) -> None:
        """A protected room, which runs here, goes on at ``where``: mutes it, and tells who asks for
        it as :meth:`moved` does. Its words that wait are dropped.
        """
        room = self._rooms.by_id.get(room_id)
        if room is None or room.state.changes is None:
            return
        links = list(room.state.roster.links)
        takeovers = self._mute(room)
        moved = self._tell(room.state, where, links)
        for each in takeovers:
            self._held.answer(each.link, each.request, moved)
        self._rooms.check_all_ended()

    def leave(self, room_id: RoomId) -> None:
        """A protected room, which runs here, goes on at a node that is not known yet: mutes it, and
        tells nobody. Its words that wait are dropped.
        """
        room = self._rooms.by_id.get(room_id)
        if room is not None and room.state.changes is not None:
            for each in self._mute(room):
                self._places.handle(each.link, each.request)  # the protector answers
            self._rooms.check_all_ended()

    def adopt(self, image: Image) -> str | None:
        """Holds the room of an image that came from another node; returns why not, if so.

        Reads the whole image, so that :meth:`release` cannot fail; a refusal changes nothing.
        """
        codec = self._matchmaker.codecs.get(image.kind)
        if codec is None or not codec.kind.can_move:
            return f"this node has no kind {image.kind!r} that can move"
        size = len(encode_image(image))
        if (reason := self._full(image, size)) is not None:
            return reason
        try:
            room = restore(self._rooms, codec, image)
        except ImageRefused as refusal:
            return str(refusal)
        self._held.add(HeldRoom(room, image.seats, frozen=False, size=size))
        _add_places(self._rooms, room.state)
        self._rooms.on_change()
        return None

    def promote(self, image: Image, moves: Collection[str] = ()) -> str | None:
        """Runs the room of a standby's image here, at once; returns why not, if so.

        Its epoch is the one of the image. No limit of this node refuses it: it has no other place.
        While this node is cut, it runs if rooms of kinds that move so still leave.
        """
        work, codec = self._matchmaker.work, self._matchmaker.codecs.get(image.kind)
        if work is None or work.cancel_scope.cancel_called or codec is None:
            return f"this node runs no rooms of the kind {image.kind!r}"
        if image.room in self._rooms.by_id or image.room in self._held.by_id:
            return f"the room {image.room} is here already"
        try:
            room = restore(self._rooms, codec, image)
        except ImageRefused as refusal:
            return str(refusal)
        _add_places(self._rooms, room.state)
        self._held.moved.remove(image.room)
        held = HeldRoom(room, image.seats, frozen=False, size=0)
        self.waking.run(held, work, spared=codec.kind.moves in moves)
        return None

    def keep(self, data: bytes) -> StandbyCopy:
        """The copy of a room that runs on another node, from its encoded image.

        Raises :class:`ImageRefused` for an image that this node could not run.
        """
        return StandbyCopy.from_image(data, self._matchmaker.codecs, self._muted)

    def release(self, room_id: RoomId) -> bool:
        """Runs an adopted room; returns whether there was one, and it can run here."""
        work = self._matchmaker.work
        if work is None or work.cancel_scope.cancel_called:
            return False
        held = self._held.take(room_id, frozen=False)
        if held is not None:
            self._held.moved.remove(room_id)
            self.waking.run(held, work)
        return held is not None

    def withdraw(self, room_id: RoomId) -> None:
        """Forgets an adopted room; requests for it are answered as if it never was here."""
        held = self._held.take(room_id, frozen=False)
        if held is not None:
            if self._held.moved.find(room_id) is None:
                _forget_places(self._rooms, held.room.state)
            for link, item in held.requests:
                self._places.handle(link, item)
            self._rooms.on_change()

    def _full(self, image: Image, size: int) -> str | None:
        """Why this node takes no room now, or not this one again."""
        rooms, held = self._rooms, self._held
        moved = held.moved.find(image.room)
        if image.room in rooms.by_id or image.room in held.by_id:
            return f"the room {image.room} is here already"
        if moved is not None and moved.where.epoch >= image.epoch:
            return f"the room {image.room} has moved on to {moved.where.name}"
        if self._matchmaker.work is None or not self._matchmaker.doors_open:
            return "this node opens no rooms"
        if not rooms.limits.may_open(len(rooms.by_id) + len(held.by_id)):
            return f"this node runs {rooms.limits.rooms} rooms, its limit"
        if held.adopted_bytes + size > rooms.policy.adopted_bytes:
            return f"this node holds images of {rooms.policy.adopted_bytes} bytes, its limit"
        return None

    def _take(self, room: LiveRoom) -> tuple[Image, trio.Event] | None:
        """Takes the room's image, and the room out of the running ones; the event is set when its
        tasks have ended. None if it is over, or if its state fails.
        """
        copied = None if room.state.closed else self._rooms.author_states.attempt(room.state, _copy)
        if copied is None:
            return None
        image, again = copied
        held = HeldRoom(again, image.seats, frozen=True, size=len(image.state))
        for seat in room.state.roster:
            if not seat.away:
                held.links[seat.player] = seat.link
            if seat.blocked:
                held.missed.add(seat.player)
        takeovers = self._rooms.take_out(room)
        self._held.add(held, [(each.link, each.request) for each in takeovers])
        return image, room.depart(self._muted)

    def _mute(self, room: LiveRoom) -> list[PendingTakeover]:
        """Takes a protected room out in silence; returns who waits for one of its seats."""
        takeovers = self._rooms.take_out(room)
        steps = self._rooms.protected.remove(room.state.id)
        if steps is not None:
            steps.drop()
        room.depart(self._muted)
        return takeovers

    def _tell(
        self, state: RoomState, where: nodes.Whereabouts, links: Iterable[LinkId]
    ) -> MovedRoom:
        """Tells ``links`` that the room is at ``where``, and from now on those who ask for it."""
        item = nodes.Moved(state.id, where.epoch, where.incarnation, where.name)
        for link in links:
            self._rooms.outbox(link, item)
        keys = tuple((state.kind, seat.key) for seat in state.roster if seat.key)
        moved = MovedRoom(where, keys)
        self._held.moved.add(state.id, moved)
        _forget_oldest(self._rooms)
        return moved

    def _thaw(self, room_id: RoomId) -> None:
        held = self._held.take(room_id, frozen=True)
        if held is not None and self._matchmaker.work is not None:
            self.waking.run(held, self._matchmaker.work)


def _may_move(state: RoomState) -> bool:
    return state.changes is None and not state.closed


def _add_places(rooms: RunningRooms, state: RoomState) -> None:
    """Joins by key, and requests with former tickets, find the room from now on."""
    for seat in state.roster:
        if seat.key:
            rooms.by_key.setdefault((state.kind, seat.key), state.id)
        rooms.former_places.add(state.id, seat)


def _forget_places(rooms: RunningRooms, state: RoomState) -> None:
    for seat in state.roster:
        rooms.forget_key(state, seat)
        rooms.former_places.forget(seat)


def _forget_oldest(rooms: RunningRooms) -> None:
    """Forgets the rooms that moved first, beyond the bound, and the keys that find them."""
    for room_id, moved in rooms.held.moved.forget():
        for key in moved.keys:
            if rooms.by_key.get(key) == room_id:
                del rooms.by_key[key]


def _copy(state: RoomState) -> tuple[Image, LiveRoom]:
    """The room's image, and a room from it; raises :class:`StateFailed` for one that its own kind
    cannot read again.
    """
    image = capture(state)
    try:
        return image, restore(state.host, state.codec, image)
    except ImageRefused as refused:
        raise StateFailed(f"the room's image cannot be read again: {refused}") from refused
