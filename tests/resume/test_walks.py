"""The law of the whole service: rooms end, kick and whisper, players leave, and both tiers roll."""

from __future__ import annotations

import random
from typing import Any

import trio
from trio.testing import MockClock

from lastcall import Joined, Left, Room, Said, room
from lastcall.author import Kind
from lastcall.client import Message, Place, connect
from lastcall.errors import ConnectionLost, JoinRefused
from lastcall.policy import DrainPolicy
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster

PLAYERS = 6
SECONDS = 15


class Book:
    """What the rooms have heard and said, as their authors know it."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[Any, str | None]]] = {}
        """By room: each message and its reader; its number is its position, from 1."""
        self.had: dict[tuple[str, str], list[Any]] = {}
        """By room and player: the inputs, in order."""
        self.kicked: set[str] = set()

    def kind(self) -> Kind:
        @room("bazaar", seats=4)
        async def bazaar(table: Room) -> str:
            said = self.said.setdefault(table.id, [])
            async for event in table:
                match event:
                    case Joined(player):
                        said.append((["joined", player], None))
                        table.broadcast(["joined", player])
                    case Left(player):
                        said.append((["left", player], None))
                        table.broadcast(["left", player])
                    case Said(player, [number, command, whom]):
                        self.had.setdefault((table.id, player), []).append(number)
                        others = [one for one in table.players if one != player]
                        other = others[whom % len(others)] if others else None
                        if command == "whisper" and other is not None:
                            said.append(([player, number], other))
                            table.send(other, [player, number])
                        else:
                            said.append(([player, number], None))
                            table.broadcast([player, number])
                        if command == "kick" and other is not None:
                            self.kicked.add(other)
                            table.kick(other)
                        if command == "end":
                            return "the end"
            raise AssertionError

        return bazaar

    def addressed(self, room: str, player: str, since: int) -> list[tuple[int, Any]]:
        return [
            (seq, body)
            for seq, (body, to) in enumerate(self.said[room], 1)
            if seq > since and to in (None, player)
        ]


class Life:
    """One place, as its player has seen it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.room = str(place.room)
        self.you = str(place.you)
        self.since = place.seq
        self.said = 0
        self.heard: list[tuple[int, Any]] = []
        self.left = False


class Town:
    """Two names of api nodes and two of game nodes; who is behind them changes."""

    def __init__(self, c: Cluster, book: Book, rng: random.Random) -> None:
        self.c = c
        self.rng = rng
        self.kinds = {(kind := book.kind()).name: kind}
        self.apis: dict[str, ApiProcess] = {}
        self.games: dict[str, GameProcess] = {}
        self.streams: list[trio.abc.Stream] = []
        self.count = 0
        self.end = trio.current_time() + SECONDS

    def new_game(self, name: str) -> GameProcess:
        game = self.c.game(
            name,
            kinds=self.kinds,
            drain=DrainPolicy(grace_seconds=200, farewell_seconds=3),
        )
        self.games[name] = game
        return game

    async def new_api(self, name: str) -> None:
        self.count += 1
        api = self.c.api(
            f"api-{self.count}",
            clients=self.rng.choice(["move", "finish"]),  # type: ignore[arg-type]
            drain=DrainPolicy(grace_seconds=8, farewell_seconds=1, spread_seconds=1),
        )
        await self.c.ready(api)
        self.apis[name] = api

    async def open_stream(self, url: str) -> trio.abc.Stream:
        name = url.removeprefix("ws://").rstrip("/")
        stream = await self.apis[name].listener.connect()
        self.streams.append(stream)
        return stream

    async def trouble(self) -> None:
        while trio.current_time() < self.end:
            await trio.sleep(self.rng.uniform(0.1, 1.5))
            await self.bad_thing(self.rng.randrange(8))
        for api in self.apis.values():
            self.c.bus.heal(api.name)

    async def bad_thing(self, which: int) -> None:
        api = self.rng.choice(list(self.apis.values()))
        match which:
            case 0 | 1:
                await self.cut_some()
            case 2:
                self.c.bus.break_link(api.name)
                await trio.sleep(self.rng.uniform(0.1, 4))
                self.c.bus.heal(api.name)
            case 3:
                self.c.bus.freeze(api.name)
                await trio.sleep(self.rng.uniform(0.1, 2))
                self.c.bus.heal(api.name)
            case 4 | 5:
                name = self.rng.choice(list(self.apis))
                old = self.apis[name]
                await self.new_api(name)
                old.kill() if which == 4 else old.signal()
            case 6:
                self.drop_links()
            case 7:
                self.roll_a_game()

    async def cut_some(self) -> None:
        for stream in self.rng.sample(self.streams, len(self.streams) // 3):
            self.streams.remove(stream)
            await trio.aclose_forcefully(stream)

    def drop_links(self) -> None:
        links = [(game.node._links, id_) for game in self.games.values() for id_ in _ids(game)]
        for of_game, id_ in links:
            if self.rng.random() < 0.5:
                of_game._drop(id_, "as the test wants it")

    def roll_a_game(self) -> None:
        if len(self.games) < 4:
            name = f"game-{len(self.games) + 1}"
            self.games[f"game-{len(self.games)}"].signal()
            self.new_game(name)


def _ids(game: GameProcess) -> list[int]:
    return list(game.node._links._links) if game.node._links is not None else []


async def live(town: Town, life: Life, rng: random.Random) -> None:
    """Says one thing after the other, leaves perhaps, and listens to the end."""
    place = life.place

    async def speak() -> None:
        while place.open and trio.current_time() < town.end:
            roll = rng.random()
            command = "say" if roll < 0.7 else "whisper"
            command = "kick" if roll > 0.97 else "end" if roll > 0.96 else command
            await place.say([life.said + 1, command, rng.randrange(4)])
            if place.ended is None and place.room == life.room:
                life.said += 1
            if roll < 0.02:
                life.left = True
                with trio.move_on_after(5):
                    await place.leave()
            await trio.sleep(rng.uniform(0, 0.5))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        async for message in place:
            assert isinstance(message, Message)
            life.heard.append((message.seq, message.data))
        nursery.cancel_scope.cancel()


async def test_whatever_rooms_players_and_both_tiers_do_each_hears_and_is_heard_once(
    autojump_clock: MockClock, schedule: int, rng: random.Random
) -> None:
    book = Book()
    lives: list[Life] = []
    async with cluster(schedule) as c:
        town = Town(c, book, rng)
        for number in (1, 2, 3, 4):
            c.address(f"game-{number}")
        first = town.new_game("game-1")
        await town.new_api("one")
        await town.new_api("two")
        await c.ready(first)
        if schedule % 2:
            c.bus.faults.drop = c.bus.faults.repeat_request = 0.1
            c.bus.faults.delay_seconds = 0.02

        async def one(number: int) -> None:
            urls = ["ws://one/", "ws://two/"] if number % 2 else ["ws://two/", "ws://one/"]
            while trio.current_time() < town.end:
                try:
                    async with connect(
                        urls, kind="bazaar", open_stream=town.open_stream, dice=rng
                    ) as place:
                        life = Life(place)
                        lives.append(life)
                        with trio.move_on_after(town.end + 15 - trio.current_time()):
                            await live(town, life, rng)
                except* (ConnectionLost, JoinRefused):
                    pass  # judged by what the place was told
                await trio.sleep(rng.uniform(0, 1))

        with trio.fail_after(200):
            async with trio.open_nursery() as players:
                for number in range(PLAYERS):
                    players.start_soon(one, number)
                players.start_soon(town.trouble)
    assert sum(life.place.resumes for life in lives) > 0
    faults = [fault for life in lives for fault in faults_of(life, book)]
    assert not faults, "\n".join(faults)


def faults_of(life: Life, book: Book) -> list[str]:
    """What one place was told, against what its room knows."""
    place, you = life.place, life.you
    reason = None if place.ended is None else place.ended.reason
    since = min([life.since, *(seq - 1 for seq, _ in life.heard[:1])])
    addressed = book.addressed(life.room, you, since)
    had = book.had.get((life.room, you), [])
    joined = ["joined", you]
    was_seen = any(message == joined for message, _ in book.said[life.room])
    told_all = reason == "finished" and not life.left
    law = {
        "messages in order, each once": life.heard == addressed[: len(life.heard)],
        "none came twice": place.repeats == 0,
        "to the end": not told_all or life.heard == addressed,
        "from the beginning": not (told_all and was_seen) or joined in [m for _, m in life.heard],
        "inputs in order, each once": had == list(range(1, len(had) + 1)),
        "no input was made up": len(had) <= life.said + 1,
        "no input was lost": not (reason is None and place.lost is None) or len(had) >= life.said,
        "a true end": reason in {None, "finished", "kicked", "left"},
        "lost by a kick alone": place.lost is None
        or (place.lost.code, you in book.kicked) == (4004, True),
    }
    return [f"{place!r} {reason} {place.lost}: {what}" for what, holds in law.items() if not holds]
