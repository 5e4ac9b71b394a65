"""Rooms that move between this game node and others, as its drain drives them.

Rooms of ``moves="at_once"`` leave when the drain begins, and those of ``"deadline"`` at the cut. A
room that has not left when half of the farewell is over is cut; one that was given away has until
three quarters of it to be confirmed.
"""

from __future__ import annotations

from math import inf

import trio

from lastcall.core.lifecycle import Phase
from lastcall.game.adoptions import RoomAdoptions
from lastcall.game.feeds import Feeds
from lastcall.game.handoffs import HandOffs
from lastcall.game.peers import Answered, Asked, PeerRequests, Peers
from lastcall.game.survival import Survival
from lastcall.host.host import Host
from lastcall.ids import Incarnation, RoomId
from lastcall.links.link_counts import Loss
from lastcall.policy import HandOffPolicy
from lastcall.runtime.drain import Drain
from lastcall.wire import nodes

SWEEP_SECONDS = 0.25
LEAVE_SHARE, CONFIRM_SHARE = 0.5, 0.75
"""Of the farewell: for rooms to leave, and for their new nodes to confirm them."""
LEAVE_SECONDS = 3.0


class RoomMoves:
    """The hand-offs and the adoptions of one node; a :class:`lastcall.game.peers.PeerHandler`."""

    def __init__(
        self,
        host: Host,
        drain: Drain,
        *,
        peers: Peers,
        requests: PeerRequests,
        feeds: Feeds,
        policy: HandOffPolicy,
        survival: Survival | None,
    ) -> None:
        self._host = host
        self._survival = survival
        self._drain = drain
        self.handoffs = HandOffs(host.moves, peers, feeds, policy)
        self.adoptions = RoomAdoptions(host.moves, requests, policy, refusal=self._refusal)
        self._cutting = trio.Event()

    async def run(self) -> None:
        """Carries out what is decided, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.handoffs.run)
            nursery.start_soon(self.adoptions.run)
            nursery.start_soon(self._end)
            nursery.start_soon(self._sweep)

    def begin_drain(self) -> None:
        """Gives away the rooms that move at once."""
        self._offer("at_once", until=self._drain.cut_at)

    async def leave(self) -> None:
        """Gives away all rooms that can move, while the node goes on: returns when each has gone or
        was refused, after :data:`LEAVE_SECONDS` at most. Nodes that have refused are asked again.
        """
        with trio.move_on_after(LEAVE_SECONDS):
            self._offer("at_once", "deadline", until=trio.current_time())
            await self.handoffs.wait_done()
            if self._survival is not None:
                await self._survival.wait_handed_over()

    def cut(self) -> None:
        """Gives away the rooms that can move, and cuts the others; in time, those too."""
        leave_by = trio.current_time() + LEAVE_SHARE * self._drain.policy.farewell_seconds
        self._host.cut(self._offer("at_once", "deadline", until=leave_by))
        self._cutting.set()

    def _offer(self, *moves: str, until: float) -> set[RoomId]:
        """The rooms that are to leave: those that survive go to their standbys."""
        handed_over = set() if self._survival is None else self._survival.hand_over(*moves)
        return self.handoffs.offer(*moves, until=until) | handed_over

    async def _end(self) -> None:
        """Cuts the rooms that have not left in time, and gives up those that are not confirmed."""
        await self._cutting.wait()
        began, farewell = trio.current_time(), self._drain.policy.farewell_seconds
        with trio.move_on_at(began + LEAVE_SHARE * farewell):
            await self.handoffs.wait_done(confirmed=False)
            if self._survival is not None:
                await self._survival.wait_handed_over()
                await self._survival.wait_replaced()
                await self._survival.give_images_back()
                await self._survival.wait_handed_over()  # those whose images were here
        self.handoffs.stop()
        if self._survival is not None:
            self._survival.stop()
        self._host.cut()
        with trio.move_on_at(began + CONFIRM_SHARE * farewell):
            await self.wait_done()
        self._expire(inf)

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self._expire(trio.current_time())

    def _expire(self, now: float) -> None:
        self.handoffs.expire(now)
        self.adoptions.expire(now)

    def why(self) -> list[str]:
        """Sentences about rooms that wait for their hand-off, that were refused, and under way."""
        reasons, left = self.handoffs.why(), self._drain.seconds_left
        if self._cutting.is_set() or left is None or not self.handoffs.possible:
            return reasons
        if count := len(self._host.moves.movable("deadline")):
            reasons.append(f"{count} room(s) that will be handed off in {left:.0f} s")
        return reasons

    async def wait_done(self) -> None:
        """Waits until no room is on its way from here or to here, and until other nodes have the
        images of rooms that run elsewhere.
        """
        await self.handoffs.wait_done()
        await self.adoptions.wait_decided()
        if self._survival is not None:
            await self._survival.wait_replaced()

    async def give_images_back(self) -> None:
        """Gives the images of other nodes' rooms back; one that may have to run here does so first.
        Always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        if self._survival is not None:
            await self._survival.give_images_back()

    def _refusal(self) -> str:
        phase = self._drain.phase
        return "" if phase is Phase.SERVING else f"this node is {phase}"

    # lastcall.game.peers.PeerHandler

    def asked(self, peer: Incarnation, item: Asked) -> None:
        """A node gives a room, or decides about one."""
        if isinstance(item, nodes.Move):
            self.adoptions.asked(peer, item)

    def answered(self, peer: Incarnation, item: Answered) -> None:
        """A node answers what it was asked about a room."""
        if isinstance(item, nodes.Move):
            self.handoffs.answered(peer, item)

    def peer_up(self, peer: Incarnation) -> None:
        """The node is asked again for its answers, and for more rooms."""
        self.handoffs.peer_up(peer)

    def peer_down(self, _peer: Incarnation, _loss: Loss) -> None:
        """Nothing is known: the node may answer on the next link, in time or not."""

    def peer_gone(self, peer: Incarnation) -> None:
        """The node has died, and so has what it was to decide or to confirm."""
        self.handoffs.peer_gone(peer)
        self.adoptions.peer_gone(peer)
