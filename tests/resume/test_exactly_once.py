"""Each player gets each input once and in order, whatever network faults occur."""

from __future__ import annotations

import random

import trio
from trio.testing import MockClock

from lastcall.client import Message, Place, connect
from lastcall.policy import DrainPolicy
from tests.harness.cluster import ApiProcess, Cluster, cluster

PLAYERS = 6
INPUTS = 40
INPUT_SECONDS = 0.6


class ChangingCluster:
    """Two names of api nodes whose processes change, and the streams to them."""

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

    async def inject_faults(self) -> None:
        """Injects one fault after the other, for as long as the players send inputs."""
        end = trio.current_time() + INPUTS * INPUT_SECONDS
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


async def play(nodes: ChangingCluster, place: Place, received: list[tuple[int, str, int]]) -> None:
    """Sends all inputs of one player, and reads until the inputs of all players have arrived."""

    async def say_inputs() -> None:
        for number in range(INPUTS):
            await place.say(number)
            await trio.sleep(nodes.rng.uniform(0, INPUT_SECONDS))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_inputs)
        async for message in place:
            assert isinstance(message, Message)
            received.append((message.seq, message.data["from"], message.data["said"]))
            if len(received) == PLAYERS * INPUTS:
                break


async def test_every_player_gets_each_input_once_and_in_order_despite_faults(
    autojump_clock: MockClock, schedule: int, rng: random.Random
) -> None:
    ledgers: list[list[tuple[int, str, int]]] = [[] for _ in range(PLAYERS)]
    places: list[Place] = []
    async with cluster() as c:
        nodes = ChangingCluster(c, rng)
        game = c.game("game-1")
        await nodes.start("one")
        await nodes.start("two")
        await c.ready(game)
        if schedule % 2:  # the feed is bad
            c.bus.faults.drop = c.bus.faults.repeat_request = 0.1
            c.bus.faults.delay_seconds = 0.02

        async def join_and_play(
            number: int, room: str, *, task_status: trio.TaskStatus[str]
        ) -> None:
            urls = ["ws://one/", "ws://two/"] if number % 2 else ["ws://two/", "ws://one/"]
            request = {"room": room} if room else {"kind": "lounge"}
            async with connect(urls, **request, open_stream=nodes.open_stream, dice=rng) as place:
                places.append(place)
                task_status.started(place.room)
                await seated.wait_for(number)
                await play(nodes, place, ledgers[number])
                await finished.wait_for(number)

        seated, finished = Barrier(), Barrier()
        with trio.fail_after(90):
            async with trio.open_nursery() as players:
                room = ""
                for number in range(PLAYERS):
                    room = await players.start(join_and_play, number, room)
                c.nursery.start_soon(nodes.inject_faults)
        assert game.exit_code is None
    players_seen = {place.you for place in places}
    for place, ledger in zip(places, ledgers, strict=True):
        numbers = [seq for seq, _, _ in ledger]
        assert numbers == sorted(set(numbers))
        for player in players_seen:
            assert [number for _, sender, number in ledger if sender == player] == list(
                range(INPUTS)
            )
        assert place.progress.repeats == 0
    assert all(ledger == ledgers[0] for ledger in ledgers)
    assert sum(place.resumes for place in places) > 0


class Barrier:
    """Tasks wait here until all players have arrived."""

    def __init__(self) -> None:
        self._arrived: set[int] = set()
        self._all_arrived = trio.Event()

    async def wait_for(self, number: int) -> None:
        self._arrived.add(number)
        if len(self._arrived) == PLAYERS:
            self._all_arrived.set()
        await self._all_arrived.wait()
