"""The rooms that outlive their node: it tells :mod:`lastcall.core.survival.rooms` what happens, and
:mod:`lastcall.game.survival_actions` does what that decides.

A room that runs here makes steps (:mod:`lastcall.host.room_steps`), which go to its standby; its
words leave when that has confirmed them. Here are also the images of rooms that run elsewhere,
until this node is asked to run one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

from lastcall.core.survival import actions
from lastcall.core.survival.actions import Protection
from lastcall.core.survival.parts import Assembly
from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.game.pair_links import PairLinks
from lastcall.game.standby_copies import StandbyCopies
from lastcall.game.survival_actions import InHand, SurvivalActions
from lastcall.game.survival_drain import SurvivalDrain
from lastcall.game.survival_rounds import SurvivalRounds
from lastcall.game.survival_views import Views
from lastcall.game.witness_links import PairEvents
from lastcall.host.host import Host
from lastcall.host.standby_copy import StandbyCopy
from lastcall.ids import Incarnation, LinkId, NodeName, RoomId
from lastcall.policy import SurvivalPolicy
from lastcall.runtime.figures import Figures
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire import nodes
from lastcall.wire import survival_items as items

SOON = "the room's node is gone, and it may go on at this one soon"
LEFT = "this node ends, and the room goes on at another one soon"


class Survival:
    """A node's :class:`lastcall.host.protector.Protector`, and the keeper of others' images.

    ``links`` opens its links, whose events it gets. ``refusal`` says why this node keeps no more
    images; empty while it does.
    """

    def __init__(
        self,
        me: Incarnation,
        name: NodeName,
        *,
        host: Callable[[], Host],
        links: Callable[[PairEvents], PairLinks],
        views: Callable[[PairLinks], Views],
        policy: SurvivalPolicy,
        refusal: Callable[[], str],
    ) -> None:
        self._host = host
        self._policy = policy
        self._refusal = refusal
        self.rooms = SurvivingRooms(me)
        self.links = links(self)
        self._views = views(self.links)
        self.copies = StandbyCopies(self._read, policy.copies_bytes)
        self._driver = SurvivalActions(
            self.rooms,
            name,
            host=host,
            links=self.links,
            copies=self.copies,
            given=self._views.given,
        )
        self._do = self._driver.do
        self.standings = self._driver.standings
        self._assembly = Assembly(policy.image_bytes)
        self.rounds = SurvivalRounds(self.rooms, self._driver, self._views, policy)
        self._refusals = RatedLog("survival.refused")
        self.drain = SurvivalDrain(
            self.rooms, self._driver, self.copies, self.links, host=host, refusals=self._refusals
        )

    async def run(self) -> None:
        """Follows the nodes, and asks again, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.links.witnesses.run)
            nursery.start_soon(self.rounds.run)

    def add_figures(self, figures: Figures) -> None:
        """Adds what is known of surviving rooms."""
        count, protected = self.standings.count, Protection.PROTECTED
        figures.rooms_protected = count(protected)
        figures.rooms_unprotected = sum(count(one) for one in Protection if one is not protected)
        figures.promotions = self._driver.promotions
        figures.standby_bytes = self.copies.bytes
        figures.commits = self.standings.commits

    # lastcall.host.protector.Protector

    def opened(self, room: RoomId, epoch: int) -> None:
        """A room runs here: a new one, or one that was promoted, and is known."""
        running = self._host().find(room)
        if running is not None and self.rooms.primary(room) is None:
            kind = running.state.kind
            self._driver.opened(room, kind)
            self._do(self.rooms.open(room, self._views.look(kind), epoch))

    def step(self, room: RoomId, data: bytes) -> int:
        """A room that runs here has made a step; returns its number."""
        primary = self.rooms.primary(room)
        if primary is None:
            raise RuntimeError(f"the room {room} is not known here")
        n = primary.last + 1
        self._driver.steps.add(room, n, data)
        self._do(self.rooms.step_made(room))
        return n

    def failing(self, room: RoomId, *, failing: bool) -> None:
        """While the state cannot be encoded, nobody may have an image: it is given back."""
        if self.rooms.primary(room) is not None:
            self.rounds.set_unfit(room, unfit=failing)

    def ended(self, room: RoomId) -> None:
        """A room that runs here has ended with its last step."""
        self._do(self.rooms.ended(room))

    def asked(self, link: LinkId, item: nodes.Up, room: RoomId) -> bool:
        """Answers a request for a room whose image is here, or that was left to its standby: it is
        made again, here or elsewhere.
        """
        left = room in self._driver.leaving.left
        if self.rooms.standby(room) is None and not left:
            return False
        todo = self.rooms.wanted(room)
        self._do(todo)
        if isinstance(item, nodes.Join | nodes.Resume):
            self._host().running.outbox(link, self._answer(item.call, todo, LEFT if left else SOON))
        return True

    def voted(self, link: LinkId, vote: nodes.Vote) -> None:
        """The api node of ``link`` has answered."""
        self.links.witnesses.voted(link, vote)

    def _answer(self, call: int, todo: Collection[actions.Action], soon: str) -> nodes.Refused:
        for action in todo:
            if isinstance(action, actions.Elsewhere):
                owner, name = action.owner, self.links.peers.name(action.owner)
                why = f"the room is at {name}"
                return nodes.Refused(call, nodes.MOVED, why, to=owner, name=name, retry=True)
        return nodes.Refused(call, nodes.NO_SUCH_PLACE, soon, retry=True)

    # lastcall.game.pair_links.PairEvents

    def linked(self, node: Incarnation) -> None:
        """There is a new link to ``node``."""
        self.rounds.linked(node)
        self._do(self.rooms.linked(node))

    def gone(self, node: Incarnation, *, certain: bool) -> None:
        """``node`` is silent, or ``certain`` to be dead: then its rooms go on here, if they may."""
        self._assembly.drop(node)
        self._do(self.rooms.gone(node, certain=certain))
        self.rounds.gone(node, certain=certain)

    def received(self, node: Incarnation, item: items.SurvivalItem) -> None:
        """``node`` has said something about a room."""
        if isinstance(item, items.Step):
            self._driver.take(self.rooms.receive(node, item), InHand(node, item))
        elif isinstance(item, items.StandbyImage):
            self._image(node, item)
        else:
            if isinstance(item, items.Fenced) and item.room in self._driver.leaving.left:
                self._driver.leaving.arrived(item.room)
            if isinstance(item, items.Resigned) and item.reason:
                kind, game = self._driver.kinds.get(item.room, ""), self.links.peers.name(node)
                reason = item.reason[:200]
                self._refusals.warning(room=item.room, kind=kind, game=game, reason=reason)
            self._do(self.rooms.receive(node, item))

    def _read(self, image: bytes) -> StandbyCopy:
        return self._host().moves.keep(image)

    def _image(self, node: Incarnation, item: items.StandbyImage) -> None:
        whole = self._assembly.add(node, item)
        if whole is None:
            return
        last, data = whole
        read: StandbyCopy | str = self._refusal()
        if not read and data is not None:
            read = self.copies.read(item.room, data)
        if data is None:
            read = f"it has more than {self._policy.image_bytes} bytes"
        if isinstance(read, str):
            self._do(self.rooms.refuse(node, last, read))
        else:
            self._driver.take(self.rooms.receive(node, last), InHand(node, last, read))
            self.rounds.see(item.room)
