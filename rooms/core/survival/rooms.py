"""All surviving rooms of a game node: the entrance to this package.

Each method is an event, and returns the actions to carry out, in order and at once (see
``actions.py``). An image that comes in parts is put together first, and decoded: ``receive`` takes
it if the node can keep it, else ``refuse`` does. Between ``gone`` and ``linked``, nothing may come
from that node, nor be sent to it.
"""

from __future__ import annotations

from operator import methodcaller

from lastcall.core.survival.actions import Action
from lastcall.core.survival.arrivals import Arrivals
from lastcall.core.survival.holders import Holders
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.standby import Standby
from lastcall.core.survival.votes import Votes
from lastcall.ids import Incarnation, RoomId
from lastcall.wire.survival_items import Config, StandbyImage, SurvivalItem


class SurvivingRooms:
    """The surviving rooms that run on node ``me``, and the standby images that it holds.

    Bounded by the node's limits of rooms and of memory: each room here was opened by its host, or
    its image was decoded and not refused.
    """

    holders_type: type[Holders] = Holders
    arrivals_type: type[Arrivals] = Arrivals
    votes_type: type[Votes] = Votes

    def __init__(self, me: Incarnation) -> None:
        self.me = me
        self.links = Links()
        self.votes = self.votes_type()
        self._holders = self.holders_type(me, self.links, self.votes, self._say_to_self)
        self._arrivals = self.arrivals_type(self._holders, self.votes)

    def primary(self, room: RoomId) -> Primary | None:
        """The room, if it runs here."""
        return self._holders.primary(room)

    def standby(self, room: RoomId) -> Standby | None:
        """The room's image, if it is held here and the room runs elsewhere."""
        return self._holders.standby(room)

    def open(self, room: RoomId, view: View, epoch: int = 0) -> list[Action]:
        """A surviving room runs here from now on, with the ``epoch`` of its line."""
        self._holders.run(room, Config(epoch, self.me))
        return self.sees(room, view)

    def step_made(self, room: RoomId) -> list[Action]:
        """A room that runs here has changed; ``primary(room).line.last`` numbers that step."""
        return self._holders.on(self.primary(room), methodcaller("step_made"))

    def ended(self, room: RoomId) -> list[Action]:
        """A room that runs here has ended with its last step; ``Finished`` follows."""
        return self._holders.on(self.primary(room), methodcaller("ended"))

    def hand_over(self, room: RoomId, *, ends: bool = False) -> list[Action]:
        """This node drains, or ``ends`` soon: the standby of a room that runs here takes over."""
        return self._holders.on(self.primary(room), methodcaller("hand_over", ends=ends))

    def leave_to_standby(self, room: RoomId) -> list[Action]:
        """This node ends now: a room that runs here goes on at a standby, if it has one, once that
        has its votes. ``LeftToStandby`` follows, or nothing.
        """
        return self._holders.on(self.primary(room), methodcaller("leave_to_standby"))

    def leave(self, room: RoomId) -> list[Action]:
        """This node ends, and takes no image any more: it asks to give the room's image back.

        It may have to run the room first: the node may end once it neither holds nor runs any.
        """
        return self._holders.on(self.standby(room), methodcaller("leave"))

    def wanted(self, room: RoomId) -> list[Action]:
        """An api node asks for a room whose image is held here."""
        return self._holders.on(self.standby(room), methodcaller("wanted"))

    def sees(self, room: RoomId, view: View) -> list[Action]:
        """The nodes that ``room`` may turn to are others now, or some of them drain."""
        return self._holders.on(self._holders.get(room), methodcaller("sees", view))

    def again(self, room: RoomId) -> list[Action]:
        """``room`` has waited for some seconds: what it asked for is asked again."""
        return self._holders.on(self._holders.get(room), methodcaller("again"))

    def gone(self, node: Incarnation, *, certain: bool) -> list[Action]:
        """``node`` is silent; or ``certain`` to be dead: refused, or another incarnation."""
        self.links.gone(node, certain=certain)
        if certain:
            self.votes.dead(node)
        return self._holders.on_all(methodcaller("gone", node))

    def linked(self, node: Incarnation) -> list[Action]:
        """There is a new link to ``node``; everything under way on an earlier one is lost."""
        self.links.linked(node)
        return self._holders.on_all(methodcaller("linked", node))

    def receive(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """``item`` came from node ``source``."""
        return self._arrivals.receive(source, item)

    def refuse(self, source: Incarnation, image: StandbyImage, reason: str) -> list[Action]:
        """``image`` came from node ``source``, and this node cannot keep it."""
        return self._arrivals.refuse(source, image, reason)

    def _say_to_self(self, item: SurvivalItem) -> list[Action]:
        return self.receive(self.me, item)
