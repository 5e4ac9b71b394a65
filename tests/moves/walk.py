"""One random walk of a whole cluster: players talk in rooms while nodes die, stop and are replaced.

All is drawn from one seed. In a *careful* walk, a node is killed only while every surviving room
has two images and a witness: then no such room may be lost. In the others nodes are killed at any
instant, and what is heard must still be one history.
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
from lastcall.client import Message, connect
from lastcall.core.lifecycle import Phase
from lastcall.core.survival.actions import Protection
from lastcall.errors import ConnectFailed, ConnectionLost, JoinRefused
from lastcall.game import links as game_links
from lastcall.ids import RoomId
from lastcall.links import feed_reader
from lastcall.policy import DrainPolicy
from tests.harness.cluster import ApiProcess, Cluster, GameNames, GameProcess, Process, cluster
from tests.moves.history import Visit, faults_of
from tests.moves.survivors import survival
from tests.moves.tales import COMPATIBLE, FIRST, INCOMPATIBLE

PLAYERS = 3
SECONDS = 4.0
"""How long faults happen."""
PATIENCE_SECONDS = 25.0
"""Afterwards all nodes and links are well: within this time each player says something and hears
it, or has left a room that has ended."""
GAME_DRAIN = DrainPolicy(grace_seconds=4, farewell_seconds=2)
API_DRAIN = DrainPolicy(grace_seconds=4, farewell_seconds=1, spread_seconds=1)
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
        self.menu = self.rng.sample(self.all_faults, self.rng.randint(2, 5))
        self.games: dict[str, GameProcess] = {}
        self.code: dict[str, Mapping[Any, Any]] = {}
        self.count = 0
        """How many api nodes have been started."""
        self.apis: dict[str, ApiProcess] = {}
        self.visits: list[Visit] = []
        self.streams: list[trio.abc.Stream] = []
        self.done = trio.Event()
        """Set when all is well again: each player says the last input."""
        self.told: list[str] = []
        """The faults so far, for the reader of a failure."""
        c.bus.faults.rng = random.Random(seed)

        self.disturbed = 0
        """How many nodes and links are unwell."""
        self.uncut = True
        """Whether each node that has drained could give its rooms away."""

    async def run(self) -> list[str]:
        """Returns what has broken the law."""
        for name in GAMES:
            self.c.address(name)
        for name in GAMES[: self.rng.choice((2, 2, 3))]:
            self.new_game(name, FIRST)
        for url in ("one", "two"):
            await self.new_api(url)
        await self.c.ready(*self.games.values())
        await self.wait(lambda: all(len(game.peers) > 0 for game in self.games.values()), 5)
        async with trio.open_nursery() as players:
            for number in range(PLAYERS):
                players.start_soon(self.visit_rooms, number)
            await trio.sleep(self.rng.uniform(0.1, 1))
            async with trio.open_nursery() as faults:
                end = trio.current_time() + SECONDS
                while trio.current_time() < end:
                    await trio.sleep(self.rng.uniform(0.05, 0.9))
                    faults.start_soon(self.fault)
            self.heal()
            self.done.set()
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
        return waiting + faults_of(self.visits, lossless=self.careful, uncut=self.uncut)

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
        game = self.c.game(name, kinds=kinds, peers=True, drain=GAME_DRAIN, version=version)
        self.games[name], self.code[name] = game, kinds
        return game

    async def new_api(self, url: str) -> None:
        self.count += 1
        clients: Literal["move", "finish"] = self.rng.choice(["move", "finish"])
        name = f"api-{self.count}"
        api = self.c.api(name, clients=clients, drain=API_DRAIN, games=GameNames.SOURCE)
        await self.c.ready(api)
        self.apis[url] = api

    @property
    def live(self) -> list[GameProcess]:
        """The game nodes that are up, those that drain included."""
        return [game for game in self.games.values() if is_up(game)]

    @property
    def serving(self) -> list[GameProcess]:
        return [game for game in self.live if game.drain.phase is Phase.SERVING]

    @property
    def safe(self) -> bool:
        """Whether each surviving room has two images and a witness, so that one may be lost."""
        rooms = {v.room for v in self.visits if v.survives and not v.over.is_set()}
        return len(self.live) == len(self.serving) and all(map(self.is_safe, rooms))

    def is_safe(self, room: str) -> bool:
        lines = [
            (line.config.epoch, game.name, line)
            for game in self.live
            if (line := survival(game).rooms.primary(RoomId(room))) is not None
        ]
        if not lines:
            return False
        _, name, line = max(lines)
        holders = {game.node.incarnation for game in self.live}
        apis = {api.name for api in self.apis.values() if is_up(api)}
        witnesses = {
            api.incarnation for api in survival(self.games[name]).links.apis if api.name in apis
        }
        return (
            line.protection is Protection.PROTECTED
            and holders.issuperset((line.config.primary, *line.config.standbys))
            and witnesses.issuperset(line.config.witnesses)
        )

    # Faults

    async def fault(self) -> None:
        what = self.rng.choice(self.menu)
        self.disturbed += 1
        try:
            await what()
        finally:
            self.disturbed -= 1

    async def cut_sockets(self) -> None:
        for stream in self.rng.sample(self.streams, len(self.streams) // 2):
            self.streams.remove(stream)
            await trio.aclose_forcefully(stream)

    async def part(self) -> None:
        """Two nodes, or one and all others."""
        one, two = self.rng.sample(self.names, 2)
        other = two if self.rng.random() < 0.7 else None
        seconds = self.rng.choice((0.2, 1.0, 2.0, 4.0))
        self.tell(f"{one} and {other or 'all'} are parted for {seconds} s")
        self.c.bus.break_link(one, other)
        await trio.sleep(seconds)
        self.c.bus.heal(one)

    async def stall(self) -> None:
        name = self.rng.choice(self.names)
        seconds = self.rng.choice((0.1, 0.5, 2.0, 4.0, 4.0, 8.0, 20.0))
        self.tell(f"{name} stops for {seconds} s")
        self.c.bus.freeze(name)
        await trio.sleep(seconds)
        self.c.bus.heal(name)

    async def disturb(self) -> None:
        """Every link loses, repeats and delays messages."""
        faults = self.c.bus.faults
        faults.drop = faults.repeat_request = self.rng.choice((0.02, 0.2))
        faults.delay_seconds = self.rng.choice((0.01, 0.1, 0.3))
        self.tell(f"links lose {faults.drop}, up to {faults.delay_seconds} s")
        await trio.sleep(self.rng.uniform(0.5, 4))
        faults.drop = faults.delay_seconds = faults.repeat_request = 0.0

    async def kill_game(self) -> None:
        game = self.rng.choice([*self.games.values()])
        if is_up(game) and (self.safe or not self.careful):
            self.tell(f"{game.name} is killed")
            game.kill()
            await trio.sleep(self.rng.uniform(0.1, 3))
            if self.games[game.name] is game:
                self.new_game(game.name, FIRST)

    async def kill_api(self) -> None:
        url = self.rng.choice([*self.apis])
        if is_up(self.apis[url]) and (self.safe or not self.careful):
            self.tell(f"{self.apis[url].name} is killed")
            self.apis[url].kill()
            await self.new_api(url)

    async def roll_game(self) -> None:
        game = self.rng.choice([*self.games.values()])
        others = [name for name in GAMES if name not in self.games or not is_up(self.games[name])]
        if game not in self.serving or not others or (self.careful and not self.safe):
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
        return any((self.code[game.name] is INCOMPATIBLE) is riddles for game in self.serving)

    async def roll_api(self) -> None:
        url = self.rng.choice([*self.apis])
        old = self.apis[url]
        if is_up(old):
            self.tell(f"{old.name} drains")
            await self.new_api(url)
            old.signal()
            while is_up(old):
                await trio.sleep(0.1)

    def heal(self) -> None:
        faults = self.c.bus.faults
        faults.drop = faults.delay_seconds = faults.repeat_request = 0.0
        for name in self.names:
            self.c.bus.heal(name)

    # The players

    async def open_stream(self, url: str) -> trio.abc.Stream:
        name = url.removeprefix("ws://").rstrip("/")
        stream = await self.apis[name].listener.connect()
        self.streams.append(stream)
        return stream

    async def visit_rooms(self, number: int) -> None:
        """Takes one place after another."""
        urls = ["ws://one/", "ws://two/"] if number % 2 else ["ws://two/", "ws://one/"]
        rng = random.Random(f"{self.seed} {number}")
        while not self.done.is_set():
            kind = rng.choice(self.kinds)
            try:
                async with connect(
                    urls, kind=kind, open_stream=self.open_stream, dice=rng
                ) as place:
                    visit = Visit(place)
                    self.visits.append(visit)
                    await self.play(visit, rng)
            except* (ConnectFailed, ConnectionLost, JoinRefused):
                pass
            await trio.sleep(rng.uniform(0, 0.5))

    async def play(self, visit: Visit, rng: random.Random) -> None:
        """Says inputs and hears messages, until the place is over or the last input was heard."""
        place = visit.place

        async def say() -> None:
            while place.open and not self.done.is_set():
                command = rng.choices(("say", "whisper", "end", "leave"), (80, 16, 1, 1))[0]
                if command == "leave":
                    return place.leave_soon()
                visit.said += 1
                await place.say([visit.said, command, rng.randrange(4)])
                with trio.move_on_after(rng.uniform(0, 0.5)):
                    await self.done.wait()
            visit.said += 1
            await place.say([visit.said, "last", 0])
            return None

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say)
                async for message in place:
                    assert isinstance(message, Message)
                    visit.hear(message)
                    if self.done.is_set() and visit.heard[-1][1][3:] == visit.last:
                        break
                nursery.cancel_scope.cancel()
        finally:
            visit.over.set()


def is_up(process: Process) -> bool:
    return not process.scope.cancel_called


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
