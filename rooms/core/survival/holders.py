"""The rooms that a node runs, and the images that it holds, each by its room."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lastcall.core.survival.actions import Action, Drop, Finished, LeftToStandby, Promote, Send
from lastcall.core.survival.links import Links
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.standby import Standby
from lastcall.core.survival.votes import Votes
from lastcall.ids import Incarnation, RoomId
from lastcall.wire.survival_items import Config, StandbyImage, SurvivalItem

Holder = Primary | Standby
OF_HOLDERS = frozenset({Promote, Drop, Finished, LeftToStandby})
"""The actions that change what a node has of a room: few of many."""


class Holders:
    """Those of node ``me``; ``to_self`` takes what the node has to say to itself."""

    primary_type: type[Primary] = Primary
    standby_type: type[Standby] = Standby

    def __init__(
        self,
        me: Incarnation,
        links: Links,
        votes: Votes,
        to_self: Callable[[SurvivalItem], list[Action]],
    ) -> None:
        self.me = me
        self._links = links
        self._votes = votes
        self._to_self = to_self
        self._rooms: dict[RoomId, Holder] = {}

    def get(self, room: RoomId) -> Holder | None:
        """Whatever is here of the room."""
        return self._rooms.get(room)

    def primary(self, room: RoomId) -> Primary | None:
        """The room, if it runs here."""
        holder = self._rooms.get(room)
        return holder if isinstance(holder, Primary) else None

    def standby(self, room: RoomId) -> Standby | None:
        """The room's image, if the room runs elsewhere."""
        holder = self._rooms.get(room)
        return holder if isinstance(holder, Standby) else None

    def run(self, room: RoomId, config: Config, last: int = 0) -> Primary:
        """The room runs here from now on; its last step was ``last``."""
        primary = self.primary_type(room, config, self._links, last)
        self._rooms[room] = primary
        return primary

    def keep(self, source: Incarnation, image: StandbyImage) -> list[Action]:
        """The first image of a room is here from now on."""
        standby = self.standby_type(image, self.me, self._links)
        self._rooms[image.room] = standby
        return standby.receive(source, image)

    def on(self, holder: Holder | None, event: Callable[[Holder], list[Action]]) -> list[Action]:
        """Tells ``holder`` of an ``event``; returns what to do."""
        return [] if holder is None else self.carry(event(holder))

    def on_all(self, event: Callable[[Holder], list[Action]]) -> list[Action]:
        """Tells all of an ``event``; returns what to do."""
        out = []
        for holder in list(self._rooms.values()):
            out += self.carry(event(holder))
        return out

    def carry(self, actions: Iterable[Action]) -> list[Action]:
        """Does what concerns this package alone; the rest is for the node."""
        out: list[Action] = []
        for action in actions:
            if isinstance(action, Send) and action.to == self.me:
                out += self._to_self(action.item)
                continue
            out.append(action)
            if type(action) in OF_HOLDERS:
                out += self._change(action)
        return out

    def _change(self, action: Action) -> list[Action]:
        """The room runs here from now on, or neither it nor its image is here any more."""
        if isinstance(action, Promote):
            return self._promoted(action)
        holder = self._rooms.pop(action.room)
        if isinstance(action, Finished) or (isinstance(holder, Standby) and holder.over):
            self._votes.close(action.room, holder.config)
        return []

    def _promoted(self, action: Promote) -> list[Action]:
        image = self.standby(action.room)
        if image is None:
            raise RuntimeError(f"no image of the room {action.room} is held here")
        return self.on(
            self.run(action.room, action.config, image.last),
            lambda holder: holder.sees(image.claim.view),
        )
