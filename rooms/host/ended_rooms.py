"""Rooms that have ended, and the players who have not heard of it yet."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import trio

from lastcall.core.room.ended_rooms import EndedRoom, EndedRoomStore
from lastcall.core.room.replay import missed
from lastcall.core.room.roster import Seat
from lastcall.host.replies import EPOCH, no_such_place, resumed
from lastcall.host.tickets import check_ticket, rebind_seat
from lastcall.ids import LinkId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes

__all__ = ["EndedRooms"]

STEPS_PER_BATCH = 64
"""How many tombstones one step removes: each may hold a whole history."""


class EndedRooms:
    """All tombstones of a node, in trio's time; see :mod:`lastcall.core.room.ended_rooms`."""

    def __init__(self, policy: RoomPolicy, outbox: Callable[[LinkId, nodes.Down], None]) -> None:
        self._store = EndedRoomStore(
            count_max=policy.ended_rooms_max,
            bytes_max=policy.ended_rooms_bytes,
            drain_grace_seconds=policy.drain_grace_seconds,
        )
        self._outbox = outbox
        self._collected = trio.Event()

    def __len__(self) -> int:
        return len(self._store)

    def record_end(self, stone: EndedRoom, seconds: float) -> None:
        """A room has ended; its tombstone stands for ``seconds``."""
        self._store.expire(trio.current_time(), STEPS_PER_BATCH)
        self._store.add(stone, seconds)

    def expire(self) -> bool:
        """Removes tombstones whose time is over; True if there may be more of them."""
        return self._store.expire(trio.current_time(), STEPS_PER_BATCH) == STEPS_PER_BATCH

    def resume(
        self, link: LinkId, resume: nodes.Resume, rng: random.Random
    ) -> nodes.Refused | None:
        """Tells a player what he has missed and how the room ended; or why not.

        Was it regrouped, he is to be seated elsewhere as those who were there: he was away then,
        or the answer was lost with his socket. His key finds the seat that he may have already.
        """
        stone = self._store.find(resume.room, trio.current_time())
        if stone is None:
            return no_such_place(resume.call)
        seat = check_ticket(stone, resume)
        if isinstance(seat, nodes.Refused):
            return seat
        rebind_seat(stone, seat, link, resume, rng)
        owed = missed(
            stone.history, seat.player, seen=max(resume.seen, seat.joined_seq), seq=stone.seq
        )
        for item in resumed(stone.id, seat, resume.call, owed):
            self._outbox(link, item)
        self._outbox(link, _last_word(stone, seat))
        self._store.collected(stone, seat)
        self._collected.set()
        self._collected = trio.Event()
        return None

    def lose(self, absent: nodes.Absent) -> None:
        """A socket was lost that may not have heard of the end."""
        now = trio.current_time()
        stone = self._store.find(absent.room, now)
        seat = None if stone is None else stone.roster.find(absent.player)
        if stone is not None and seat is not None and seat.session == absent.session:
            self._store.lost(stone, seat, now)

    def drop_link(self, link: LinkId, since: float, room: RoomId | None = None) -> Iterator[None]:
        """A link is gone whose players may not have heard how rooms (or ``room``) have ended at
        ``since`` or later; one step each.
        """
        for stone in self._store.since(since, room):
            for seat in stone.roster.of_link(link):
                self._store.lost(stone, seat, trio.current_time())
                yield

    def confirm(self, confirm: nodes.Confirm) -> None:
        """The client has the answer to his resume."""
        stone = self._store.find(confirm.room, trio.current_time())
        seat = None if stone is None else stone.roster.find(confirm.player)
        if seat is not None and seat.session == confirm.session:
            seat.confirm()

    @property
    def awaiting_result(self) -> int:
        """How many players a house that closes waits for."""
        return self._store.awaiting_result(trio.current_time())

    async def wait_collected(self) -> None:
        """Until no player is missing: each has come back, or his time is over."""
        while (until := self._store.awaiting_until(trio.current_time())) is not None:
            with trio.move_on_at(until):
                await self._collected.wait()


def _last_word(stone: EndedRoom, seat: Seat) -> nodes.Out | nodes.Regroup:
    if stone.regroup is None:
        return nodes.Out(stone.id, seat.player, stone.reason, seat.session, stone.result)
    kind, options = stone.regroup
    return nodes.Regroup(stone.id, EPOCH, kind, [(seat.player, seat.name, seat.key)], options)
