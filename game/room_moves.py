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
from lastcall.game.handoffs import HandOffs
from lastcall.game.peers import PeerRequests, Peers
from lastcall.host.host import Host
from lastcall.ids import Incarnation
from lastcall.links.link import Loss
from lastcall.policy import HandOffPolicy
from lastcall.runtime.drain import Drain
from lastcall.wire import nodes

SWEEP_SECONDS = 0.25
LEAVE_SHARE, CONFIRM_SHARE = 0.5, 0.75
"""Of the farewell: for rooms to leave, and for their new nodes to confirm them."""


class RoomMoves:
    """The hand-offs and the adoptions of one node; a :class:`lastcall.game.peers.PeerHandler`."""

    def __init__(
        self,
        host: Host,
        drain: Drain,
        *,
        peers: Peers,
        requests: PeerRequests,
        policy: HandOffPolicy,
    ) -> None:
        self._host = host
        self._drain = drain
        self.handoffs = HandOffs(host.moves, peers, policy)
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
        self.handoffs.offer("at_once")

    def cut(self) -> None:
        """Gives away the rooms that can move, and cuts the others; in time, those too."""
        leaving = self.handoffs.offer("at_once", "deadline")
        self._host.cut(leaving)
        self._cutting.set()

    async def _end(self) -> None:
        """Cuts the rooms that have not left in time, and gives up those that are not confirmed."""
        await self._cutting.wait()
        began, farewell = trio.current_time(), self._drain.policy.farewell_seconds
        with trio.move_on_at(began + LEAVE_SHARE * farewell):
            await self.handoffs.wait_done(confirmed=False)
        self.handoffs.stop()
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

    async def wait_done(self) -> None:
        """Waits until no room is on its way from here or to here."""
        await self.handoffs.wait_done()
        await self.adoptions.wait_decided()

    def _refusal(self) -> str:
        phase = self._drain.phase
        return "" if phase is Phase.SERVING else f"this node is {phase}"

    # lastcall.game.peers.PeerHandler

    def asked(self, peer: Incarnation, item: nodes.PeerUp) -> None:
        """A node gives a room, or decides about one."""
        self.adoptions.asked(peer, item)

    def answered(self, peer: Incarnation, item: nodes.PeerDown) -> None:
        """A node answers what it was asked about a room."""
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
