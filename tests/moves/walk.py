"""One random walk of a whole cluster: players talk in rooms while nodes die, stop and are replaced.

All is drawn from one seed. Links are slow, and nodes are killed when that is worst: just after a
word has left, while a step, a room or a vote is on its way. In a *careful* walk, that happens only
while every surviving room has two images and a witness: then no such room may be lost. In the
others nodes are killed at any instant, and what is heard must still be one history.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import pytest
import trio
from trio.testing import MockClock

from lastcall.api.socket import pump
from lastcall.core.survival.actions import Protection
from lastcall.game import links as game_links
from lastcall.links import feed_reader
from lastcall.policy import DrainPolicy, LinkPolicy
from tests.harness.cluster import ApiProcess, Cluster, GameNames, GameProcess, cluster
from tests.moves.guests import Guests
from tests.moves.history import Visit, faults_of
from tests.moves.lookout import Lookout, is_up
from tests.moves.tales import COMPATIBLE, FIRST, INCOMPATIBLE, MOVING

PLAYERS = 3
SECONDS = 2.5
"""How long faults begin."""
LINKS = LinkPolicy(silence_seconds=1.5, lost_seconds=4)
"""A node is soon held for gone: so a walk is short."""
CALM = 0.08
CALM_SECONDS = 1.0
"""Within this time an input is answered, if nothing happens but that game nodes are replaced."""
PATIENCE_SECONDS = 25.0
"""Afterwards all nodes and links are well: within this time each player says something and hears
it, or has left a room that has ended."""
GAME_DRAIN = DrainPolicy(grace_seconds=3, farewell_seconds=2)
API_DRAIN = DrainPolicy(grace_seconds=2, farewell_seconds=1, spread_seconds=1)
PROTECTED_SECONDS = 10.0
SHORT_SECONDS = 1.0
"""A node that is silent for less is not given up."""
CHECKED = 0.2
"""In this share of the walks, all surviving rooms have to be protected in the end."""
GAMES = ("game-1", "game-2", "game-3", "game-4")
LATER = (FIRST, COMPATIBLE, INCOMPATIBLE)
"""The code of a new game node."""


class Walk:
    """The cluster, the players, and what happens to them."""

    def __init__(self, c: Cluster, seed: int) -> None:
        self.c = c
        self.seed = seed
        self.rng = random.Random(seed)
        self.careful = self.rng.random() < 0.7
        self.kinds = self.rng.choices([*FIRST], [5, 3, 1, 1, 1], k=2)
        self.calm = self.rng.random() < CALM
        """Whether nothing happens but that game nodes are replaced."""
        self.menu = self.rng.sample(self.all_faults, self.rng.randint(2, 5))
        if self.calm:
            self.menu = [self.roll_game]
        self.games: dict[str, GameProcess] = {}
        self.code: dict[str, Mapping[Any, Any]] = {}
        self.count = 0
        """How many api nodes have been started."""
        self.apis: dict[str, ApiProcess] = {}
        self.lookout = Lookout(self.games, self.apis)
        self.visits = self.lookout.visits
        self.guests = Guests(seed, self.kinds, self.apis, self.lookout)
        self.told: list[str] = []
        """The faults so far, for the reader of a failure."""
        c.bus.faults.rng = random.Random(seed)
        self.delay = c.bus.faults.delay_seconds = self.rng.choice((0.0, 0.01, 0.03, 0.05))
        """How long a message takes at most while the links are well."""
        self.disturbed = 0
        """How many nodes and links are unwell."""
        self.uncut = True
        """Whether each node that has drained could give its rooms away."""
        self.gentle = True
        """Whether no game node was killed, nor any node silent for long."""

    async def run(self) -> list[str]:
        """Returns what has broken the law."""
        for name in GAMES:
            self.c.address(name)
        for name in GAMES[: self.rng.choice((2, 2, 3))]:
            self.new_game(name, FIRST)
        async with trio.open_nursery() as starting:
            for url in ("one", "two"):
                starting.start_soon(self.new_api, url)
        await self.c.ready(*self.games.values())
        await self.wait(lambda: all(len(game.peers) > 0 for game in self.games.values()), 5)
        async with trio.open_nursery() as players:
            for number in range(PLAYERS):
                players.start_soon(self.guests.visit_rooms, number)
            await trio.sleep(self.rng.uniform(0.1, 1))
            async with trio.open_nursery() as faults:
                end = trio.current_time() + SECONDS
                while trio.current_time() < end:
                    await trio.sleep(self.rng.uniform(0.02, 0.6))
                    faults.start_soon(self.fault)
            self.heal()
            unprotected = await self.wait_protected() if self.rng.random() < CHECKED else []
            self.guests.done.set()
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
        broken = faults_of(self.visits, lossless=self.careful, uncut=self.uncut, gentle=self.gentle)
        late = [f"{v} waited {v.slowest:.2f} s" for v in self.visits if self.is_late(v)]
        return unprotected + waiting + broken + late

    def is_late(self, visit: Visit) -> bool:
        """Whether a player has noticed that the room has moved."""
        moves = visit.survives or visit.place.kind in MOVING
        return self.calm and self.uncut and moves and visit.slowest > CALM_SECONDS

    async def wait_protected(self) -> list[str]:
        """All is well, and so each surviving room gets a standby; returns those without one."""

        def bare() -> list[str]:
            rooms = self.lookout.rooms
            return [f"{room} has no standby" for room in rooms if self.could_be_protected(room)]

        await self.wait(lambda: not bare(), PROTECTED_SECONDS)
        return bare()

    def could_be_protected(self, room: str) -> bool:
        """Whether the room has no standby, although another node could be it."""
        found = self.lookout.runs(room)
        if found is None:
            return False
        _, game, line = found
        return line.protection is not Protection.PROTECTED and any(
            (self.code[other.name] is INCOMPATIBLE) is (self.code[game.name] is INCOMPATIBLE)
            for other in self.lookout.serving
            if other is not game
        )

    @property
    def all_faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.cut_sockets,
            self.disturb,
            self.kill_api,
            self.roll_api,
            *[self.part, self.stall, self.kill_game, self.roll_game] * 2,
        ]

    @property
    def names(self) -> list[str]:
        """Of all nodes."""
        return [process.name for process in [*self.games.values(), *self.apis.values()]]

    async def wait(self, condition: Callable[[], bool], seconds: float) -> None:
        with trio.move_on_after(seconds):
            while not condition():
                await trio.sleep(0.05)

    def tell(self, what: str) -> None:
        self.told.append(f"{trio.current_time():8.3f} {what}")

    # The nodes

    def new_game(self, name: str, kinds: Any, version: str = "1") -> GameProcess:
        self.c.bus.heal(name)
        game = self.c.game(
            name, kinds=kinds, peers=True, drain=GAME_DRAIN, version=version, links=LINKS
        )
        self.games[name], self.code[name] = game, kinds
        return game

    async def new_api(self, url: str) -> None:
        self.count += 1
        clients: Literal["move", "finish"] = self.rng.choice(["move", "finish"])
        name = f"api-{self.count}"
        api = self.c.api(
            name, clients=clients, drain=API_DRAIN, games=GameNames.SOURCE, links=LINKS
        )
        await self.c.ready(api)
        self.apis[url] = api

    # Faults

    async def fault(self) -> None:
        what = self.rng.choice(self.menu)
        self.disturbed += 1
        try:
            await what()
        finally:
            self.disturbed -= 1

    async def cut_sockets(self) -> None:
        for stream in self.rng.sample(self.guests.streams, len(self.guests.streams) // 2):
            self.guests.streams.remove(stream)
            await trio.aclose_forcefully(stream)

    async def part(self) -> None:
        """Two nodes, or one and all others."""
        one, two = self.rng.sample(self.names, 2)
        other = two if self.rng.random() < 0.7 else None
        seconds = self.rng.choice((0.1, 0.5, 1.0, 2.0))
        self.gentle &= seconds < SHORT_SECONDS
        self.tell(f"{one} and {other or 'all'} are parted for {seconds} s")
        self.c.bus.break_link(one, other)
        await trio.sleep(seconds)
        self.c.bus.heal(one)

    async def stall(self) -> None:
        """A node, often one that runs a surviving room; often until its links give it up."""
        name = self.rng.choice(self.names)
        if (rooms := self.lookout.rooms) and (found := self.lookout.runs(self.rng.choice(rooms))):
            name = self.rng.choice((name, found[1].name))
        seconds = self.rng.choice((0.1, 0.5, 1.0, 2.5, 4.0))
        self.gentle &= seconds < SHORT_SECONDS
        self.tell(f"{name} stops for {seconds} s")
        self.c.bus.freeze(name)
        await trio.sleep(seconds)
        self.c.bus.heal(name)

    async def disturb(self) -> None:
        """Every link loses, repeats and delays messages."""
        faults = self.c.bus.faults
        faults.drop = faults.repeat_request = self.rng.choice((0.02, 0.2))
        faults.delay_seconds = self.rng.choice((0.05, 0.1, 0.3))
        self.tell(f"links lose {faults.drop}, up to {faults.delay_seconds} s")
        await trio.sleep(self.rng.uniform(0.5, 2))
        self.mend_links()

    async def kill_game(self) -> None:
        """At any instant, or at the worst."""
        lookout, rng = self.lookout, self.rng
        draw = rng.random()
        if draw < 0.3:
            game = rng.choice([*self.games.values()])
        elif draw < 0.6:
            game = await lookout.word_heard()
        else:
            game = await lookout.any_of(rng.choice(lookout.instants))
            await trio.sleep(rng.uniform(0, self.delay))
        if game is not None and is_up(game) and self.may_kill:
            self.tell(f"{game.name} is killed")
            self.gentle = False
            game.kill()
            await trio.sleep(rng.choice((0.0, rng.uniform(0, 2))))
            if self.games[game.name] is game:
                self.new_game(game.name, FIRST)

    @property
    def may_kill(self) -> bool:
        return self.lookout.safe or not self.careful

    async def kill_api(self) -> None:
        url = self.rng.choice([*self.apis])
        if is_up(self.apis[url]) and self.may_kill:
            self.tell(f"{self.apis[url].name} is killed")
            self.apis[url].kill()
            await self.new_api(url)

    async def roll_game(self) -> None:
        game = self.rng.choice([*self.games.values()])
        others = [name for name in GAMES if name not in self.games or not is_up(self.games[name])]
        if game not in self.lookout.serving or not others or not self.may_kill:
            return
        kinds = self.rng.choices(LATER, (2, 2, 1))[0]
        self.tell(f"{game.name} drains, {others[0]} is new, {LATER.index(kinds)}")
        self.new_game(others[0], kinds, str(LATER.index(kinds) + 1))
        game.signal()
        while is_up(game):
            self.uncut &= self.disturbed == 1 and self.has_taker(game)
            await trio.sleep(0.1)
        self.tell(f"{game.name} is gone")

    def has_taker(self, giver: GameProcess) -> bool:
        riddles = self.code[giver.name] is INCOMPATIBLE
        return any(
            (self.code[game.name] is INCOMPATIBLE) is riddles for game in self.lookout.serving
        )

    async def roll_api(self) -> None:
        url = self.rng.choice([*self.apis])
        old = self.apis[url]
        if is_up(old):
            self.tell(f"{old.name} drains")
            await self.new_api(url)
            old.signal()
            while is_up(old):
                await trio.sleep(0.1)

    def mend_links(self) -> None:
        faults = self.c.bus.faults
        faults.drop = faults.repeat_request = 0.0
        faults.delay_seconds = self.delay

    def heal(self) -> None:
        self.mend_links()
        for name in self.names:
            self.c.bus.heal(name)


def run(seed: int) -> list[str]:
    """Returns the breaches of the law in the walk with this seed, and its faults."""

    async def walk() -> list[str]:
        async with cluster(seed) as c:
            walk = Walk(c, seed)
            faults = await walk.run()
        return [*faults, *walk.told] if faults else []

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
