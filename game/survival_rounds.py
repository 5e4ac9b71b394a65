"""Rounds through surviving rooms: each learns which nodes there are, and repeats its requests.

Images that nobody wants find an end.
"""

from __future__ import annotations

from collections import deque

import trio
from msgspec.structs import replace

from lastcall.core.survival.actions import Protection
from lastcall.core.survival.links import View
from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.game.survival_actions import SurvivalActions
from lastcall.game.survival_views import Views
from lastcall.ids import Incarnation, KindName, RoomId
from lastcall.policy import SurvivalPolicy
from lastcall.runtime.rated_log import RatedLog
from lastcall.runtime.ticks import next_tick

LOOK_SECONDS = 0.1
"""Between two looks at the nodes that there are."""
UNFIT = "its state cannot be encoded; room.state_failed in the log says why"
ROOMS_AT_ONCE = 32
"""The rooms of one turn of the loop."""


class SurvivalRounds:
    """The rounds of one node through its rooms, and through the images of others' rooms."""

    def __init__(
        self,
        rooms: SurvivingRooms,
        driver: SurvivalActions,
        views: Views,
        policy: SurvivalPolicy,
    ) -> None:
        self._rooms = rooms
        self._driver = driver
        self._views = views
        self._policy = policy
        self._unfit: set[RoomId] = set()
        """The rooms whose state cannot be encoded: nobody may have an image."""
        self._silent_since: dict[Incarnation, float] = {}
        """Since when nodes whose rooms have images here are silent, and not known to be dead."""
        self._wanted: deque[RoomId] = deque()
        """The images whose primary has died, which this node tries to run."""
        self._wake = trio.Event()
        self._waiting = RatedLog("survival.waiting")

    def see(self, room: RoomId) -> None:
        """The room learns which nodes there are."""
        kind = self._driver.kinds.get(room)
        if kind is not None:
            self._see(room, self._views.look(kind))

    def set_unfit(self, room: RoomId, *, unfit: bool) -> None:
        """Whether the room's state cannot be encoded."""
        if unfit:
            self._unfit.add(room)
        else:
            self._unfit.discard(room)
        self.see(room)

    def linked(self, node: Incarnation) -> None:
        """There is a link to ``node``."""
        self._silent_since.pop(node, None)

    def gone(self, node: Incarnation, *, certain: bool) -> None:
        """``node`` is silent, or dead: then its rooms go on here, if they may."""
        if not certain:
            if self._images_of({node}):
                self._silent_since.setdefault(node, trio.current_time())
            return
        self._silent_since.pop(node, None)
        self._wanted.extend(self._images_of({node}))
        self._wake.set()

    async def run(self) -> None:
        """Makes the rounds until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look)
            nursery.start_soon(self._ask_again)
            nursery.start_soon(self._run_wanted)

    async def _look(self) -> None:
        while True:
            await next_tick(LOOK_SECONDS)
            views = self._views.changed()
            if views:
                await self._tell(views)

    async def _tell(self, views: dict[KindName, View]) -> None:
        for count, (room, kind) in enumerate(list(self._driver.kinds.items()), 1):
            if kind in views:
                self._see(room, views[kind])
            if count % ROOMS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    async def _ask_again(self) -> None:
        """Rooms that wait for an answer ask again, and at times those without a standby."""
        asked_all_at = trio.current_time()
        while True:
            await trio.sleep(self._policy.again_seconds)
            now = trio.current_time()
            every = now - asked_all_at >= self._policy.refused_seconds
            if every:
                asked_all_at = now
            since = now - self._policy.idle_seconds
            self._unfit &= self._driver.kinds.keys()
            idle = {node for node, at in self._silent_since.items() if at <= since}
            self._wanted.extend(self._images_of(idle))
            self._wake.set()
            for count, room in enumerate(list(self._driver.kinds), 1):
                if self._waits(room, every=every):
                    self._again(room)
                if count % ROOMS_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()

    async def _run_wanted(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._wanted:
                for _ in range(min(ROOMS_AT_ONCE, len(self._wanted))):
                    self._driver.do(self._rooms.wanted(self._wanted.popleft()))
                await trio.lowlevel.checkpoint()

    def _again(self, room: RoomId) -> None:
        self.see(room)  # votes of others count after another look
        primary = self._rooms.primary(room)
        if primary is not None and primary.protection is Protection.WAITING:
            why = self._driver.standings.why_of(room)
            self._waiting.warning(room=room, kind=self._driver.kinds[room], why=why)
        self._driver.do(self._rooms.again(room))

    def _waits(self, room: RoomId, *, every: bool) -> bool:
        primary, standby = self._rooms.primary(room), self._rooms.standby(room)
        if primary is not None:
            protection = primary.protection
            return protection is Protection.WAITING or (
                every and protection is Protection.UNPROTECTED
            )
        return standby is not None and standby.claim.waits

    def _images_of(self, primaries: set[Incarnation]) -> list[RoomId]:
        if not primaries:
            return []
        kept = [self._rooms.standby(room) for room in self._driver.kinds]
        return [one.room for one in kept if one is not None and one.config.primary in primaries]

    def _see(self, room: RoomId, view: View) -> None:
        if room in self._unfit:
            view = replace(view, takers=(), withheld=UNFIT)
        self._driver.do(self._rooms.sees(room, view))
