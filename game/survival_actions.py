"""Carries out what is decided about the surviving rooms of this node, in order and at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import structlog

from lastcall.core.survival import actions
from lastcall.core.survival.parts import split
from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.game.given_images import GivenImages
from lastcall.game.leaving_rooms import LeavingRooms
from lastcall.game.pair_links import PairLinks
from lastcall.game.standby_copies import StandbyCopies
from lastcall.game.standings import Standings
from lastcall.game.uncommitted_steps import UncommittedSteps
from lastcall.host.host import Host
from lastcall.host.standby_copy import StandbyCopy
from lastcall.ids import Incarnation, KindName, NodeName, RoomId
from lastcall.wire import nodes
from lastcall.wire import survival_items as items
from lastcall.wire.images import for_another_node

log = structlog.get_logger()


class InHand(msgspec.Struct):
    """An image or a step that has just come from ``source``; ``copy`` is what an image is here."""

    source: Incarnation
    item: items.StandbyImage | items.Step
    copy: StandbyCopy | None = None


class SurvivalActions:
    """The actions of one node for its surviving rooms, and for the images of others' rooms."""

    def __init__(
        self,
        rooms: SurvivingRooms,
        name: NodeName,
        *,
        host: Callable[[], Host],
        links: PairLinks,
        copies: StandbyCopies,
        given: GivenImages,
    ) -> None:
        self._rooms = rooms
        self._name = name
        self._host = host
        self._links = links
        self._copies = copies
        self._given = given
        self.kinds: dict[RoomId, KindName] = {}
        """Of the rooms that run here, and of those whose images are here."""
        self.standings = Standings()
        self.steps = UncommittedSteps()
        self._todo: deque[actions.Action] = deque()
        self._busy = False
        self._in_hand: InHand | None = None
        self.leaving = LeavingRooms()
        """The rooms that are to go to their standbys."""
        self.promotions = 0
        """How many rooms went on here from an image of this node."""
        self._acts: dict[type[actions.ToDo], Callable[[Any], None]] = {
            actions.Send: self._send,
            actions.SendStep: self._send_step,
            actions.Leave: self._leave,
            actions.Keep: self._keep,
            actions.SendImage: self._send_image,
            actions.Standing: self._stand,
            actions.Promote: self._promote,
            actions.Drop: self._drop,
            actions.LeftToStandby: self._leave_to_standby,
            actions.Finished: self._finish,
            actions.Elsewhere: _answer,
        }

    def opened(self, room: RoomId, kind: KindName) -> None:
        """A room runs here."""
        self.kinds[room] = kind
        self.standings.put(room, actions.Protection.UNPROTECTED, "")

    def take(self, todo: Iterable[actions.Action], in_hand: InHand) -> None:
        """Carries out what follows from an image or a step."""
        self._in_hand = in_hand
        try:
            self.do(todo)
        finally:
            self._in_hand = None

    def do(self, todo: Iterable[actions.Action]) -> None:
        """Carries out ``todo``; if it is called meanwhile, that waits for its turn."""
        self._todo.extend(todo)
        if self._busy:
            return
        self._busy = True
        try:
            while self._todo:
                self._try(self._todo.popleft())
        finally:
            self._busy = False

    def _try(self, action: actions.Action) -> None:
        """A fault of this program in one room's action costs the others nothing."""
        try:
            self._acts[type(action)](action)
        except Exception:
            log.exception("survival.action_failed", room=action.room, action=type(action).__name__)
            if isinstance(action, actions.Keep):
                self._not_kept(action.room)

    def _not_kept(self, room: RoomId) -> None:
        """Drops what an action failed to keep for ``room``: no node hears that it is kept."""
        in_hand = self._in_hand
        if in_hand is not None and in_hand.item.room == room:
            self._give_back(room, in_hand, "this node failed to keep it")
        else:
            self._todo = deque(action for action in self._todo if action.room != room)

    def _send(self, action: actions.Send) -> None:
        self._links.send(action.to, action.item)

    def _send_step(self, action: actions.SendStep) -> None:
        data = self.steps.data(action.room, action.n)
        step = items.Step(action.room, action.epoch, action.n, data, action.config)
        self._links.send(action.to, step)

    def _leave(self, action: actions.Leave) -> None:
        for seconds in self.steps.commit(action.room, action.upto):
            self.standings.commits.observe(seconds)
        self._host().protected.leave(action.room, action.upto)

    def _stand(self, action: actions.Standing) -> None:
        runs = self._rooms.primary(action.room) is not None
        self.standings.put(action.room, action.protection, action.why, runs=runs)

    def _send_image(self, action: actions.SendImage) -> None:
        """Sends the image as of the room's last step, which may be made since the decision."""
        primary, image = self._rooms.primary(action.room), self._host().protected.image(action.room)
        if primary is None or image is None:
            return  # it is over: the next action says so
        self._given.give(action.room, action.to)
        for part in split(action.room, primary.last, primary.config, image):
            self._links.send(action.to, part)

    def _keep(self, action: actions.Keep) -> None:
        room, in_hand = action.room, self._in_hand
        if in_hand is None or in_hand.item.room != room:
            raise RuntimeError(f"no image or step of the room {room} is in hand")
        if in_hand.copy is not None:
            self._copies.put(room, in_hand.copy)
            self.kinds[room] = in_hand.copy.kind
        elif isinstance(in_hand.item, items.Step):
            why = self._copies.apply(room, in_hand.item.data)
            if why is not None:
                self._give_back(room, in_hand, why)

    def _give_back(self, room: RoomId, in_hand: InHand, why: str) -> None:
        """The copy cannot take a step, and so it is not confirmed: the image is refused."""
        self._todo = deque(action for action in self._todo if action.room != room)
        standby = self._rooms.standby(room)
        if standby is not None:
            image = items.StandbyImage(room, in_hand.item.epoch, in_hand.item.n, standby.config)
            self._todo.extend(self._rooms.refuse(in_hand.source, image, why))

    def _promote(self, action: actions.Promote) -> None:
        room, epoch = action.room, action.config.epoch
        image, host = for_another_node(self._copies.take(room), epoch), self._host()
        why = host.moves.promote(image, moves=self.leaving.moves)
        if why is not None:
            log.error("survival.not_promoted", room=room, kind=image.kind, why=why)
            self._todo.extend(self._rooms.ended(room))
            return
        self.promotions += 1
        self.opened(room, image.kind)
        log.info("survival.promoted", room=room, kind=image.kind, epoch=epoch)
        self._links.witnesses.send_all(nodes.Moved(room, epoch, self._rooms.me, self._name))
        running = host.find(room)
        if running is not None and running.state.codec.kind.moves in self.leaving.moves:
            self.hand_over(room)

    def hand_over(self, room: RoomId) -> None:
        """The room, which runs here, goes to its standby as soon as it has one."""
        if self.leaving.add(room) or self.leaving.ends:
            self.do(self._rooms.hand_over(room, ends=self.leaving.ends))

    def _leave_to_standby(self, action: actions.LeftToStandby) -> None:
        self.leaving.left.add(action.room)
        self._host().moves.leave(action.room)
        self._forget(action.room)

    def _finish(self, action: actions.Finished) -> None:
        self._forget(action.room)
        self._host().protected.finished(action.room)

    def _drop(self, action: actions.Drop) -> None:
        """Another node has the room: one that runs here is muted, and an image is forgotten."""
        room, owner = action.room, action.owner
        self._copies.drop(room)
        running = self._host().find(room)
        if running is not None and running.state.changes is not None:
            epoch, name = running.state.epoch + 1, self._links.peers.name(owner)
            if not self.leaving.arrived(room):
                log.warning("survival.fenced", room=room, kind=running.state.kind, game=name)
            self._host().moves.drop(room, nodes.Whereabouts(owner, name, epoch))
        self._forget(room)

    def _forget(self, room: RoomId) -> None:
        self.steps.forget(room)
        self.kinds.pop(room, None)
        self._given.forget(room)
        self.standings.drop(room)
        self.leaving.gone(room)


def _answer(_: actions.Elsewhere) -> None:
    """If a request asked for the room, :meth:`Survival.asked` answers it."""
