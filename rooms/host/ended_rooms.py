"""Rooms that have ended, and the players who have not received their results yet."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import trio

from lastcall.core.room.ended_rooms import EndedRoom, EndedRoomStore
from lastcall.core.room.roster import Seat, listed
from lastcall.host.replies import no_such_place, over, place_again, regroup
from lastcall.host.seat_binding import SeatBinding
from lastcall.host.tickets import check_ticket, rebind_seat
from lastcall.ids import LinkId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.runtime.batches import STEPS_PER_BATCH
from lastcall.wire import nodes


class EndedRooms:
    """All ended rooms of a node, in trio's time; see :mod:`lastcall.core.room.ended_rooms`."""

    def __init__(
        self,
        policy: RoomPolicy,
        outbox: Callable[[LinkId, nodes.Down], None],
        binding: SeatBinding,
    ) -> None:
        self._store = EndedRoomStore(
            count_max=policy.ended_rooms_max,
            bytes_max=policy.ended_rooms_bytes,
            drain_grace_seconds=policy.drain_grace_seconds,
        )
        self._listed_players = policy.listed_players
        self._outbox = outbox
        self._binding = binding
        self._collected = trio.Event()

    def __len__(self) -> int:
        return len(self._store)

    def add(self, room: EndedRoom, seconds: float) -> None:
        """A room has ended; it is kept for ``seconds``."""
        self.expire()
        self._store.add(room, seconds)

    def expire(self) -> bool:
        """Removes rooms whose time is over; True if there may be more of them."""
        return self._store.expire(trio.current_time(), STEPS_PER_BATCH) == STEPS_PER_BATCH

    def resume(
        self, link: LinkId, request: nodes.Resume, rng: random.Random
    ) -> nodes.Refused | None:
        """Sends a player the unseen messages and the room's end; or returns the refusal.

        If the room was regrouped, the player is told to join another room, like those who were
        present: they were away then, or the item was lost with their socket. Their key or their
        ticket finds the seat that they may already have there.
        """
        room = self._store.find(request.room, trio.current_time())
        if room is None:
            return no_such_place(request.call)
        seat = check_ticket(room.roster, room.history.seq, request)
        if isinstance(seat, nodes.Refused):
            told = over(room, request)
            for item in told:
                self._outbox(link, item)
            return None if told else seat
        rebind_seat(room.roster, seat, link, request, rng)
        unseen = room.history.unseen(seat.player, max(request.seen, seat.joined_seq))
        seats = listed(room.roster, seat, self._listed_players)
        for item in place_again(room, seat, request, unseen=unseen, listed=seats):
            self._outbox(link, item)
        self._outbox(link, _final_item(room, seat))
        self._store.collected(room, seat)
        self._collected.set()
        self._collected = trio.Event()
        return None

    def lose(self, link: LinkId, absent: nodes.Absent) -> None:
        """A socket was lost that may not have received the end."""
        found = self._find(link, absent)
        if found is not None:
            self._store.lost(*found, trio.current_time())

    def drop_link(self, link: LinkId, since: float, room: RoomId | None = None) -> Iterator[None]:
        """A link is gone whose players may not have received the ends of rooms (or of ``room``) at
        ``since`` or later; one step for each player.
        """
        for ended in self._store.since(since, room):
            for seat in ended.roster.of_link(link):
                self._store.lost(ended, seat, trio.current_time())
                yield

    def confirm(self, link: LinkId, confirm: nodes.Confirm) -> None:
        """The client has the answer to its resume."""
        found = self._find(link, confirm)
        if found is not None:
            found[1].confirm()

    @property
    def awaiting_result(self) -> int:
        """How many players a node that drains waits for."""
        return self._store.awaiting_result(trio.current_time())

    async def wait_collected(self) -> None:
        """Waits until no player is awaited: each has resumed, or their time is over."""
        while (until := self._store.awaiting_until(trio.current_time())) is not None:
            with trio.move_on_at(until):
                await self._collected.wait()

    def _find(
        self, link: LinkId, item: nodes.Absent | nodes.Confirm
    ) -> tuple[EndedRoom, Seat] | None:
        room = self._store.find(item.room, trio.current_time())
        seat = None if room is None else self._binding.find(room.roster, link, item)
        return None if room is None or seat is None else (room, seat)


def _final_item(room: EndedRoom, seat: Seat) -> nodes.Out | nodes.Regroup:
    if room.regroup is None:
        return nodes.Out(room.id, seat.player, room.reason, seat.session, room.result)
    return regroup(room, [seat], room.regroup)
