"""The faults of a walk: its nodes die, stop, drain and part, and its links lose messages.

A walk has a few faults of all, or some that do most harm together (:meth:`Faults.themes`): a room
moves while an api node cannot hear that, or goes on at another node while its own is still heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from lastcall.ids import KindName
from tests.harness.cluster import GameProcess
from tests.moves.lookout import is_up
from tests.moves.stage import GAMES, Stage
from tests.moves.tales import COMPATIBLE, FIRST, INCOMPATIBLE

Fault = Callable[[], Awaitable[None]]

CALM = 0.08
"""In this share of the walks, nothing happens but that game nodes are replaced."""
THEMED = 0.3
SHORT_SECONDS = 1.0
"""A node that is silent for less is not given up."""
RELINK_SECONDS = 3.0
LATER = (FIRST, COMPATIBLE, INCOMPATIBLE)
"""The code of a new game node."""


class Faults:
    """The faults of one walk on ``stage``, and what they leave of the law.

    In a ``careful`` walk, nodes are killed only while every surviving room has all it needs.
    """

    def __init__(self, stage: Stage, *, careful: bool) -> None:
        self.stage = stage
        self.careful = careful
        self.rng = stage.rng
        self.bus = stage.c.bus
        self.told: list[str] = []
        """The faults so far, for the reader of a failure."""
        self.disturbed = 0
        """How many nodes and links are unwell."""
        self.uncut = True
        """Whether each node that has drained could give its rooms away."""
        self.lossless = careful
        """Whether no two nodes of a surviving room were lost at a time."""
        self.alone: Counter[str] = Counter()
        """Nodes that hear no other game node now."""
        self.gentle = True
        """Whether no game node was killed, nor any node silent for long."""
        self.calm = self.rng.random() < CALM
        self.menu = self.draw_menu()

    def draw_menu(self) -> list[Fault]:
        if self.calm:
            return [self.roll_game]
        if self.rng.random() < THEMED:
            menu, kinds = self.rng.choice(self.themes)
            self.stage.guests.kinds = kinds or self.stage.guests.kinds
            return menu
        return self.rng.sample(self.all, self.rng.randint(2, 5))

    @property
    def all(self) -> list[Fault]:
        seldom = [self.cut_sockets, self.disturb, self.kill_api, self.roll_api, self.split]
        often = [self.part, self.stall, self.kill_game, self.roll_game]
        return [*seldom, self.reset_links, *often, *often]

    @property
    def themes(self) -> list[tuple[list[Fault], list[KindName]]]:
        """Each with the kinds of rooms that it is for; empty for those of the walk."""
        return [
            ([self.split, self.cut_sockets], []),
            # a room has moved, and another one keeps its node up
            ([self.roll_game, self.reset_links], [KindName("hall"), KindName("camp")]),
            ([self.roll_game, self.part, self.part], []),
        ]

    async def happen(self, seconds: float) -> None:
        """Begins faults for ``seconds``; returns when all are over."""
        async with trio.open_nursery() as faults:
            end = trio.current_time() + seconds
            while trio.current_time() < end:
                await trio.sleep(self.rng.uniform(0.02, 0.6))
                faults.start_soon(self.one)

    async def one(self) -> None:
        what = self.rng.choice(self.menu)
        self.disturbed += 1
        try:
            await what()
        finally:
            self.disturbed -= 1

    def tell(self, what: str) -> None:
        self.told.append(f"{trio.current_time():8.3f} {what}")

    # Links

    async def cut_sockets(self) -> None:
        streams = self.stage.guests.streams
        for stream in self.rng.sample(streams, len(streams) // 2):
            streams.remove(stream)
            await trio.aclose_forcefully(stream)

    async def reset_links(self) -> None:
        """A game node drops its links, as if the callers had been silent; often one that is about
        to give a room away, so that not all api nodes hear where the room goes.
        """
        game: GameProcess | None = self.rng.choice([*self.stage.games.values()])
        if self.rng.random() < 0.7:
            game = await self.stage.lookout.any_of(self.stage.lookout.giver)
        if game is not None and is_up(game):
            self.tell(f"{game.name} drops its links")
            links = len(game.links)
            game.drop_links()
            with trio.move_on_after(RELINK_SECONDS):
                while is_up(game) and len(game.links) < links:
                    await trio.sleep(0.05)
            self.gentle &= is_up(game)  # else it could not say where its rooms are

    async def part(self) -> None:
        """Two nodes, often a surviving room's and an api node; or one and all others."""
        one, two = self.rng.sample(self.stage.names, 2)
        other = two if self.rng.random() < 0.7 else None
        if self.rng.random() < 0.4 and (name := self.stage.runner()) is not None:
            one, other = name, self.rng.choice([*self.stage.apis.values()]).name
        seconds = self.rng.choice((0.1, 0.5, 1.0, 2.0))
        self.tell(f"{one} and {other or 'all'} are parted for {seconds} s")
        self.bus.break_link(one, other)
        await self.last(seconds, one, alone=other is None)

    async def split(self) -> None:
        """A node that runs a surviving room hears one api node alone, which hears all."""
        if (name := self.stage.runner()) is None:
            return
        api = self.rng.choice([*self.stage.apis.values()]).name
        seconds = self.rng.choice((1.0, 2.5, 3.5))
        self.tell(f"{name} hears {api} alone for {seconds} s")
        for other in self.stage.names:
            if other not in (name, api):
                self.bus.break_link(name, other)
        await self.last(seconds, name, alone=True)

    async def disturb(self) -> None:
        """Every link loses, repeats and delays messages."""
        faults = self.bus.faults
        faults.drop = faults.repeat_request = self.rng.choice((0.02, 0.2))
        faults.delay_seconds = self.rng.choice((0.05, 0.1, 0.3))
        self.tell(f"links lose {faults.drop}, up to {faults.delay_seconds} s")
        await trio.sleep(self.rng.uniform(0.5, 2))
        self.stage.mend_links()

    async def stall(self) -> None:
        """A node, often one that runs a surviving room; often until its links give it up."""
        name = self.rng.choice(self.stage.names)
        if (other := self.stage.runner()) is not None:
            name = self.rng.choice((name, other))
        seconds = self.rng.choice((0.1, 0.5, 1.0, 2.5, 3.5))
        self.tell(f"{name} stops for {seconds} s")
        self.bus.freeze(name)
        await self.last(seconds, name, alone=True)

    async def last(self, seconds: float, name: str, *, alone: bool) -> None:
        """The node is well again after ``seconds``; until then it may hear no other game node."""
        self.gentle &= seconds < SHORT_SECONDS
        self.alone[name] += alone
        await trio.sleep(seconds)
        self.alone[name] -= alone
        self.bus.heal(name)

    # Nodes

    @property
    def may_kill(self) -> bool:
        return self.stage.lookout.safe or not self.careful

    async def kill_game(self) -> None:
        """At any instant, or at the worst."""
        lookout, rng, games = self.stage.lookout, self.rng, self.stage.games
        draw = rng.random()
        if draw < 0.3:
            game = rng.choice([*games.values()])
        elif draw < 0.6:
            game = await lookout.word_heard()
        else:
            game = await lookout.any_of(rng.choice(lookout.instants))
            await trio.sleep(rng.uniform(0, self.stage.delay))
        if game is None or (self.careful and lookout.takes_over(game)):
            return
        if is_up(game) and self.may_kill:
            self.tell(f"{game.name} is killed")
            self.gentle = False
            game.kill()
            await trio.sleep(rng.choice((0.0, rng.uniform(0, 2))))
            if games[game.name] is game:
                self.stage.new_game(game.name, FIRST)

    async def kill_api(self) -> None:
        url = self.rng.choice([*self.stage.apis])
        api = self.stage.apis[url]
        if is_up(api) and self.may_kill:
            self.tell(f"{api.name} is killed")
            api.kill()
            await self.stage.new_api(url)

    async def roll_game(self) -> None:
        stage = self.stage
        game = self.rng.choice([*stage.games.values()])
        free = [name for name in GAMES if name not in stage.games or not is_up(stage.games[name])]
        if game not in stage.lookout.serving or not free or not self.may_kill:
            return
        kinds = self.rng.choices(LATER, (2, 2, 1))[0]
        self.tell(f"{game.name} drains, {free[0]} is new, {LATER.index(kinds)}")
        stage.new_game(free[0], kinds, str(LATER.index(kinds) + 1))
        game.signal()
        unheard = False
        while is_up(game):
            self.uncut &= self.disturbed == 1 and stage.has_taker(game)
            unheard = stage.lookout.votes(game) and self.alone.total() > 0
            await trio.sleep(0.1)
        # It is lost like one that is killed, if it was silent, or a room was to go on there.
        self.lossless &= not (self.alone[game.name] or unheard)
        stage.over |= stage.lookout.ended(game)
        self.tell(f"{game.name} is gone")

    async def roll_api(self) -> None:
        url = self.rng.choice([*self.stage.apis])
        old = self.stage.apis[url]
        if is_up(old):
            self.tell(f"{old.name} drains")
            await self.stage.new_api(url)
            old.signal()
            while is_up(old):
                await trio.sleep(0.1)
