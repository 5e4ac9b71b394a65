"""Rooms that do not run here, but that players may ask for here: held rooms, and moved ones.

A *held* room was frozen here, or adopted and not yet released. Requests for it wait, in order,
until it runs here and first rests, or has moved; inputs are dropped until it runs, since the api
nodes keep them until they are acked. A *moved* room runs on another node: requests for it are
answered with that node's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from lastcall.core.room.moved_rooms import MovedRoom, MovedRooms
from lastcall.host.live_room import LiveRoom
from lastcall.ids import LinkId, PlayerId, RoomId
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from lastcall.wire.images import SeatImage

REQUESTS_MAX = 16_384
"""Requests that wait on one node, of up to a few KiB each. A join or resume beyond that is refused,
and its client comes again; of what has no answer the room learns later, when the seat is lost."""

Request = tuple[LinkId, nodes.Up]


class HeldRoom:
    """A room that was made from its image, and does not run."""

    __slots__ = ("awake", "frozen", "links", "missed", "requests", "room", "seats", "size")

    def __init__(
        self, room: LiveRoom, seats: tuple[SeatImage, ...], *, frozen: bool, size: int
    ) -> None:
        self.room = room
        self.seats = seats
        """As in the image."""
        self.frozen = frozen
        """Whether it ran here, and may again; otherwise it was adopted."""
        self.size = size
        """Of the image, in bytes."""
        self.links: dict[PlayerId, LinkId] = {}
        """Of a frozen room, the players who are present, and by which link."""
        self.missed: set[PlayerId] = set()
        """The players whose inputs were dropped, and have to be sent again."""
        self.requests: list[Request] = []
        self.awake = trio.Event()
        """Set when the room runs again, and has come to rest."""

    def drop_link(self, link: LinkId) -> int:
        """The link is gone, and so are its players; returns how many of its requests waited."""
        before = len(self.requests)
        self.requests = [request for request in self.requests if request[0] != link]
        if link in self.links.values():
            self.links = {player: by for player, by in self.links.items() if by != link}
        return before - len(self.requests)


class HeldRooms:
    """The rooms that one node holds, and those that have moved from it; ``outbox`` answers."""

    def __init__(
        self,
        outbox: Callable[[LinkId, nodes.Down], None],
        requests_max: int = REQUESTS_MAX,
    ) -> None:
        self._outbox = outbox
        self._requests_max = requests_max
        self._waiting = 0
        self.by_id: dict[RoomId, HeldRoom] = {}
        self.waking: dict[RoomId, HeldRoom] = {}
        """Rooms that run again; requests for them wait for their first rest."""
        self.moved = MovedRooms()

    @property
    def frozen(self) -> list[LiveRoom]:
        """The rooms that ran here, and may again: they keep the node up."""
        return [held.room for held in self.by_id.values() if held.frozen]

    @property
    def adopted_bytes(self) -> int:
        """The bytes of the images that were adopted and are not released yet."""
        return sum(held.size for held in self.by_id.values() if not held.frozen)

    def add(self, held: HeldRoom, requests: Iterable[Request] = ()) -> None:
        """The room is held from now on; ``requests`` have waited for it already."""
        self.by_id[held.room.state.id] = held
        held.requests.extend(requests)
        self._waiting += len(held.requests)

    def take(self, room: RoomId, *, frozen: bool) -> HeldRoom | None:
        """The room is held no more; None if no such room is held, that was ``frozen`` or not."""
        held = self.by_id.get(room)
        if held is None or held.frozen is not frozen:
            return None
        self._waiting -= len(held.requests)
        return self.by_id.pop(room)

    def wake(self, held: HeldRoom) -> None:
        """The room, which was just taken, runs; its requests wait until it rests."""
        self.waking[held.room.state.id] = held
        self._waiting += len(held.requests)

    def woken(self, held: HeldRoom) -> list[Request]:
        """No more requests wait for the room's first rest; returns those that did."""
        if self.waking.get(held.room.state.id) is held:
            del self.waking[held.room.state.id]
        self._waiting -= len(held.requests)
        return held.requests

    def receive(self, link: LinkId, item: nodes.Up, room: RoomId | None) -> bool:
        """Whether ``item``, any but an input, is about a ``room`` that does not run, has not rested
        yet, or has moved: it waits then, or is answered.
        """
        if room is None:
            return False
        if (held := self.waking.get(room) or self.by_id.get(room)) is not None:
            self._wait(held, link, item)
            return True
        moved = self.moved.find(room)
        if moved is not None:
            self.answer(link, item, moved)
        return moved is not None

    def miss(self, link: LinkId, say: nodes.Say) -> None:
        """An input for a room that does not run here is dropped."""
        held = self.by_id.get(say.room)
        if held is not None and held.links.get(say.player) == link:
            held.missed.add(say.player)

    def drop_link(self, link: LinkId) -> None:
        """The link is gone: no request by it can be answered, and its players are away."""
        for held in (*self.by_id.values(), *self.waking.values()):
            self._waiting -= held.drop_link(link)

    def answer(self, link: LinkId, item: nodes.Up, moved: MovedRoom) -> None:
        """Says where the room is that ``item`` asks for."""
        if isinstance(item, nodes.Join | nodes.Resume):
            where = moved.where
            why = f"the room has moved to {where.name}"
            to, name = where.incarnation, where.name
            self._outbox(link, nodes.Refused(item.call, nodes.MOVED, why, to=to, name=name))

    def _wait(self, held: HeldRoom, link: LinkId, item: nodes.Up) -> None:
        if self._waiting < self._requests_max:
            held.requests.append((link, item))
            self._waiting += 1
        elif isinstance(item, nodes.Join | nodes.Resume):
            why = "too many requests wait for rooms that are about to move"
            self._outbox(link, nodes.Refused(item.call, ErrorCode.NO_GAME_NODE, why))

    def cancel(self, link: LinkId, cancel: nodes.Cancel) -> bool:
        """Whether the request that is cancelled waits here; it is refused then."""
        for held in (*self.by_id.values(), *self.waking.values()):
            for request in held.requests:
                if request[0] == link and getattr(request[1], "call", 0) == cancel.call:
                    held.requests.remove(request)
                    self._waiting -= 1
                    self._outbox(link, nodes.Refused(cancel.call, nodes.CANCELLED, "cancelled"))
                    return True
        return False
