"""Gives this node's rooms to other game nodes while it drains.

The decisions are in :mod:`lastcall.core.handoff.offers`; here they are carried out: one room is
frozen in each turn of the loop, however many are under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import NamedTuple, TypeVar

import structlog
import trio

from lastcall.core.handoff.actions import (
    Commit,
    Freeze,
    Giving,
    Lost,
    Moved,
    Refused,
    Send,
    Thaw,
)
from lastcall.core.handoff.offer import Movable
from lastcall.core.handoff.offers import Offers
from lastcall.game.feeds import Feeds
from lastcall.game.peers import Peers
from lastcall.host.moves import Moves
from lastcall.host.room_state import RoomState
from lastcall.ids import Incarnation, KindName, LinkId, NodeName, RoomId
from lastcall.policy import HandOffPolicy
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes
from lastcall.wire.images import Image, encode_image, for_another_node

log = structlog.get_logger()

REASONS_MAX = 16

T = TypeVar("T")


class _Told(NamedTuple):
    """A room that has moved, and the item of each feed that says so."""

    room: RoomId
    heads: dict[LinkId, int]


class Refusals:
    """Why other nodes have not taken rooms: logged, and counted by kind and reason."""

    def __init__(self) -> None:
        self._log = RatedLog("handoff.refused")
        self._counts: Counter[tuple[KindName, str]] = Counter()

    @property
    def count(self) -> int:
        """How many there were."""
        return self._log.count

    def clear(self) -> None:
        """The rooms are offered anew."""
        self._counts.clear()

    def note(self, refusal: Refused, game: NodeName) -> None:
        """The node ``game`` does not take the room; without a name, no node does."""
        room, kind, reason = refusal.room, refusal.kind, refusal.reason[:200]
        if (kind, reason) in self._counts or len(self._counts) < REASONS_MAX:
            self._counts[kind, reason] += 1
        self._log.warning(room=room, kind=kind, reason=reason, game=game)

    def why(self) -> list[str]:
        """A sentence for each kind and reason, up to 16."""
        return [
            f"{count} {kind} room(s) could not move: {reason}"
            for (kind, reason), count in self._counts.most_common()
        ]


class HandOffs:
    """The rooms that leave this node. ``rooms`` are those of its host, and ``feeds`` tell its api
    nodes.
    """

    def __init__(self, rooms: Moves, peers: Peers, feeds: Feeds, policy: HandOffPolicy) -> None:
        self._rooms = rooms
        self._peers = peers
        self._feeds = feeds
        self._offers = Offers(policy)
        self._images: dict[RoomId, Image] = {}
        """Of the rooms that are frozen and not given away yet."""
        self._to_freeze, self._frozen = trio.open_memory_channel[RoomId](inf)
        self._to_tell, self._telling = trio.open_memory_channel[_Told](inf)
        self._moves: tuple[str, ...] = ()
        self._until = inf
        self._changed = trio.Event()
        self.refusals = Refusals()
        self.moved = 0
        """How many rooms run at other nodes now."""
        self.lost = 0
        """How many rooms were given to nodes that have not said that they run there."""

    def offer(self, *moves: str, until: float) -> set[RoomId]:
        """Gives away the rooms of kinds that move so, also to nodes that come later.

        They should have left at ``until``. Returns the rooms; none if no other node serves. Nodes
        that refused one are asked again.
        """
        self._moves, self._until = moves, until
        return self._offer(anew=True)

    def stop(self) -> None:
        """Takes back what is not given away yet; nothing else begins."""
        self._moves = ()
        self._carry_out(self._offers.stop(trio.current_time()))

    def expire(self, now: float) -> None:
        """Waits no longer for answers that are late at ``now``."""
        if len(self._offers):
            self._carry_out(self._offers.due(now, self._peers.candidates))

    async def wait_done(self, *, confirmed: bool = True) -> None:
        """Waits until no room waits, is frozen or asked for, or has to be ``confirmed``."""
        while len(self._offers) > (0 if confirmed else self._offers.committed()):
            await self._changed.wait()

    async def run(self) -> None:
        """Freezes the rooms that are to leave, and learns who knows of it, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_each, self._frozen, nursery, self._freeze)
            nursery.start_soon(_each, self._telling, nursery, self._wait_told)

    def why(self) -> list[str]:
        """Sentences about rooms that other nodes have not taken, and those that they must confirm.

        A room that is frozen is the host's to name.
        """
        reasons = self.refusals.why()
        if committed := self._offers.committed():
            reasons.append(f"{committed} room(s) whose new nodes have not said that they run there")
        return reasons

    # From the other nodes.

    def answered(self, peer: Incarnation, item: nodes.PeerDown) -> None:
        """A node answers what it was asked about a room."""
        now = trio.current_time()
        self._carry_out(self._offers.answered(peer, item, now, self._peers.candidates))

    def peer_up(self, peer: Incarnation) -> None:
        """It is asked again, and may take more rooms."""
        self._carry_out(self._offers.link_up(peer))
        if self._moves:
            self._offer(anew=False)

    def peer_gone(self, peer: Incarnation) -> None:
        """It has died: its rooms are lost, and those that it was asked for go elsewhere."""
        now = trio.current_time()
        self._carry_out(self._offers.gone(peer, now, self._peers.candidates))

    # The steps.

    def _offer(self, *, anew: bool) -> set[RoomId]:
        if not self._peers.any_serves:
            return set()
        rooms = [_movable(room) for room in self._rooms.movable(*self._moves)]
        if anew:
            self.refusals.clear()
        self._offers.add(rooms, until=self._until, anew=anew)
        self._carry_out([])
        return {room.room for room in rooms}

    def _carry_out(self, actions: Iterable[Giving]) -> None:
        """Carries out ``actions``, and begins with the rooms that may follow."""
        for action in actions:
            self._act(action)
        for action in self._offers.begin(trio.current_time(), self._peers.candidates):
            self._act(action)
        self._changed.set()
        self._changed = trio.Event()

    def _act(self, action: Giving) -> None:
        match action:
            case Freeze(room):
                self._to_freeze.send_nowait(room)
            case Send(to, item):
                self._peers.send(to, item)
            case Thaw(room):
                self._rooms.thaw(self._images.pop(room))
            case Commit(room, epoch, to):
                del self._images[room]
                where = nodes.Whereabouts(to, self._peers.name(to), epoch)
                links = self._rooms.moved(room, where)
                self._to_tell.send_nowait(_Told(room, self._feeds.heads(links)))
            case Moved():
                self.moved += 1
            case Lost(room, kind, to, reason):
                self.lost += 1
                log.error(
                    "handoff.lost", room=room, kind=kind, game=self._peers.name(to), why=reason
                )
            case Refused(node=node):
                self.refusals.note(action, NodeName("") if node is None else self._peers.name(node))

    async def _freeze(self, room: RoomId) -> None:
        image = await self._rooms.freeze(room)
        data, epoch = None, 0
        if image is not None:
            self._images[room] = image
            epoch = image.epoch + 1
            data = encode_image(for_another_node(image, epoch))
        now = trio.current_time()
        self._carry_out(self._offers.frozen(room, data, epoch, now, self._peers.candidates))

    async def _wait_told(self, told: _Told) -> None:
        await self._feeds.wait_read(told.heads)  # not for what other rooms have said since
        self._offers.told(told.room, trio.current_time())
        self._carry_out([])


async def _each(
    received: trio.MemoryReceiveChannel[T],
    nursery: trio.Nursery,
    work: Callable[[T], Awaitable[None]],
) -> None:
    """Starts ``work`` for each value, one in each turn of the loop."""
    async for value in received:
        nursery.start_soon(work, value)
        await trio.lowlevel.checkpoint()


def _movable(room: RoomState) -> Movable:
    return Movable(room.id, room.kind, room.history.memory)
