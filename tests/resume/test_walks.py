"""Random walks of the whole service: rooms end and kick, players leave, nodes are replaced."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import trio
from trio.testing import MockClock

from lastcall import Joined, Left, Room, Said, room
from lastcall.client import Message, Place, connect
from lastcall.errors import ConnectionLost, JoinRefused
from lastcall.kind import Kind
from lastcall.policy import DrainPolicy
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster

PLAYERS = 6
SECONDS = 10
PATIENCE_SECONDS = 12


class RoomLog:
    """The inputs and messages of all rooms, as the rooms record them."""

    def __init__(self) -> None:
        self.said: dict[str, list[tuple[Any, str | None]]] = {}
        """By room: each message, with the player that a private one is for."""
        self.inputs: dict[tuple[str, str], list[Any]] = {}
        """By room and player: the inputs, in order."""
        self.kicked: set[str] = set()

    def kind(self) -> Kind:
        @room("bazaar", seats=4)
        async def bazaar(table: Room) -> str:
            messages = self.said.setdefault(table.id, [])
            async for event in table:
                match event:
                    case Joined(player):
                        messages.append((["joined", player], None))
                        table.broadcast(["joined", player])
                    case Left(player):
                        messages.append((["left", player], None))
                        table.broadcast(["left", player])
                    case Said(player, [number, command, index]):
                        self.inputs.setdefault((table.id, player), []).append(number)
                        others = [seated for seated in table.players if seated != player]
                        other = others[index % len(others)] if others else None
                        if command == "whisper" and other is not None:
                            messages.append(([player, number], other))
                            table.send(other, [player, number])
                        else:
                            messages.append(([player, number], None))
                            table.broadcast([player, number])
                        if command == "kick" and other is not None:
                            self.kicked.add(other)
                            table.kick(other)
                        if command == "end":
                            return "the end"
            raise AssertionError

        return bazaar

    def addressed_to(self, room: str, player: str, since: int) -> list[tuple[int, Any]]:
        return [
            (seq, body)
            for seq, (body, to) in enumerate(self.said[room], 1)
            if seq > since and to in (None, player)
        ]


class Visit:
    """One place, with all messages that its player has received."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.room = str(place.room)
        self.you = str(place.you)
        self.since = place.seq
        self.said = 0
        self.received: list[tuple[int, Any]] = []
        self.left = False


class ChangingCluster:
    """Two names of api nodes, and a series of game nodes; the processes behind them change."""

    def __init__(self, c: Cluster, log: RoomLog, rng: random.Random) -> None:
        self.c = c
        self.rng = rng
        self.kinds = {(kind := log.kind()).name: kind}
        self.apis: dict[str, ApiProcess] = {}
        self.games: dict[str, GameProcess] = {}
        self.streams: list[trio.abc.Stream] = []
        self.count = 0
        self.end = inf
        """When the walk ends; it is set once a player has resumed."""
        self._visits: list[trio.CancelScope] = []

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

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Ends the block some time after the end of the walk."""
        with trio.CancelScope(deadline=self.end + PATIENCE_SECONDS) as scope:
            self._visits.append(scope)
            yield

    async def first_resume(self, visits: Sequence[Visit]) -> None:
        """Cuts all sockets until a player has resumed: a walk without a resume shows nothing."""
        while not any(visit.place.resumes for visit in visits):
            await trio.sleep(1)
            await self.cut(len(self.streams))
        self.end = trio.current_time() + SECONDS
        for scope in self._visits:
            scope.deadline = self.end + PATIENCE_SECONDS

    async def inject_faults(self, visits: Sequence[Visit]) -> None:
        await self.first_resume(visits)
        while trio.current_time() < self.end:
            await trio.sleep(self.rng.uniform(0.1, 1.5))
            await self.fault(self.rng.randrange(8))
        for api in self.apis.values():
            self.c.bus.heal(api.name)

    async def fault(self, number: int) -> None:
        api = self.rng.choice(list(self.apis.values()))
        match number:
            case 0 | 1:
                await self.cut(len(self.streams) // 3)
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
                old.kill() if number == 4 else old.signal()
            case 6:
                self.drop_links()
            case 7:
                self.roll_a_game()

    async def cut(self, count: int) -> None:
        for stream in self.rng.sample(self.streams, count):
            self.streams.remove(stream)
            await trio.aclose_forcefully(stream)

    def drop_links(self) -> None:
        links = [(game, id_) for game in self.games.values() for id_ in game.links]
        for game, id_ in links:
            if self.rng.random() < 0.5:
                game.drop_link(id_)

    def roll_a_game(self) -> None:
        if len(self.games) < 4:
            name = f"game-{len(self.games) + 1}"
            self.games[f"game-{len(self.games)}"].signal()
            self.new_game(name)


async def play(nodes: ChangingCluster, visit: Visit, rng: random.Random) -> None:
    """Sends inputs one by one, sometimes leaves, and reads messages to the end."""
    place = visit.place

    async def say_inputs() -> None:
        while not place.outgoing.closed and trio.current_time() < nodes.end:
            chance = rng.random()
            command = "say" if chance < 0.7 else "whisper"
            command = "kick" if chance > 0.97 else "end" if chance > 0.96 else command
            await place.say([visit.said + 1, command, rng.randrange(4)])
            if place.ended is None and place.room == visit.room:
                visit.said += 1
            if chance < 0.02:
                visit.left = True
                with trio.move_on_after(5):
                    await place.leave()
            await trio.sleep(rng.uniform(0, 0.5))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_inputs)
        async for message in place:
            assert isinstance(message, Message)
            visit.received.append((message.seq, message.data))
        nursery.cancel_scope.cancel()


async def test_each_message_and_input_arrives_once_while_rooms_players_and_nodes_change(
    autojump_clock: MockClock, schedule: int, rng: random.Random
) -> None:
    log = RoomLog()
    visits: list[Visit] = []
    async with cluster(schedule) as c:
        nodes = ChangingCluster(c, log, rng)
        for number in (1, 2, 3, 4):
            c.address(f"game-{number}")
        first = nodes.new_game("game-1")
        await nodes.new_api("one")
        await nodes.new_api("two")
        await c.ready(first)
        if schedule % 2:
            c.bus.faults.drop = c.bus.faults.repeat_request = 0.1
            c.bus.faults.delay_seconds = 0.02

        async def visit_rooms(number: int) -> None:
            urls = ["ws://one/", "ws://two/"] if number % 2 else ["ws://two/", "ws://one/"]
            while trio.current_time() < nodes.end:
                try:
                    async with connect(
                        urls, kind="bazaar", open_stream=nodes.open_stream, dice=rng
                    ) as place:
                        visit = Visit(place)
                        visits.append(visit)
                        with nodes.visit():
                            await play(nodes, visit, rng)
                except* (ConnectionLost, JoinRefused):
                    pass  # the messages of the place are checked below
                await trio.sleep(rng.uniform(0, 1))

        with trio.fail_after(200):
            async with trio.open_nursery() as players:
                for number in range(PLAYERS):
                    players.start_soon(visit_rooms, number)
                players.start_soon(nodes.inject_faults, visits)
    faults = [fault for visit in visits for fault in faults_of(visit, log)]
    assert not faults, "\n".join(faults)


def faults_of(visit: Visit, log: RoomLog) -> list[str]:
    """Compares the messages of one place with the log of its room; returns the broken rules."""
    place, you = visit.place, visit.you
    reason = None if place.ended is None else place.ended.reason
    since = min([visit.since, *(seq - 1 for seq, _ in visit.received[:1])])
    addressed_to = log.addressed_to(visit.room, you, since)
    inputs = log.inputs.get((visit.room, you), [])
    joined = ["joined", you]
    join_was_announced = any(message == joined for message, _ in log.said[visit.room])
    must_have_all = reason == "finished" and not visit.left
    rules = {
        "messages in order, each once": visit.received == addressed_to[: len(visit.received)],
        "no message came twice": place.progress.repeats == 0,
        "all messages to the end": not must_have_all or visit.received == addressed_to,
        "all messages from the join": not (must_have_all and join_was_announced)
        or joined in [m for _, m in visit.received],
        "inputs in order, each once": inputs == list(range(1, len(inputs) + 1)),
        "no unsent input was delivered": len(inputs) <= visit.said + 1,
        "no input was lost": not (reason is None and place.lost is None)
        or len(inputs) >= visit.said,
        "a reason that is possible": reason in {None, "finished", "kicked", "left"},
        "never lost": place.lost is None,
        "kicked only by a kick": reason != "kicked" or you in log.kicked,
    }
    return [
        f"{place!r} {reason} {place.lost}: {rule}" for rule, holds in rules.items() if not holds
    ]
