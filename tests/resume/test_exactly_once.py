"""The law: whatever the network does, each word is heard once, by each player, in order."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from lastcall.client import Message, Place, connect
from lastcall.policy import DrainPolicy
from tests.harness.cluster import ApiProcess, Cluster, cluster

PLAYERS = 6
WORDS = 40
WORD_SECONDS = 0.6


class Town:
    """Two api nodes that come and go behind two names, and the streams to them."""

    def __init__(self, c: Cluster, rng: random.Random) -> None:
        self.c = c
        self.rng = rng
        self.apis: dict[str, ApiProcess] = {}
        self.streams: list[trio.abc.Stream] = []
        self.count = 0

    async def start(self, name: str) -> None:
        self.count += 1
        api = self.c.api(
            f"api-{self.count}",
            clients="move",
            drain=DrainPolicy(grace_seconds=6, farewell_seconds=1, spread_seconds=1),
        )
        await self.c.ready(api)
        self.apis[name] = api

    async def open_stream(self, url: str) -> trio.abc.Stream:
        name = url.removeprefix("ws://").rstrip("/")
        stream = await self.apis[name].listener.connect()
        self.streams.append(stream)
        return stream

    async def cut_some(self) -> None:
        for stream in self.rng.sample(self.streams, len(self.streams) // 3):
            self.streams.remove(stream)
            await trio.aclose_forcefully(stream)

    async def isolate(self, seconds: float) -> None:
        api = self.rng.choice(list(self.apis.values()))
        self.c.bus.break_link(api.name, "game-1")
        await trio.sleep(seconds)
        self.c.bus.heal(api.name)

    async def freeze(self, seconds: float) -> None:
        api = self.rng.choice(list(self.apis.values()))
        self.c.bus.freeze(api.name)
        await trio.sleep(seconds)
        self.c.bus.heal(api.name)

    async def replace(self, *, kill: bool) -> None:
        name = self.rng.choice(list(self.apis))
        old = self.apis[name]
        await self.start(name)
        old.kill() if kill else old.signal()

    async def trouble(self) -> None:
        """One bad thing after the other, for as long as the players have something to say."""
        end = trio.current_time() + WORDS * WORD_SECONDS
        while trio.current_time() < end:
            await trio.sleep(self.rng.uniform(0.3, 2))
            match self.rng.randrange(6):
                case 0 | 1:
                    await self.cut_some()
                case 2:
                    await self.isolate(self.rng.uniform(0.1, 4.5))
                case 3:
                    await self.freeze(self.rng.uniform(0.1, 2))
                case 4:
                    await self.replace(kill=True)
                case 5:
                    await self.replace(kill=False)


async def play(town: Town, place: Place, heard: list[tuple[int, str, int]]) -> None:
    """Says so many words, and listens until everybody's have come."""

    async def speak() -> None:
        for word in range(WORDS):
            await place.say(word)
            await trio.sleep(town.rng.uniform(0, WORD_SECONDS))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        async for message in place:
            assert isinstance(message, Message)
            heard.append((message.seq, message.data["from"], message.data["said"]))
            if len(heard) == PLAYERS * WORDS:
                break


@pytest.mark.parametrize("bad_feed", [False, True])
async def test_each_word_is_heard_once_by_each_in_order_whatever_happens(
    autojump_clock: MockClock, rng: random.Random, bad_feed: bool
) -> None:
    ledgers: list[list[tuple[int, str, int]]] = [[] for _ in range(PLAYERS)]
    places: list[Place] = []
    async with cluster() as c:
        town = Town(c, rng)
        game = c.game("game-1")
        await town.start("one")
        await town.start("two")
        await c.ready(game)
        if bad_feed:
            c.bus.faults.drop = c.bus.faults.repeat_request = 0.1
            c.bus.faults.delay_seconds = 0.02

        async def one(number: int, room: str, *, task_status: trio.TaskStatus[str]) -> None:
            urls = ["ws://one/", "ws://two/"] if number % 2 else ["ws://two/", "ws://one/"]
            request = {"room": room} if room else {"kind": "lounge"}
            async with connect(urls, **request, open_stream=town.open_stream, dice=rng) as place:
                places.append(place)
                task_status.started(place.room)
                await seated.wait_for(number)
                await play(town, place, ledgers[number])
                await content.wait_for(number)

        seated, content = Gate(), Gate()
        with trio.fail_after(90):
            async with trio.open_nursery() as players:
                room = ""
                for number in range(PLAYERS):
                    room = await players.start(one, number, room)
                c.nursery.start_soon(town.trouble)
        assert game.exit_code is None
    said = {place.you for place in places}
    for place, ledger in zip(places, ledgers, strict=True):
        numbers = [seq for seq, _, _ in ledger]
        assert numbers == sorted(set(numbers))
        for player in said:
            assert [word for _, who, word in ledger if who == player] == list(range(WORDS))
        assert place.repeats == 0
    assert all(ledger == ledgers[0] for ledger in ledgers)
    assert sum(place.resumes for place in places) > 0


class Gate:
    """Nobody goes on before all have come."""

    def __init__(self) -> None:
        self._here: set[int] = set()
        self._all = trio.Event()

    async def wait_for(self, number: int) -> None:
        self._here.add(number)
        if len(self._here) == PLAYERS:
            self._all.set()
        await self._all.wait()
