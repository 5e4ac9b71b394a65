"""A held room runs: its players are seated, and the requests for it wait until it first rests."""

from __future__ import annotations

import trio

from lastcall.host.freezing import REST_SECONDS
from lastcall.host.held_rooms import HeldRoom
from lastcall.host.places import Places
from lastcall.host.room_state import keep_seconds, notify_blocked
from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import RoomId
from lastcall.reasons import EndReason


class Waking:
    """The rooms of one host that run from their images, until they first rest."""

    def __init__(self, rooms: RunningRooms, places: Places) -> None:
        self._rooms = rooms
        self._places = places

    async def wait(self, room_id: RoomId) -> None:
        """Waits until no request waits for a room, which runs again, to rest: 1 s at the most."""
        while (waking := self._rooms.held.waking.get(room_id)) is not None:
            await waking.awake.wait()

    def run(self, held: HeldRoom, work: trio.Nursery, *, spared: bool = False) -> None:
        """Calls the room's function; the requests that wait are applied when it rests.

        While the host is cut, a room runs only if it is ``spared``.
        """
        rooms, room = self._rooms, held.room
        rooms.put_in(room)
        self._rooms.held.wake(held)
        _seat_players(held)
        if room.state.steps is not None:
            room.state.steps.begin()
        if rooms.cut_at is not None:
            room.warn(max(0.0, rooms.cut_at - trio.current_time()))
        if rooms.cutting and not spared:
            room.cancel(EndReason.CUT)

        async def run() -> None:
            await room.run()
            held.awake.set()

        work.start_soon(run, name=room.state.id)
        work.start_soon(self._apply_requests, held)

    async def _apply_requests(self, held: HeldRoom) -> None:
        """Applies the requests for a room, in order, when it first rests, so that its function has
        set ``state_for``; or when it has ended, or does not rest for :data:`REST_SECONDS`.
        """
        inbox = held.room.state.inbox

        def rests() -> None:
            inbox.on_rest = None
            held.awake.set()

        if held.room.state.over is None:  # else its function is not called any more
            inbox.on_rest = rests
            with trio.move_on_after(REST_SECONDS):
                await held.awake.wait()
        if not held.awake.is_set():
            rests()
        for link, item in self._rooms.held.woken(held):
            self._places.handle(link, item)


def _seat_players(held: HeldRoom) -> None:
    """Players of a link that is still there are present, and have to send what was dropped again.

    The others are away: since now, or since they were. Those who had a socket have it still, at an
    api node that may take long to reach this one while both are busy: so their seats are kept for
    the usual ``resume_seconds`` even if the kind keeps none, unless this node drains.
    """
    state = held.room.state
    host, roster = state.host, state.roster
    for seat, was in zip(roster, held.seats, strict=True):
        link = held.links.get(seat.player)
        if link is not None:
            roster.rebind(seat, link, same_socket=True)
            if seat.player in held.missed:
                seat.block()
        elif was.away_seconds is None:
            seat.away_at, seat.expected = trio.current_time(), True
            usual, drains = host.policy.resume_seconds, host.cut_at is not None
            seconds = keep_seconds(state, seat)
            seconds = max(seconds, host.policy.drain_grace_seconds if drains else usual)
            host.disconnects.begin(state, seat, seconds)
        else:
            seconds = keep_seconds(state, seat)
            since = seat.away_at
            host.disconnects.resume(state, seat, seconds, began_at=since, noticed=was.noticed)
    notify_blocked(host.outbox, state.id, roster)
