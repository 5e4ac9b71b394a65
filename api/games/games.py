"""The game nodes behind this api node: where they are, the links to them, and what these bring."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

import trio

from lastcall.api.games.connector import ApiIdentity, FeedReader, GameConnector
from lastcall.api.games.discovery import Discovery
from lastcall.api.games.joins import SWEEP_SECONDS, Joins
from lastcall.api.games.link import GameLink, Loss
from lastcall.api.games.reattach import PlaceReattacher
from lastcall.api.games.resumes import Resumes
from lastcall.api.games.sources import GameSource
from lastcall.api.sessions.relay import Relays
from lastcall.api.sessions.session import Session
from lastcall.api.socket.frame_builder import text_frame
from lastcall.bus.base import Bus
from lastcall.core.edge.placement import Candidate
from lastcall.core.lifecycle import Phase
from lastcall.ids import Ticket
from lastcall.policy import LinkPolicy, SocketPolicy
from lastcall.runtime.batches import each
from lastcall.wire import frames, nodes

__all__ = ["Games"]

READY_ANYWAY_SECONDS = 2.0
REGROUP_SECONDS = 5.0
"""How long a player whose room was given up waits for another node, before his place is over."""


class Games:
    """Discovery, links and readiness; the sink of every link, and what a session asks of a game.

    ``move`` moves clients to other api nodes, over a moment.
    """

    def __init__(
        self,
        sources: Sequence[GameSource],
        *,
        bus: Bus,
        me: ApiIdentity,
        feeds: FeedReader,
        relays: Relays,
        link_policy: LinkPolicy,
        socket_policy: SocketPolicy,
        rng: random.Random,
        move: Callable[[Sequence[Session]], None],
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
        self._connectors: dict[str, GameConnector] = {}
        self._move = move
        self._links: dict[str, GameLink] = {}
        """By address."""
        calls = itertools.count(1)
        self._joins = Joins(lambda: self._heard, calls)
        self._resumes = Resumes(
            calls=calls,
            everyone=lambda: self.everyone,
            policy=socket_policy,
            at_once=link_policy.resumes_at_once,
        )
        self._reattacher = PlaceReattacher(relays, calls=calls, policy=link_policy, move=move)
        self._draining: set[GameLink] = set()
        self._silent: set[GameLink] = set()
        self._nursery: trio.Nursery | None = None
        self._started_at = trio.current_time()

    async def run(self) -> None:
        """Follows the game nodes until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._discovery.run)
            nursery.start_soon(self._joins.sweep)
            nursery.start_soon(self._resumes.sweep)
            nursery.start_soon(self._reattacher.sweep)

    @property
    def ready(self) -> bool:
        """Whether a join would find a place now (the api node's part of ``/readyz``)."""
        return self._heard and any(node.serving for node in self.known)

    @property
    def _heard(self) -> bool:
        """Whether every game node has been met, or has had its time to be."""
        wanted = [peer for peer in self._connectors.values() if peer.wanted]
        heard = self._discovery.complete and all(peer.answered for peer in wanted)
        return heard or trio.current_time() - self._started_at >= READY_ANYWAY_SECONDS

    @property
    def everyone(self) -> bool:
        """Whether every known game node answers now, or is certainly not there.

        What none of the attached knows then, nobody does. Without a single one that answers we
        may be the ones who are cut off.
        """
        peers = self._connectors.values()
        answering = [self._answers(peer) for peer in peers]
        sure = all(answers or peer.empty for answers, peer in zip(answering, peers, strict=True))
        return self._discovery.complete and any(answering) and sure

    def _answers(self, peer: GameConnector) -> bool:
        link = self._links.get(peer.address)
        return link is not None and not link.silent

    @property
    def links(self) -> int:
        """How many game nodes are attached."""
        return len(self.known)

    @property
    def known(self) -> list[Candidate]:
        """The game nodes that are attached, with the joins that are under way to each."""
        return self._joins.known

    def _found(self, addresses: frozenset[str]) -> None:
        """Meets new addresses; one that is no longer named is left when its link is over."""
        for address in addresses - self._connectors.keys():
            peer = self._connectors[address] = GameConnector(
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
        for address, peer in self._connectors.items():
            peer.wanted = address in addresses

    async def _follow(self, peer: GameConnector) -> None:
        """Known to its end: a second peer at an address would end the first one's link."""
        await peer.run()
        del self._connectors[peer.address]

    # from the client: api.sessions.session.GameTier

    def join(self, session: Session, request: frames.Join) -> None:
        """Seeks a seat; exactly one of ``session.seated`` and ``session.refused`` follows."""
        patience = self._socket_policy.join_seconds - 2 * SWEEP_SECONDS
        self._joins.begin(session, request, patience)

    def resume(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Seeks a place; exactly one of the session's answers to a resume follows."""
        self._resumes.begin(session, ticket, seen)

    def forget(self, session: Session) -> None:
        """The session is gone: what still comes for it is given up at once."""
        self._joins.forget(session)
        self._resumes.forget(session)

    # what links bring

    def link_up(self, link: GameLink) -> None:
        """A game node is there: joins and resumes that wait go on, suspended places are renewed."""
        if (peer := self._connectors.get(link.address)) is not None:
            peer.answered = True
        self._links[link.address] = link
        self._joins.link_up(link)
        self._resumes.link_up(link)
        self.link_state(link)
        self._reattacher.link_up(link)

    def link_state(self, link: GameLink) -> None:
        """Phase, load, seats or silence have changed."""
        self._joins.link_state(link)
        self._resumes.link_state(link)
        if link.state.phase == Phase.DRAINING and link not in self._draining:
            self._draining.add(link)
            self._tell_draining(link)
        if not link.silent:
            self._silent.discard(link)
        elif link not in self._silent:
            self._silent.add(link)
            self._move(self._with_places(link))

    def _tell_draining(self, link: GameLink) -> None:
        """Its players are told the seconds to the cut."""
        seconds = round(link.state.seconds_left or 0.0, 3)
        notice = text_frame(frames.encode(frames.Draining("game", seconds)))
        sessions = self._with_places(link)
        if self._nursery is not None and sessions:
            self._nursery.start_soon(_tell, sessions, notice)

    def _with_places(self, link: GameLink) -> list[Session]:
        return self._relays.sessions(link) + self._reattacher.sessions(link)

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        """Answers to calls find their session; all else belongs to a room."""
        match item:
            case nodes.Message() | nodes.Acks():  # nearly all that comes
                self._relays.take(link, item)
            case nodes.Seated():
                self._seated(link, item)
            case nodes.Resumed():
                self._resumed(link, item)
            case nodes.Refused():
                self._refused(link, item)
            case nodes.Regroup():
                for session, request in self._relays.regroup(link, item):
                    self._joins.begin(session, request, REGROUP_SECONDS)
            case _:
                self._relays.take(link, item)

    def _seated(self, link: GameLink, seat: nodes.Seated) -> None:
        match self._joins.seated(link, seat):
            case nodes.Leave() | nodes.Absent() as goodbye:
                link.send(goodbye)
            case session:
                self._relays.seat(link, seat, session)

    def _resumed(self, link: GameLink, item: nodes.Resumed) -> None:
        if self._reattacher.resumed(link, item):
            return
        session = self._resumes.resumed(link, item)
        if session is None:
            link.send(nodes.Absent(room=item.room, player=item.player, session=item.session))
        else:
            self._relays.resume(link, item, session)

    def _refused(self, link: GameLink, item: nodes.Refused) -> None:
        for asked in (self._joins, self._resumes, self._reattacher):
            if asked.refused(link, item):
                return

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """Its places are suspended or lost; joins and resumes asked there go elsewhere."""
        if self._links.get(link.address) is link:
            del self._links[link.address]
        self._draining.discard(link)
        self._silent.discard(link)
        self._reattacher.link_down(link, loss)
        self._joins.link_down(link)
        self._resumes.link_down(link)


async def _tell(sessions: Sequence[Session], notice: bytes) -> None:
    """Sends a notice to all who are still in a room, a few in each turn."""

    def tell(session: Session) -> None:
        if session.place is not None:
            session.connection.send_built(notice)

    await each(sessions, tell)
