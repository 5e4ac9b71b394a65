"""The game tier as an api node's sessions see it: joins, resumes, and what the links bring."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import trio

from lastcall.api.games.calls import SWEEP_SECONDS, sweep_often
from lastcall.api.games.joins import Joins
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.games.reattach import PlaceReattacher
from lastcall.api.games.resumes import Resumes
from lastcall.api.games.witness import Witness
from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.place import goodbye
from lastcall.api.sessions.relays import Relays
from lastcall.api.sessions.session import Session
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.edge.placement import Candidate
from lastcall.core.lifecycle import Phase
from lastcall.ids import Ticket
from lastcall.links.connectors import GameConnectors
from lastcall.links.link import GameLink
from lastcall.links.link_counts import Loss
from lastcall.policy import LinkPolicy, SocketPolicy
from lastcall.runtime.batches import Steps
from lastcall.runtime.ticks import next_tick
from lastcall.wire import frames, nodes

HEARD_SECONDS = 0.1
"""Between two looks whether all leaves are heard."""
NOTICE_REST_SECONDS = 0.005
"""Between two batches of notices that a game node drains: moving its rooms presses more."""
REGROUP_SECONDS = 5.0
"""How long a player whose room was given up waits for another node, before the place is over."""
REGROUPED_SECONDS = REGROUP_SECONDS + 2.0
"""How long after the old node has left the new node may still get the player: the margin is for
api nodes that learn of either at different times."""


class Games:
    """Carries the requests of sessions to game nodes, and listens to every link.

    ``move`` moves clients to other api nodes, spread over a moment.
    """

    def __init__(
        self,
        connectors: GameConnectors,
        *,
        relays: Relays,
        link_policy: LinkPolicy,
        socket_policy: SocketPolicy,
        limits: ClientLimits,
        move: Callable[[Sequence[Session]], None],
    ) -> None:
        self.connectors = connectors
        self._relays = relays
        self._join_seconds = socket_policy.join_seconds - 2 * SWEEP_SECONDS
        self._move = move
        numbers = itertools.count(1)
        self._moved_rooms = MovedRooms()
        self._joins = Joins(
            lambda: connectors.all_met, numbers, limits, connectors.missing, self._moved_rooms
        )
        self._resumes = Resumes(
            numbers=numbers,
            missing=connectors.missing,
            resume_seconds=socket_policy.resume_seconds,
            regroup_seconds=REGROUPED_SECONDS,
            limits=limits,
            at_once=link_policy.resumes_at_once,
            moved_rooms=self._moved_rooms,
        )
        self.reattacher = PlaceReattacher(relays, numbers=numbers, policy=link_policy, move=move)
        self._renewals = self.reattacher.renewals
        self.witness = Witness()
        self._notices = Steps(NOTICE_REST_SECONDS)
        self._notified: set[GameLink] = set()
        """Links whose players have been told that the game node drains."""
        self._silent: set[GameLink] = set()

    async def run(self) -> None:
        """Follows the game nodes until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.connectors.run, self, self.witness.gone)
            nursery.start_soon(sweep_often, self._joins, self._resumes, self.reattacher)
            nursery.start_soon(self._notices.run)

    @property
    def ready(self) -> bool:
        """Whether a client could play now (the api node's part of ``/readyz``).

        A game node that takes no new rooms, but has some, counts too: their players must find a
        way back.
        """
        return self.connectors.all_met and any(node.useful for node in self.known)

    @property
    def known(self) -> list[Candidate]:
        """The attached game nodes, with the joins that are under way to each."""
        return self._joins.known

    async def wait_leaves_heard(self) -> None:
        """Waits until all game nodes have heard which clients have left, or are lost."""
        while self.reattacher.leaves_unheard:
            await next_tick(HEARD_SECONDS)

    # From the client: lastcall.api.sessions.session.GameTier

    def join(self, session: Session, request: frames.Join) -> None:
        """Finds a seat; exactly one of ``session.placed`` and ``session.refused`` follows."""
        self._joins.begin(session, request, self._join_seconds)

    def resume(self, session: Session, ticket: Ticket, seen: int) -> None:
        """Finds a place; exactly one of the session's answers to a resume follows."""
        self._resumes.begin(session, ticket, seen)

    def forget(self, session: Session) -> None:
        """The session is gone: a place that still comes for it is given up at once."""
        self._joins.forget(session)
        self._resumes.forget(session)

    # From the links: lastcall.links.link.LinkListener

    def link_up(self, link: GameLink) -> None:
        """A game node is there: waiting joins and resumes go on, suspended places reattach."""
        self.connectors.link_up(link)
        self.witness.link_up(link)
        self._joins.link_up(link)
        self._resumes.link_up(link)
        self.link_state(link)
        self.reattacher.link_up(link)

    def link_state(self, link: GameLink) -> None:
        """Phase, load, seats or silence have changed."""
        self._joins.link_state(link)
        self._resumes.link_state(link)
        if link.state.phase == Phase.DRAINING and link not in self._notified:
            self._notified.add(link)
            self._notices.begin(_notify_draining(link, self._sessions(link)))
        if not link.silent:
            self._silent.discard(link)
        elif link not in self._silent:
            self._silent.add(link)
            self.reattacher.link_silent(link)
            self._move(self._sessions(link))

    def _sessions(self, link: GameLink) -> list[Session]:
        return self._relays.sessions(link) + self.reattacher.sessions(link)

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        """Answers to calls find their session; all else belongs to a room."""
        match item:
            case nodes.Message() | nodes.Acks():  # nearly all items are of these two
                if moved := self._relays.take(link, item):
                    self._renewals.renew(moved)
            case nodes.Seated():
                self._seated(link, item)
            case nodes.Resumed():
                self._resumed(link, item)
            case nodes.Refused():
                askers = self._joins, self._resumes, self._renewals
                any(asker.refused(link, item) for asker in askers)
            case nodes.Regroup():
                for session, request, former in self._relays.regroup(link, item):
                    self._joins.begin(session, request, REGROUP_SECONDS, former)
            case nodes.Moved():
                self._moved(link, item)
            case item if isinstance(item, nodes.SurvivalItem):
                self.witness.take(link, item)
            case _:
                self._renewals.renew(self._relays.take(link, item))

    def _moved(self, link: GameLink, item: nodes.Moved) -> None:
        self.reattacher.moved(link, item)
        if self._moved_rooms.learn(item):
            self._joins.moved(item)
            self._resumes.moved(item)

    def _seated(self, link: GameLink, seat: nodes.Seated) -> None:
        found = self._resumes.seated(link, seat) or self._joins.seated(link, seat)
        self._seat(link, seat, found)

    def _seat(
        self,
        link: GameLink,
        news: nodes.Seated | nodes.Resumed,
        found: Session | nodes.Leave | nodes.Absent,
    ) -> None:
        if isinstance(found, Session):
            self._renewals.renew(self._relays.seat(link, news, found))
        else:
            link.send(found)

    def _resumed(self, link: GameLink, item: nodes.Resumed) -> None:
        if self._renewals.resumed(link, item):
            return
        found = self._resumes.seated(link, item)
        self._seat(link, item, found or goodbye(item, left=False))

    def link_down(self, link: GameLink, loss: Loss) -> None:
        """Its places are suspended or lost; joins and resumes that it was asked go elsewhere."""
        self.connectors.link_down(link)
        self.witness.link_down(link, loss)
        self._notified.discard(link)
        self._silent.discard(link)
        self.reattacher.link_down(link, loss)
        self._joins.link_down(link)
        self._resumes.link_down(link)


def _notify_draining(link: GameLink, sessions: Sequence[Session]) -> Iterator[None]:
    """Tells a draining node's players the seconds to the cut; one player a step. Those whose room
    has moved meanwhile are spared.
    """
    cut_at = trio.current_time() + (link.state.seconds_left or 0.0)
    for session in sessions:
        if session.place is not None and session.place.owner == link.node.incarnation:
            seconds = round(max(0.0, cut_at - trio.current_time()), 3)
            notice = text_frame(frames.encode(frames.Draining("game", seconds)))
            session.connection.send_built(notice)
        yield
