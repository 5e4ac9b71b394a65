"""All surviving rooms of a game node: the entrance to this package.

Each method is an event, and returns the actions to carry out, in order and at once (see
``actions.py``). An image that comes in parts is put together first, and decoded: ``receive`` takes
it if the node can keep it, else ``refuse`` does. Between ``gone`` and ``linked``, nothing may come
from that node, nor be sent to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import methodcaller

from lastcall.core.survival.actions import Action, Drop, Finished, Promote, Send
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.standby import Standby
from lastcall.core.survival.votes import Votes, answer
from lastcall.ids import Incarnation, RoomId
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Answer, Config, SurvivalItem, Vote

Holder = Primary | Standby


class SurvivingRooms:
    """The surviving rooms that run on node ``me``, and the standby images that it holds.

    Bounded by the node's limits of rooms and of memory: each room here was opened by its host, or
    its image was decoded and not refused.
    """

    primary_type: type[Primary] = Primary
    standby_type: type[Standby] = Standby

    def __init__(self, me: Incarnation) -> None:
        self.me = me
        self.links = Links()
        self.votes = Votes()
        self._rooms: dict[RoomId, Holder] = {}

    def primary(self, room: RoomId) -> Primary | None:
        """The room, if it runs here."""
        holder = self._rooms.get(room)
        return holder if isinstance(holder, Primary) else None

    def standby(self, room: RoomId) -> Standby | None:
        """The room's image, if it is held here and the room runs elsewhere."""
        holder = self._rooms.get(room)
        return holder if isinstance(holder, Standby) else None

    def open(self, room: RoomId, view: View, config: Config | None = None) -> list[Action]:
        """A surviving room runs here from now on: it is new, or was handed off with ``config``."""
        old = config or Config(0, self.me)
        config = Config(old.epoch, self.me, former=old.former, agreed=old.agreed)
        self._rooms[room] = self.primary_type(room, config, self.links)
        return self.sees(room, view)

    def step_made(self, room: RoomId) -> list[Action]:
        """A room that runs here has changed; ``primary(room).line.last`` numbers that step."""
        return self._on(self.primary(room), methodcaller("step_made"))

    def ended(self, room: RoomId) -> list[Action]:
        """A room that runs here has ended with its last step; ``Finished`` follows."""
        return self._on(self.primary(room), methodcaller("ended"))

    def hand_over(self, room: RoomId) -> list[Action]:
        """This node drains: the standby of a room that runs here takes over."""
        return self._on(self.primary(room), methodcaller("hand_over"))

    def wanted(self, room: RoomId) -> list[Action]:
        """An api node asks for a room whose image is held here."""
        return self._on(self.standby(room), methodcaller("wanted"))

    def sees(self, room: RoomId, view: View) -> list[Action]:
        """The nodes that ``room`` may turn to are others now, or some of them drain."""
        return self._on(self._rooms.get(room), methodcaller("sees", view))

    def again(self, room: RoomId) -> list[Action]:
        """``room`` has waited for some seconds: what it asked for is asked again."""
        return self._on(self._rooms.get(room), methodcaller("again"))

    def gone(self, node: Incarnation, *, certain: bool) -> list[Action]:
        """``node`` is silent; or ``certain`` to be dead: refused, or another incarnation."""
        self.links.gone(node, certain=certain)
        if certain:
            self.votes.dead(node)
        return self._on_all(methodcaller("gone", node))

    def linked(self, node: Incarnation) -> list[Action]:
        """There is a new link to ``node``; everything under way on an earlier one is lost."""
        self.links.linked(node)
        return self._on_all(methodcaller("linked", node))

    def receive(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """``item`` came from node ``source``."""
        if isinstance(item, items.VoteAsked):
            return self._carry([Send(item.room, source, self._vote(source, item))])
        if isinstance(item, items.VoteReturned):
            self.votes.returned(source, item)
            return []
        dropped = self._make_way(source, item)
        return [*dropped, *self._carry(self._received(source, item))]

    def refuse(self, source: Incarnation, image: items.StandbyImage, reason: str) -> list[Action]:
        """``image`` came from node ``source``, and this node cannot keep it."""
        dropped = self._make_way(source, image)
        holder = self._rooms.get(image.room)
        if isinstance(holder, Primary):
            return self.receive(source, image)
        if holder is not None:
            return self._carry(holder.refuse(source, image, reason))
        resigned = items.Resigned(image.room, image.epoch, image.n, reason)
        return [*dropped, Send(image.room, source, resigned)]

    def _received(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        holder = self._rooms.get(item.room)
        if holder is None and isinstance(item, items.StandbyImage):
            return self._new_image(source, item)
        if holder is None:
            return _answer_of_a_stranger(source, item)
        if isinstance(holder, Primary) and isinstance(item, items.ToStandby):
            fenced = items.Fenced(item.room, holder.config.epoch, self.me)
            return [Send(item.room, source, fenced)]
        return holder.receive(source, item)

    def _make_way(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """A room that runs here is dropped for the image, or a step, of a later epoch."""
        primary = self.primary(item.room)
        if primary is None or not isinstance(item, items.StandbyImage | items.Step | items.Resign):
            return []
        if item.epoch <= primary.config.epoch:
            return []
        return self._carry(primary.outdated(source))

    def _new_image(self, source: Incarnation, image: items.StandbyImage) -> list[Action]:
        if self.votes.forbid(image.room, image.config):
            reason = "this node has voted for another primary of the room"
            resigned = items.Resigned(image.room, image.epoch, image.n, reason)
            return [Send(image.room, source, resigned)]
        standby = self.standby_type(image, self.me, self.links)
        self._rooms[image.room] = standby
        return standby.receive(source, image)

    def _vote(self, asker: Incarnation, asked: items.VoteAsked) -> Vote:
        """The answer of a game node, which is asked in place of a dead witness."""
        holder = self._rooms.get(asked.room)
        if holder is not None and asker != self.me:
            config = holder.config
            if config.epoch > asked.epoch:
                return answer(asked, Answer.DENIED, config.primary)
            if config.epoch == asked.epoch and self.me in (config.primary, *config.standbys):
                return answer(asked, Answer.LATER)
        return self.votes.ask(asker, asked)

    def _on(self, holder: Holder | None, event: Callable[[Holder], list[Action]]) -> list[Action]:
        return [] if holder is None else self._carry(event(holder))

    def _on_all(self, event: Callable[[Holder], list[Action]]) -> list[Action]:
        out = []
        for holder in list(self._rooms.values()):
            out += self._carry(event(holder))
        return out

    def _carry(self, actions: Iterable[Action]) -> list[Action]:
        """Does what concerns this package alone; the rest is for the node."""
        out: list[Action] = []
        for action in actions:
            if isinstance(action, Send) and action.to == self.me:
                out += self.receive(self.me, action.item)
                continue
            out.append(action)
            if isinstance(action, Promote):
                out += self._promoted(action, self._rooms[action.room])
            elif isinstance(action, Drop | Finished):
                self._forget(action)
        return out

    def _forget(self, action: Drop | Finished) -> None:
        holder = self._rooms.pop(action.room)
        if isinstance(action, Finished) or (isinstance(holder, Standby) and holder.over):
            self.votes.close(action.room, holder.config)

    def _promoted(self, action: Promote, holder: Holder) -> list[Action]:
        primary = self.primary_type(action.room, action.config, self.links, holder.last)
        self._rooms[action.room] = primary
        return self._carry(primary.sees(holder.view))


def _answer_of_a_stranger(source: Incarnation, item: SurvivalItem) -> list[Action]:
    """The answer of a node that does not know the room.

    It may have been promoted, and have forgotten that: so it never says that it resigned. If it ran
    the room, and the room is over or was fenced, the standby has to find out: the votes tell.
    """
    answer: SurvivalItem
    match item:
        case items.Step() | items.Resign():
            answer = items.NotHeld(item.room, item.epoch, item.n)
        case items.StepsKept():
            answer = items.TakeOver(item.room, item.epoch)
        case _:
            return []
    return [Send(item.room, source, answer)]
