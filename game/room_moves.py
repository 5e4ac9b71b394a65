"""Rooms that move between this game node and others: both directions, and what the others say.

When rooms leave is decided in :mod:`lastcall.game.departures`.
"""

from __future__ import annotations

import trio

from lastcall.core.lifecycle import Phase
from lastcall.game.adoptions import RoomAdoptions
from lastcall.game.feeds import Feeds
from lastcall.game.handoffs import HandOffs
from lastcall.game.other_games import OtherGames
from lastcall.game.peers import Answered, Asked
from lastcall.host.host import Host
from lastcall.ids import Incarnation
from lastcall.links.link_counts import Loss
from lastcall.policy import HandOffPolicy
from lastcall.runtime.drain import Drain
from lastcall.runtime.ticks import next_tick
from lastcall.wire import nodes

SWEEP_SECONDS = 0.25


class RoomMoves:
    """The hand-offs and the adoptions of one node; a :class:`lastcall.game.peers.PeerHandler`."""

    def __init__(
        self,
        host: Host,
        drain: Drain,
        others: OtherGames,
        *,
        feeds: Feeds,
        policy: HandOffPolicy,
    ) -> None:
        self._drain = drain
        self.handoffs = HandOffs(host.moves, others.peers, feeds, policy)
        self.adoptions = RoomAdoptions(host.moves, others.requests, policy, refusal=self._refusal)

    async def run(self) -> None:
        """Carries out what is decided, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.handoffs.run)
            nursery.start_soon(self.adoptions.run)
            while True:
                await next_tick(SWEEP_SECONDS)
                self.expire(trio.current_time())

    def expire(self, now: float) -> None:
        """Waits no longer for what other nodes should have said by ``now``."""
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
