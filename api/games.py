"""The game nodes behind this api node: links to them, and the joins that are under way.

A join goes to the node that placement chooses. A node that refuses because it drains, is full or
does not know the room costs a second choice, and the client sees nothing of it. While no node takes
rooms a join waits for a moment: a node that is just coming up is worth less than a second.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import structlog
import trio

from api.discovery import Discovery
from api.relay import Relays
from api.session import Session
from rooms.bus.base import Bus
from rooms.core.lifecycle import Phase
from rooms.core.placement import GameNode, choose, holders, knows_kind
from rooms.ids import Incarnation, KindName
from rooms.policy import LinkPolicy, SocketPolicy
from rooms.reasons import EndReason, ErrorCode
from rooms.runtime.address import GameSource
from rooms.runtime.link_api import ApiLink, Loss
from rooms.runtime.peer import ApiIdentity, Feeds, Peer
from rooms.wire import frames, nodes

__all__ = ["Games"]

log = structlog.get_logger()

READY_ANYWAY_SECONDS = 2.0
SWEEP_SECONDS = 0.1
REGROUP_SECONDS = 5.0
"""How long a player whose room was given up waits for another node, before his place is over."""
UnderWay = Counter[tuple[KindName, bool]]
"""Joins that a link has not answered yet: how many of each kind, and of its own room."""
ANSWER_SECONDS = 10.0
"""A game node whose link lives answers a join at once; one that does not has no answer for it."""
KNOWN_CODES = frozenset(ErrorCode) | {nodes.DRAINING}


class _Asking:
    """One join under way: with a node (``link``), or waiting for one."""

    __slots__ = ("call", "expires_at", "last_refusal", "link", "refused_by", "request", "session")

    def __init__(self, session: Session, request: frames.Join, expires_at: float) -> None:
        self.session = session
        self.request = request
        self.expires_at = expires_at
        self.link: ApiLink | None = None
        self.call = 0
        self.refused_by: set[Incarnation] = set()
        self.last_refusal: nodes.Refused | None = None


class Games:
    """Links, directory and joins; the sink of every link."""

    def __init__(
        self,
        sources: Sequence[GameSource],
        *,
        bus: Bus,
        me: ApiIdentity,
        feeds: Feeds,
        relays: Relays,
        link_policy: LinkPolicy,
        socket_policy: SocketPolicy,
        rng: random.Random,
    ) -> None:
        self._discovery = Discovery(sources, self._found)
        self._bus = bus
        self._me = me
        self._feeds = feeds
        self._relays = relays
        self._link_policy = link_policy
        self._socket_policy = socket_policy
        self._rng = rng
        self._attempts = itertools.count(1)
        self._calls = itertools.count(1)
        self._peers: dict[str, Peer] = {}
        self._links: dict[ApiLink, UnderWay] = {}
        self._asking: dict[Session, _Asking] = {}
        self._asked: dict[int, _Asking] = {}
        self._waiting: dict[Session, _Asking] = {}
        self._draining: set[ApiLink] = set()
        self._nursery: trio.Nursery | None = None
        self._started_at = trio.current_time()

    async def run(self) -> None:
        """Follows the game nodes until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._discovery.run)
            nursery.start_soon(self._sweep)

    @property
    def ready(self) -> bool:
        """Whether a join would find a place now (the api node's part of ``/readyz``)."""
        wanted = [peer for peer in self._peers.values() if peer.wanted]
        heard = self._discovery.complete and all(peer.answered for peer in wanted)
        waited = trio.current_time() - self._started_at >= READY_ANYWAY_SECONDS
        return (heard or waited) and any(node.serving for node in self.known)

    @property
    def links(self) -> int:
        """How many game nodes are attached."""
        return len(self._links)

    @property
    def known(self) -> list[GameNode]:
        """The game nodes that are attached, with the joins that are under way to each."""
        return [_seen(link, under_way) for link, under_way in self._links.items()]

    def _found(self, addresses: frozenset[str]) -> None:
        """Meets new addresses; one that is no longer named is left when its link is over."""
        for address in addresses - self._peers.keys():
            peer = self._peers[address] = Peer(
                address,
                bus=self._bus,
                me=self._me,
                feeds=self._feeds,
                sink=self,
                policy=self._link_policy,
                rng=self._rng,
                attempts=lambda: next(self._attempts),
            )
            if self._nursery is not None:
                self._nursery.start_soon(self._follow, peer)
        for address, peer in self._peers.items():
            peer.wanted = address in addresses

    async def _follow(self, peer: Peer) -> None:
        """Known to its end: a second peer at an address would end the first one's link."""
        await peer.run()
        del self._peers[peer.address]

    # joins

    def join(self, session: Session, request: frames.Join) -> None:
        """Seeks a seat; exactly one of ``session.seated`` and ``session.refused`` follows."""
        self._begin(session, request, self._socket_policy.join_seconds - 2 * SWEEP_SECONDS)

    def _begin(self, session: Session, request: frames.Join, patience_seconds: float) -> None:
        expires_at = trio.current_time() + patience_seconds
        asking = self._asking[session] = _Asking(session, request, expires_at)
        self._seek(asking, self.known)

    def forget(self, session: Session) -> None:
        """The session is gone: a seat that still comes for it is given up at once."""
        if (asking := self._asking.pop(session, None)) is not None:
            self._waiting.pop(session, None)
            self._answered(asking.call)

    def _seek(self, asking: _Asking, known: list[GameNode]) -> None:
        """Asks the best of ``known`` that has not refused; without one waits, or refuses."""
        request = asking.request
        if request.room:
            rest = [
                n for n in holders(known, request.room) if n.incarnation not in asking.refused_by
            ]
            node = rest[0] if rest else None
        else:
            node = choose(known, request.kind, new=request.new, without=asking.refused_by)
        if node is not None:
            self._ask(asking, node)
        elif asking.last_refusal is not None:
            refusal = asking.last_refusal
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)
        elif known and not request.room and not knows_kind(known, request.kind):
            self._refuse(asking, ErrorCode.NO_SUCH_KIND, f"no game node has {request.kind!r}")
        else:
            asking.link = None
            self._waiting[asking.session] = asking

    def _ask(self, asking: _Asking, node: GameNode) -> None:
        link = next(link for link in self._links if link.node.incarnation == node.incarnation)
        asking.link, asking.call = link, next(self._calls)
        self._asked[asking.call] = asking
        request = asking.request
        if not request.room:
            self._links[link][request.kind, request.new] += 1
        link.send(
            nodes.Join(
                call=asking.call,
                kind=request.kind,
                room=request.room,
                new=request.new,
                options=bytes(request.options),
                name=request.name,
                key=request.key,
            )
        )

    def _answered(self, call: int) -> _Asking | None:
        """The join numbered ``call``, which is under way no more; None if there is none."""
        if (asking := self._asked.pop(call, None)) is None:
            return None
        request = asking.request
        if not request.room and asking.link in self._links:
            self._links[asking.link][request.kind, request.new] -= 1
        return asking

    def _refuse(self, asking: _Asking, code: ErrorCode, message: str) -> None:
        self.forget(asking.session)
        asking.session.refused(code, message)

    def _seek_again(self, askings: Iterable[_Asking]) -> None:
        for asking in list(askings):
            self._answered(asking.call)
            self._waiting.pop(asking.session, None)
            self._seek(asking, self.known)

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for asking in [a for a in self._waiting.values() if a.expires_at <= now]:
                message = "no game node takes rooms now; try again in a moment"
                self._refuse(asking, ErrorCode.NO_GAME_NODE, message)
            late = now - ANSWER_SECONDS
            for asking in [a for a in self._asked.values() if a.expires_at <= late]:
                self._refuse(asking, ErrorCode.NO_GAME_NODE, "the game node does not answer")

    # what links bring

    def link_up(self, link: ApiLink) -> None:
        """A game node is there: joins that wait go on."""
        self._links[link] = Counter()
        self.link_state(link)

    def link_state(self, link: ApiLink) -> None:
        """Phase, load, seats or silence have changed."""
        if link.silent:
            self._seek_again(a for a in self._asked.values() if a.link is link)
        elif link.state.phase == Phase.SERVING:
            seats = link.state.seats
            self._seek_again(
                asking
                for asking in self._waiting.values()
                if asking.request.room or asking.request.kind in seats
            )
        if link.state.phase == Phase.DRAINING and link not in self._draining:
            self._draining.add(link)
            self._relays.draining(link, link.state.seconds_left or 0.0)

    def link_item(self, link: ApiLink, item: nodes.Down) -> None:
        """Results of joins are ours; all else belongs to a room."""
        match item:
            case nodes.Seated():
                self._seated(link, item)
            case nodes.Refused():
                self._refused(link, item)
            case nodes.Regroup():
                for session, request in self._relays.vacate(link, item):
                    self._begin(session, request, REGROUP_SECONDS)
            case _:
                self._relays.take(link, item)

    def _seated(self, link: ApiLink, seat: nodes.Seated) -> None:
        asking = self._answered(seat.call)
        if asking is None or asking.link is not link:
            link.send(nodes.Absent(room=seat.room, player=seat.player, session=seat.session))
            return
        del self._asking[asking.session]
        self._relays.seat(link, seat, asking.session)

    def _refused(self, link: ApiLink, refusal: nodes.Refused) -> None:
        asking = self._answered(refusal.call)
        if asking is None:
            return
        asking.refused_by.add(link.node.incarnation)
        elsewhere = {nodes.DRAINING} | ({"no_such_room"} if asking.request.room else {"full"})
        if refusal.code not in KNOWN_CODES:
            log.warning("join.strange_refusal", node=link.node.name, code=refusal.code)
            refusal = nodes.Refused(refusal.call, ErrorCode.BAD_INPUT, refusal.message)
        if refusal.code != nodes.DRAINING:
            asking.last_refusal = refusal
        if refusal.code in elsewhere:
            self._seek(asking, self.known)
        else:
            self._refuse(asking, ErrorCode(refusal.code), refusal.message)

    def link_down(self, link: ApiLink, loss: Loss) -> None:
        """Its rooms are lost for us; joins that were asked there go elsewhere."""
        del self._links[link]
        self._draining.discard(link)
        if loss is not Loss.LEFT:
            self._relays.lost(link, EndReason.NODE_LOST)
            self._seek_again(a for a in self._asked.values() if a.link is link)


def _seen(link: ApiLink, asked: UnderWay) -> GameNode:
    return GameNode(
        address=link.address,
        name=link.node.name,
        incarnation=link.node.incarnation,
        version=link.node.version,
        born=link.node.born,
        state=link.state,
        asked=asked,
        silent=link.silent,
    )
