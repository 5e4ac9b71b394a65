"""One random walk of a whole cluster: players talk in rooms while nodes die, stop and are replaced.

All is drawn from one seed. Links are slow, and nodes are killed when that is worst: just after a
word has left, while a step, a room or a vote is on its way. In a *careful* walk, that happens only
while every surviving room has two images and a witness: then no such room may be lost. In the
others nodes are killed at any instant, and what is heard must still be one history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from lastcall.api.socket import pump
from lastcall.game import links as game_links
from lastcall.links import feed_reader
from tests.harness.cluster import Cluster, cluster
from tests.moves.faults import Faults
from tests.moves.history import Visit, faults_of
from tests.moves.stage import Stage
from tests.moves.tales import MOVING

PLAYERS = 3
SECONDS = 2.5
"""How long faults begin."""
CALM_SECONDS = 1.0
"""Within this time an input is answered, if nothing happens but that game nodes are replaced."""
PATIENCE_SECONDS = 25.0
"""Afterwards all nodes and links are well: within this time each player says something and hears
it, or has left a room that has ended."""
PROTECTED_SECONDS = 10.0
CHECKED = 0.2
"""In this share of the walks, all surviving rooms have to be protected in the end."""
CAREFUL = 0.7


class Walk:
    """Players talk on the stage, faults happen, and then the law is checked."""

    def __init__(self, c: Cluster, seed: int) -> None:
        self.stage = Stage(c, seed)
        self.rng = self.stage.rng
        self.faults = Faults(self.stage, careful=self.rng.random() < CAREFUL)
        self.visits = self.stage.lookout.visits

    async def run(self) -> list[str]:
        """Returns what has broken the law."""
        guests = self.stage.guests
        await self.stage.start()
        async with trio.open_nursery() as players:
            for number in range(PLAYERS):
                players.start_soon(guests.visit_rooms, number)
            await trio.sleep(self.rng.uniform(0.1, 1))
            await self.faults.happen(SECONDS)
            self.stage.heal()
            unprotected = await self.wait_protected() if self.rng.random() < CHECKED else []
            guests.done.set()
            with trio.move_on_after(PATIENCE_SECONDS) as patience:
                for visit in self.visits:
                    await visit.over.wait()
            players.cancel_scope.cancel()
        waiting = [
            f"{v} waits for ever"
            for v in self.visits
            if patience.cancelled_caught
            if not v.over.is_set()
        ]
        faults = self.faults
        broken = faults_of(
            self.visits,
            lossless=faults.lossless,
            uncut=faults.uncut,
            gentle=faults.gentle,
            over=self.stage.over,
        )
        late = [f"{v} waited {v.slowest:.2f} s" for v in self.visits if self.is_late(v)]
        return unprotected + waiting + broken + late

    def is_late(self, visit: Visit) -> bool:
        """Whether a player has noticed that the room has moved."""
        moves = visit.survives or visit.place.kind in MOVING
        undisturbed = self.faults.calm and self.faults.uncut
        return undisturbed and moves and visit.slowest > CALM_SECONDS

    async def wait_protected(self) -> list[str]:
        """All is well, and so each surviving room gets a standby; returns those without one."""
        stage = self.stage

        def bare() -> list[str]:
            rooms = stage.lookout.rooms
            return [f"{room} has no standby" for room in rooms if stage.could_be_protected(room)]

        await wait(lambda: not bare(), PROTECTED_SECONDS)
        return bare()


async def wait(condition: Callable[[], bool], seconds: float) -> None:
    with trio.move_on_after(seconds):
        while not condition():
            await trio.sleep(0.05)


def run(seed: int) -> list[str]:
    """Returns the breaches of the law in the walk with this seed, and its faults. That a node meets
    a bug of its own is a breach, too.
    """

    async def walk() -> list[str]:
        bugs: list[str] = []
        async with cluster(seed, bugs) as c:
            walk = Walk(c, seed)
            faults = await walk.run()
        faults += bugs
        return [*faults, *walk.faults.told] if faults else []

    with repeatable(seed):
        return trio.run(walk, clock=MockClock(autojump_threshold=0))


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """The order of tasks follows from ``seed`` alone: not from the addresses of objects, nor from
    how long a turn of the loop takes on this machine.
    """
    order = trio._core._run._r
    state = order.getstate()
    order.seed(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        for module in (feed_reader, game_links, pump):
            patch.setattr(module, "perf_counter", trio.current_time)
        yield
    order.setstate(state)
