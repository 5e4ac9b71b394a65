"""When the rooms of a draining game node leave it, and when none is left.

Rooms of ``moves="at_once"`` leave when the drain begins, and those of ``"deadline"`` at the cut. A
room that has not left when half of the farewell is over is cut, or left to its standby; one that
was given away has until three quarters of it to be confirmed.
"""

from __future__ import annotations

from math import inf

import trio

from lastcall.game.feeds import Feeds
from lastcall.game.other_games import OtherGames
from lastcall.game.room_moves import RoomMoves
from lastcall.host.host import Host
from lastcall.host.room_state import RoomState
from lastcall.ids import RoomId
from lastcall.runtime.drain import Drain
from lastcall.wire import nodes

LEAVE_SHARE, CONFIRM_SHARE = 0.5, 0.75
"""Of the farewell: for rooms to leave, and for their new nodes to confirm them."""
LEAVE_SECONDS = 3.0
LOOK_SECONDS = 0.1
"""How often a node that waits for another one looks whether it is back."""


class Departures:
    """The rooms of ``host`` leave: by a hand-off or, if they survive, to their standbys."""

    def __init__(
        self,
        host: Host,
        drain: Drain,
        others: OtherGames,
        *,
        moves: RoomMoves,
        feeds: Feeds,
    ) -> None:
        self._host = host
        self._drain = drain
        self._moves = moves
        self._others = others
        self._feeds = feeds
        self._survival = None if others.survival is None else others.survival.drain
        self._cutting = trio.Event()

    @property
    def count(self) -> int:
        """How many rooms have left, and run at other nodes now."""
        handed_over = 0 if self._survival is None else self._survival.handed_over
        return self._moves.handoffs.moved + handed_over

    @property
    def unconfirmed(self) -> int:
        """How many rooms were given to nodes that have not said that they run there."""
        left = 0 if self._survival is None else self._survival.left
        return self._moves.handoffs.lost + left

    def begin_drain(self) -> None:
        """Gives away the rooms that move at once."""
        self._offer("at_once", until=self._drain.cut_at)

    async def leave(self) -> None:
        """Gives away all rooms that can move, while the node goes on: returns when each has gone or
        was refused, after :data:`LEAVE_SECONDS` at most. Nodes that have refused are asked again.
        """
        with trio.move_on_after(LEAVE_SECONDS):
            self._offer("at_once", "deadline", until=trio.current_time())
            await self._wait_left()
            await self._moves.handoffs.wait_done()
            if self._survival is not None:
                await self._survival.wait_handed_over()

    def cut(self) -> None:
        """Gives away the rooms that can move, and cuts the others; in time, those too."""
        leave_by = trio.current_time() + LEAVE_SHARE * self._drain.policy.farewell_seconds
        leaving = self._offer("at_once", "deadline", until=leave_by, ends=True)
        if self._others.any_may_return:
            leaving |= {room.id for room in self._movable()}
        self._host.cut(leaving)
        self._cutting.set()

    async def run(self) -> None:
        """After the cut: rooms that have not gone in time are left to their standbys, or cut, and
        those that are not confirmed given up. Until cancelled, or done.
        """
        await self._cutting.wait()
        began, farewell = trio.current_time(), self._drain.policy.farewell_seconds
        with trio.move_on_at(began + LEAVE_SHARE * farewell):
            await self._wait_left()
            if self._survival is not None:
                await self._survival.wait_handed_over()
                await self._survival.wait_replaced()
                await self._survival.give_images_back()
                await self._survival.wait_handed_over()  # those whose images were here
        self._moves.handoffs.stop()
        if self._survival is not None:
            self._survival.stop()
        self._host.cut()
        with trio.move_on_at(began + CONFIRM_SHARE * farewell):
            await self._wait_done()
        self._moves.expire(inf)

    async def wait_empty(self) -> None:
        """Waits until the last room has ended or moved, and every api node has confirmed its feed.

        Until then a room may come whose image is here; from then on none can.

        The players of an api node that is dropped instead may not have received their room's end:
        the node waits for them, as for all players between two sockets.
        """
        await self._wait_quiet()
        await self._give_images_back()
        while self._host.rooms:
            await self._wait_quiet()
            await self._give_images_back()
        await self._wait_quiet()

    def why(self) -> list[str]:
        """Sentences about rooms that wait for their hand-off, that were refused, and under way."""
        reasons, left = self._moves.handoffs.why(), self._drain.seconds_left
        if self._cutting.is_set() or left is None:
            return reasons
        if not (self._others.peers.any_serves or self._others.any_may_return):
            return reasons
        if count := len(self._host.moves.movable("deadline")):
            reasons.append(f"{count} room(s) that will be handed off in {left:.0f} s")
        return reasons

    def _offer(self, *moves: str, until: float, ends: bool = False) -> set[RoomId]:
        """The rooms that are to leave: those that survive go to their standbys."""
        handed_over: set[RoomId] = set()
        if self._survival is not None:
            handed_over = self._survival.hand_over(*moves, ends=ends)
        return self._moves.handoffs.offer(*moves, until=until) | handed_over

    def _movable(self) -> list[RoomState]:
        """The rooms that have not gone, and could."""
        return self._host.moves.movable("at_once", "deadline")

    async def _wait_left(self) -> None:
        """Waits until each room has gone or was refused, also by a node that may soon be back."""
        await self._moves.handoffs.wait_done(confirmed=False)
        while self._movable() and self._others.any_may_return:
            await trio.sleep(LOOK_SECONDS)
            await self._moves.handoffs.wait_done(confirmed=False)

    async def _wait_quiet(self) -> None:
        await self._host.wait_empty()
        await self._wait_done()
        await self._feeds.wait_confirmed([nodes.API])

    async def _wait_done(self) -> None:
        """Waits until no room is on its way from here or to here, and until other nodes have the
        images of rooms that run elsewhere.
        """
        await self._moves.wait_done()
        if self._survival is not None:
            await self._survival.wait_replaced()

    async def _give_images_back(self) -> None:
        """Gives the images of other nodes' rooms back; one that may have to run here does so first.
        Always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        if self._survival is not None:
            await self._survival.give_images_back()
