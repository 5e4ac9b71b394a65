"""The surviving rooms of a node that ends, when :mod:`lastcall.game.departures` says so.

Rooms that run here go to their standbys, and other nodes get the images of rooms that run there.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.game.pair_links import PairLinks
from lastcall.game.standby_copies import StandbyCopies
from lastcall.game.survival_actions import SurvivalActions
from lastcall.game.survival_rounds import ROOMS_AT_ONCE
from lastcall.host.host import Host
from lastcall.ids import RoomId
from lastcall.runtime.rated_log import RatedLog

log = structlog.get_logger()

TOO_LATE = "its standby has not taken it in time"
REPLACED_SECONDS = 2.0
LEAVE_SECONDS = 0.25
"""Between two looks of a node that ends whether it has images still."""


class SurvivalDrain:
    """Hands the rooms of one node over, and gives the images of others' rooms back."""

    def __init__(
        self,
        rooms: SurvivingRooms,
        driver: SurvivalActions,
        copies: StandbyCopies,
        links: PairLinks,
        *,
        host: Callable[[], Host],
        refusals: RatedLog,
    ) -> None:
        self._rooms = rooms
        self._refusals = refusals
        self._driver = driver
        self._copies = copies
        self._links = links
        self._host = host
        self._stopped = False

    def hand_over(self, *moves: str, ends: bool) -> set[RoomId]:
        """Hands the rooms over that run here and move so, also those that come later; returns those
        that have not gone yet. This node ``ends`` soon, or lets other rooms play on.
        """
        self._driver.leaving.moves, self._driver.leaving.ends = moves, ends
        running = [self._host().find(room) for room in self._driver.kinds]
        for state in [one.state for one in running if one is not None]:
            if state.codec.kind.moves in moves and self._rooms.primary(state.id) is not None:
                self._driver.hand_over(state.id)
        return self._leaving()

    def stop(self) -> None:
        """It is too late: hands over no room that comes now, and waits for no image. Rooms that run
        here are left to their standbys, if these may go on with them when their witnesses have
        voted; and it is logged why others stay, to be cut.
        """
        self._driver.leaving.moves, self._stopped = (), True
        if images := len(self._copies):
            log.warning("survival.given_up", images=images)
        for room in list(self._driver.kinds):
            self._driver.do(self._rooms.leave_to_standby(room))
        if rooms := len(self._driver.leaving.left):
            log.warning("survival.left", rooms=rooms)
        for room, kind in self._driver.kinds.items():
            if self._rooms.primary(room) is not None:
                reason = self._driver.standings.why_of(room) or TOO_LATE
                self._refusals.warning(room=room, kind=kind, game="", reason=reason)

    async def wait_handed_over(self) -> None:
        """Waits until no room is to go that runs here; always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._leaving():
            await self._driver.leaving.changed.wait()

    async def wait_replaced(self) -> None:
        """Waits until other nodes have the images that are here, where one could; gives up when
        none has gone for :data:`REPLACED_SECONDS`. Always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        while self._replaceable():
            with trio.move_on_after(REPLACED_SECONDS) as patience:
                await self._copies.dropped.wait()
            if patience.cancelled_caught:
                return

    async def give_images_back(self) -> None:
        """This node ends: returns when it has no image any more. One is kept until its room's
        node has let it go, or until the room runs here; or until :meth:`stop`. Always a checkpoint.
        """
        await trio.lowlevel.checkpoint()
        await self._give_back()
        while len(self._copies) and not self._stopped:
            with trio.move_on_after(LEAVE_SECONDS):
                while len(self._copies):
                    await self._copies.dropped.wait()
            await self._give_back()

    @property
    def handed_over(self) -> int:
        """How many rooms have gone to their standbys."""
        return self._driver.leaving.handed_over

    @property
    def left(self) -> int:
        """How many rooms were left to standbys that have not said that they run them."""
        return len(self._driver.leaving.left)

    async def _give_back(self) -> None:
        """Other nodes' rooms go on without the images here, but for those that may run here now."""
        for count, room in enumerate(list(self._driver.kinds), 1):
            self._driver.do(self._rooms.leave(room))
            if count % ROOMS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def _replaceable(self) -> bool:
        """Whether an image is here that another node could have; its room's node sees to it."""
        kept = [self._rooms.standby(room) for room in self._driver.kinds]
        primaries = [one.config.primary for one in kept if one is not None]
        games = self._links.games
        serving = {game.node.incarnation for game in self._links.linked_games if game.node.serving}
        return any(one in games and serving - {one} for one in primaries)

    def _leaving(self) -> set[RoomId]:
        """The rooms that are handed over and run here still."""
        leaving = self._driver.leaving.rooms
        return {room for room in leaving if self._rooms.primary(room) is not None}
