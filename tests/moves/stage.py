"""The cluster of a walk, and how its nodes start."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Any, Literal

import trio

from lastcall.core.survival.actions import Protection
from lastcall.ids import RoomId
from lastcall.policy import DrainPolicy, LinkPolicy
from tests.harness.cluster import ApiProcess, Cluster, GameNames, GameProcess
from tests.moves.guests import Guests
from tests.moves.lookout import Lookout
from tests.moves.tales import FIRST, INCOMPATIBLE

LINKS = LinkPolicy(silence_seconds=1.5, lost_seconds=4)
"""A node is soon held for gone: so a walk is short."""
GAME_DRAIN = DrainPolicy(grace_seconds=3, farewell_seconds=2)
API_DRAIN = DrainPolicy(grace_seconds=2, farewell_seconds=1, spread_seconds=1)
GAMES = ("game-1", "game-2", "game-3", "game-4")


class Stage:
    """The nodes and the players, drawn from ``seed``."""

    def __init__(self, c: Cluster, seed: int) -> None:
        self.c = c
        self.rng = random.Random(seed)
        self.games: dict[str, GameProcess] = {}
        self.code: dict[str, Mapping[Any, Any]] = {}
        self.apis: dict[str, ApiProcess] = {}
        self.over: set[str] = set()
        """The rooms that ended with or before their nodes: players whose api node was cut off then
        may not have heard it. Those that were cut are here if no other node could run them.
        """
        self.count = 0
        """How many api nodes have been started."""
        kinds = self.rng.choices([*FIRST], [5, 3, 1, 1, 1], k=2)
        self.lookout = Lookout(self.games, self.apis)
        self.guests = Guests(seed, kinds, self.apis, self.lookout)
        c.bus.faults.rng = random.Random(seed)
        self.delay = c.bus.faults.delay_seconds = self.rng.choice((0.0, 0.01, 0.03, 0.05))
        """How long a message takes at most while the links are well."""

    async def start(self) -> None:
        """Starts two or three game nodes, and two api nodes."""
        for name in GAMES:
            self.c.address(name)
        for name in GAMES[: self.rng.choice((2, 2, 3))]:
            self.new_game(name, FIRST)
        async with trio.open_nursery() as starting:
            for url in ("one", "two"):
                starting.start_soon(self.new_api, url)
        await self.c.ready(*self.games.values())
        with trio.move_on_after(5):
            while not all(game.peers for game in self.games.values()):
                await trio.sleep(0.05)

    def new_game(self, name: str, kinds: Any, version: str = "1") -> GameProcess:
        self.c.bus.heal(name)
        game = self.c.game(
            name, kinds=kinds, peers=True, drain=GAME_DRAIN, version=version, links=LINKS
        )
        self.games[name], self.code[name] = game, kinds
        cut = game.node.host.cut

        def note_and_cut(spared: Collection[RoomId] = ()) -> None:
            self.over |= {*game.node.host.running.by_id} - {*spared} - self.lookout.heirs(game)
            cut(spared)

        game.node.host.cut = note_and_cut
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

    @property
    def names(self) -> list[str]:
        """Of all nodes."""
        return [process.name for process in [*self.games.values(), *self.apis.values()]]

    def runner(self) -> str | None:
        """The node of one of the surviving rooms in which players are."""
        rooms = self.lookout.rooms
        found = self.lookout.runs(self.rng.choice(rooms)) if rooms else None
        return None if found is None else found[1].name

    def has_taker(self, giver: GameProcess) -> bool:
        """Whether another node could run the rooms of ``giver``."""
        riddles = self.code[giver.name] is INCOMPATIBLE
        return any(
            (self.code[game.name] is INCOMPATIBLE) is riddles
            for game in self.lookout.serving
            if game is not giver
        )

    def could_be_protected(self, room: str) -> bool:
        """Whether the room has no standby, although another node could be it."""
        found = self.lookout.runs(room)
        if found is None:
            return False
        _, game, line = found
        return line.protection is not Protection.PROTECTED and self.has_taker(game)

    def mend_links(self) -> None:
        faults = self.c.bus.faults
        faults.drop = faults.repeat_request = 0.0
        faults.delay_seconds = self.delay

    def heal(self) -> None:
        """All links are well, and all nodes go on."""
        self.mend_links()
        for name in self.names:
            self.c.bus.heal(name)
