"""Looks into the nodes of a walk: when may one be lost, and at which instants is it worst?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import trio

from lastcall.core.lifecycle import Phase
from lastcall.core.survival.actions import Protection
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.standby import Standby
from lastcall.ids import RoomId
from lastcall.reasons import EndReason
from lastcall.wire.survival_items import Resign
from tests.harness.cluster import ApiProcess, GameProcess, Process
from tests.moves.history import Visit
from tests.moves.survivors import survival

LOOK_SECONDS = 0.004
PATIENCE_SECONDS = 1.0
"""How long an instant is waited for."""

Runs = tuple[int, GameProcess, Primary]


class Lookout:
    """The nodes and players of a walk."""

    def __init__(self, games: Mapping[str, GameProcess], apis: Mapping[str, ApiProcess]) -> None:
        self.games = games
        self.apis = apis
        self.visits: list[Visit] = []
        self._heard = trio.Event()
        self._heard_in = ""
        self.instants: list[Callable[[], GameProcess | None]] = [
            self.speaker,
            self.sender,
            self.giver,
            self.voter,
        ]

    def hear(self, visit: Visit) -> None:
        """A player has just heard a message."""
        self._heard_in = visit.room
        self._heard.set()
        self._heard = trio.Event()

    @property
    def live(self) -> list[GameProcess]:
        """The game nodes that are up, those that drain included."""
        return [game for game in self.games.values() if is_up(game)]

    @property
    def serving(self) -> list[GameProcess]:
        return [game for game in self.live if game.drain.phase is Phase.SERVING]

    @property
    def rooms(self) -> list[str]:
        """The surviving rooms in which players are."""
        return sorted({v.room for v in self.visits if v.survives and not v.over.is_set()})

    @property
    def safe(self) -> bool:
        """Whether each surviving room has two images and a witness, so that one may be lost."""
        return all(map(self._is_safe, self.rooms))

    def takes_over(self, game: GameProcess) -> bool:
        """Whether a room of a node that drains is about to go on at ``game``: for an instant, that
        one may have the only image, since the other node gives its own up.
        """
        return any(image.claim.handed_over and image.voting for image in self._images(game))

    def votes(self, game: GameProcess) -> bool:
        """Whether a room is to go on at ``game``, and a vote for that is missing."""
        return any(image.voting for image in self._images(game))

    def runs(self, room: str) -> Runs | None:
        """The node that runs the room, and the room there: that of the latest epoch."""
        lines = [
            (line.config.epoch, game, line)
            for game in self.live
            if (line := survival(game).rooms.primary(RoomId(room))) is not None
        ]
        return max(lines, key=lambda one: one[0], default=None)

    def heirs(self, game: GameProcess) -> set[RoomId]:
        """The rooms that run at ``game`` and that another node could run, if it had the vote."""
        rooms = survival(game).rooms
        primaries = [rooms.primary(room) for room in game.node.host.running.by_id]
        return {one.line.room for one in primaries if one is not None and one.line.heirs}

    def ended(self, game: GameProcess) -> set[RoomId]:
        """The rooms that have ended at ``game`` by themselves."""
        rooms = game.node.host.running.ended_rooms._store.since(-inf)
        return {room.id for room in rooms if room.reason != EndReason.CUT}

    def _is_safe(self, room: str) -> bool:
        found = self.runs(room)
        if found is None:
            return False
        _, game, line = found
        images = [survival(one).rooms.standby(line.line.room) for one in self.live]
        holders = {one.image.me for one in images if one is not None} | {line.config.primary}
        apis = {api.name for api in self.apis.values() if is_up(api)}
        witnesses = {
            api.incarnation for api in survival(game).links.witnesses.apis if api.name in apis
        }
        return (
            line.protection is Protection.PROTECTED
            and not _is_let_go(line)
            and holders.issuperset((line.config.primary, *line.config.standbys))
            and witnesses.issuperset(line.config.witnesses)
        )

    # Instants

    async def word_heard(self) -> GameProcess | None:
        """A word of a surviving room has just left; returns the room's node."""
        with trio.move_on_after(PATIENCE_SECONDS):
            while True:
                await self._heard.wait()
                if (found := self.runs(self._heard_in)) is not None:
                    return found[1]
        return None

    async def any_of(self, instant: Callable[[], GameProcess | None]) -> GameProcess | None:
        """Waits for one of :attr:`instants`; returns the node that is in the middle of it."""
        with trio.move_on_after(PATIENCE_SECONDS):
            while (game := instant()) is None:
                await trio.sleep(LOOK_SECONDS)
            return game
        return None

    def speaker(self) -> GameProcess | None:
        """A step of one of its rooms is on its way to the standby."""
        for found in map(self.runs, self.rooms):
            if found is not None and found[2].line.left < found[2].line.last:
                return found[1]
        return None

    def sender(self) -> GameProcess | None:
        """A step of one of its rooms waits for the answer to another request."""
        for game in self.live:
            if any(link.uplink._waiting for link in game.node.others.peers._links.values()):
                return game
        return None

    def giver(self) -> GameProcess | None:
        """One of its rooms is frozen, or on its way to another node."""
        return next((game for game in self.live if game.node.host.running.held.frozen), None)

    def voter(self) -> GameProcess | None:
        """One of the images that it keeps waits for a vote."""
        for game in self.live:
            for image in self._images(game):
                if image.voting:
                    return game
        return None

    def _images(self, game: GameProcess) -> list[Standby]:
        images = [survival(game).rooms.standby(RoomId(room)) for room in self.rooms]
        return [image for image in images if image is not None]


def _is_let_go(line: Primary) -> bool:
    """Whether the only standby was told to forget the image, since its node leaves, and no other
    node can have it.
    """
    told = line._succession._told
    return len(line.config.standbys) == 1 and told.get(line.config.standbys[0]) is Resign


def is_up(process: Process) -> bool:
    return not process.scope.cancel_called
