"""Random walks of a surviving room whose node is killed at any instant, and whose standby goes on.

Each player must get each message addressed to them, of one history, without a hole or a repeat; and
the room each input once and in order. The hosts are real; the api node and its clients are models.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Alarm, Room, Said, room
from lastcall.host.host import Host
from lastcall.ids import KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from lastcall.wire.images import Image, for_another_node
from tests.host.standbys import LateProtector, PromptProtector, own_capture, without_times

BATCHES = 20
WALKS = 10
ACTIONS = 80


class History(msgspec.Struct):
    """The room's state: its messages and their readers, and the inputs of each player."""

    log: list[tuple[str, str | None]] = []
    heard: dict[str, list[int]] = {}
    alarms: int = 0


def write(table: Room[History], body: str, to: int | None = None) -> None:
    readers = table.players
    reader = None if to is None or not readers else readers[to % len(readers)]
    body = f"{len(table.state.log) + 1} {body}"
    table.state.log.append((body, reader))
    if reader is None:
        table.broadcast(body)
    else:
        table.send(reader, body)


@room("law", seats=99, state=History, survives=True, resume_seconds=3600)
async def law(table: Room[History]) -> Any:
    async for event in table:
        match event:
            case Alarm(name):
                table.state.alarms += 1
                write(table, name)
            case Said(player, [what, n, x]):
                table.state.heard.setdefault(player, []).append(n)
                await do(table, f"{player} {n}", what, x)


async def do(table: Room[History], body: str, what: str, x: int) -> None:  # noqa: C901 - a table
    match what:
        case "say":
            write(table, body, None if x < 4 else x)
        case "alarm":
            table.alarm(f"alarm {x}", after=x / 8)
        case "every":
            table.every("every", (1 + x) / 8)
        case "silence":
            table.silence("every")
        case "quiet":  # others run before it says anything
            await trio.sleep(x / 8)
            write(table, body)
        case "slow":
            write(table, body)
            await trio.sleep(x / 8)
            write(table, f"{body} slowly")
        case "commit":
            write(table, body)
            await table.commit()
            await trio.sleep(x / 8)
            write(table, f"{body} after a commit")
        case "kick":
            table.kick(table.players[-1], ban=x)
        case "lock":
            table.lock()
            await trio.sleep(x / 8)
            table.unlock()
        case "task":
            table.nursery.start_soon(say_later, table, body, x / 8)


async def say_later(table: Room[History], body: str, seconds: float) -> None:
    await trio.sleep(seconds)
    write(table, f"{body} later")


INPUTS = ["say"] * 8 + ["quiet", "slow", "commit", "alarm", "every", "silence", "task", "task"]
RARE = ["kick", "lock"]


class Client:
    def __init__(self, key: str) -> None:
        self.key = key
        self.player = PlayerId("")
        """Empty until the join was answered."""
        self.secret = ""
        self.session = 0
        self.connected = False
        self.live = False
        """Whether the api node has the place on the client's socket."""
        self.call = 0
        """Of the request that is not answered; 0 for none."""
        self.seen = self.joined_at = self.acked = 0
        self.said: list[bytes] = []
        self.got: list[tuple[int, bytes]] = []
        self.gone = False


class World:
    def __init__(self, rng: random.Random, protector: type[LateProtector]) -> None:
        self.rng = rng
        self.protector_type = protector
        self.count = 0
        self.room = RoomId("")
        self.clients: list[Client] = []
        self.down: deque[nodes.Down] = deque()
        self.kills = 0
        self.link = LinkId(0)
        self.alive = trio.CancelScope()
        self.players: set[PlayerId] = set()
        """All for whom the standby has, or had, a seat."""
        self.applied = True
        """Whether the request, which has many items, was applied to its end."""

    def number(self) -> int:
        self.count += 1
        return self.count

    def boot(self, services: trio.Nursery) -> None:
        """A new node, with a new link."""
        self.link = LinkId(self.number())
        self.protector = self.protector_type()
        self.protector.on_apply = self.has
        self.host = self.protector.host = Host(
            kinds={law.name: law},
            node=NodeName(f"game-{self.link}"),
            rng=random.Random(self.link),
            outbox=self.hear,
            policy=RoomPolicy(takeover_seconds=0, drain_grace_seconds=3600),
            protector=self.protector,
        )
        self.alive = trio.CancelScope()
        services.start_soon(self.run, self.host, self.alive)

    async def run(self, host: Host, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as work:
                host.serve(work)
                await host.watch()

    # what the standby has, and what players hear

    def has(self, image: Image) -> None:
        self.standby = image
        self.players |= {seat.player for seat in image.seats}

    def hear(self, link: LinkId, item: nodes.Down) -> None:
        if link != self.link or self.alive.cancel_called:
            return
        if self.protector.copy is not None:
            self.check_heard(item)
        self.down.append(item)

    def check_heard(self, item: nodes.Down) -> None:
        has, done = self.standby, {seat.player: seat.last_n for seat in self.standby.seats}
        match item:
            case nodes.Message():
                assert item.seq <= has.history.seq
                kept = {seq: body for seq, body, _ in has.history.kept}
                assert kept.get(item.seq, item.body) == item.body
            case nodes.Replay():
                assert all(seq <= has.history.seq for seq, _ in item.messages)
            case nodes.Acks():
                assert all(n <= done.get(player, n) for _, player, n in item.acks)
            case nodes.Seated() | nodes.Resumed():
                assert item.player in self.players
                assert item.seq <= has.history.seq
                if isinstance(item, nodes.Resumed):
                    assert item.n <= done.get(item.player, item.n)

    def check_copy(self) -> None:
        """The standby's copy is the room, once it has all steps and the room rests."""
        live = self.host.find(self.room)
        if live is None or self.protector.copy is None or self.protector.waiting:
            return
        if live.state.inbox.reader is None or not self.applied:
            return
        own, copy = own_capture(self.host, self.room), self.protector.copy.image()
        if self.protector_type is PromptProtector:
            bans = tuple(each for each in copy.bans if each.seconds_left)
            own = replace(own, bans=tuple(each for each in own.bans if each.seconds_left))
            assert replace(copy, bans=bans) == own
        assert without_times(copy) == without_times(own)

    # the api node and its clients

    def request(self, item: nodes.Up) -> None:
        self.host.handle(self.link, item)
        self.applied = self.rng.random() < 0.8
        if self.applied:
            self.host.flush_acks()

    def connect(self, client: Client) -> None:
        if client.gone:
            return
        self.lose(client)
        client.connected = True
        client.call = self.number()
        if client.player:
            self.request(
                nodes.Resume(client.call, self.room, client.player, client.secret, client.seen)
            )
        else:
            kind = KindName("" if self.room else "law")
            self.request(nodes.Join(client.call, kind, room=self.room, key=client.key))

    def lose(self, client: Client) -> None:
        if client.live:
            self.request(nodes.Absent(self.room, client.player, client.session))
        client.connected = client.live = False
        client.call = 0

    def say(self, client: Client, what: str) -> None:
        if client.live:
            n = len(client.said) + 1
            client.said.append(msgspec.json.encode([what, n, self.rng.randrange(8)]))
            self.send(client, n)

    def send(self, client: Client, first: int) -> None:
        for n in range(first, len(client.said) + 1):
            body = client.said[n - 1]
            self.request(nodes.Say(self.room, client.player, client.session, n, body))

    def renew(self) -> None:
        """The api node asks the node that was promoted for all its places."""
        for client in self.clients:
            if client.live:
                client.call, client.live = self.number(), False
                renew = nodes.Renew(
                    client.call,
                    self.room,
                    client.player,
                    client.secret,
                    client.seen,
                    session=client.session,
                )
                self.request(renew)
            elif client.connected:
                self.connect(client)

    def carry(self) -> None:
        while self.down:
            self.receive(self.down.popleft())

    def receive(self, item: nodes.Down) -> None:  # noqa: C901, PLR0912 - a table
        match item:
            case nodes.Seated() | nodes.Resumed():
                self.receive_place(item)
            case nodes.Refused():
                for client in self.clients:
                    if client.call == item.call:
                        client.call, client.connected = 0, False
                        if item.code == nodes.NO_SUCH_PLACE:
                            client.gone = True  # `check` says whether that was right
            case nodes.Message():
                for client in self.clients:
                    if item.to is None or client.player in item.to:
                        self.deliver(client, item.seq, item.body)
            case nodes.Replay():
                for client in self.clients:
                    if client.player == item.player and client.session == item.session:
                        for seq, body in item.messages:
                            self.deliver(client, seq, body)
            case nodes.Acks():
                for _, player, n in item.acks:
                    for client in self.clients:
                        if client.player == player:
                            assert n <= len(client.said)
                            client.acked = max(client.acked, n)
            case nodes.Out():
                for client in self.clients:
                    if client.player == item.player and item.session in (0, client.session):
                        client.gone |= item.reason != nodes.TAKEN_OVER
                        client.live = client.connected = False
            case nodes.Wanted():
                for client in self.clients:
                    if client.player == item.player and client.live:
                        self.send(client, item.n)

    def receive_place(self, item: nodes.Seated | nodes.Resumed) -> None:
        client = next((each for each in self.clients if each.call == item.call), None)
        if client is None:
            self.request(nodes.Absent(item.room, item.player, item.session))
            return
        if isinstance(item, nodes.Seated):
            assert not client.player
            client.joined_at = client.seen = item.seq
            client.player, self.room = item.player, item.room
            first = 1
        else:
            assert item.complete, "the standby has forgotten what the player has not seen"
            assert client.acked <= item.n <= len(client.said)
            client.acked = item.n
            first = item.n + 1
        assert item.seq == client.seen
        client.call, client.live = 0, True
        client.secret, client.session = item.secret, item.session
        if self.rng.random() < 0.7:
            self.request(nodes.Confirm(item.room, item.player, item.session))
        self.send(client, first)

    def deliver(self, client: Client, seq: int, body: bytes) -> None:
        if client.live:
            assert seq > client.seen, "received twice, or out of order"
            client.seen = seq
            client.got.append((seq, body))

    # the walk

    async def act(self, services: trio.Nursery) -> None:  # noqa: C901 - a table
        rng, client = self.rng, self.rng.choice(self.clients)
        match rng.choices(
            ["say", "rare", "connect", "lose", "leave", "run", "pass", "confirm", "carry", "kill"],
            [8, 1, 4, 2, 0.3, 6, 2, 4, 6, 1],
        )[0]:
            case "say":
                self.say(client, rng.choice(INPUTS))
            case "rare":
                self.say(client, rng.choice(RARE))
            case "connect" if not client.live or rng.random() < 0.2:
                self.connect(client)
            case "lose":
                self.lose(client)
            case "leave" if client.live:
                leave = nodes.Leave(self.room, client.player, client.session, client.secret)
                self.request(leave)
            case "run":
                await wait_all_tasks_blocked()
                self.applied = True
            case "pass":
                await trio.sleep(rng.randrange(1, 24) / 8)
                await wait_all_tasks_blocked()
                self.applied = True
            case "confirm":
                self.protector.confirm(rng.randrange(1, 4))
            case "carry":
                self.carry()
            case "kill":
                await self.kill(services)
        self.check_copy()

    async def kill(self, services: trio.Nursery) -> None:
        if self.protector.copy is None:
            return
        self.alive.cancel()
        if self.rng.random() < 0.5:
            self.down.clear()
        await wait_all_tasks_blocked()
        image = self.protector.copy.image()
        assert image.room == self.room or not self.room
        self.room = image.room
        self.boot(services)
        await wait_all_tasks_blocked()
        self.carry_dead()
        assert self.host.moves.promote(for_another_node(image, image.epoch + 1)) is None
        self.kills += 1
        self.renew()

    def carry_dead(self) -> None:
        """The last words of the dead node arrive."""
        for item in list(self.down):
            if isinstance(item, nodes.Message | nodes.Acks | nodes.Out):
                self.receive(item)
        self.down.clear()

    async def settle(self) -> None:
        for _ in range(12):
            self.protector.confirm()
            self.carry()
            self.host.flush_acks()
            await trio.sleep(3)
            for client in self.clients:
                if not (client.gone or client.live):
                    self.connect(client)
        await wait_all_tasks_blocked()
        self.protector.confirm()
        self.carry()

    def check(self) -> None:
        live = self.host.find(self.room)
        assert live is not None
        state: History = live.state.author_state
        log = [(seq, *entry) for seq, entry in enumerate(state.log, 1)]
        for client in self.clients:
            if not client.player:
                continue
            mine = [
                (seq, msgspec.json.encode(body))
                for seq, body, reader in log
                if seq > client.joined_at and reader in (None, client.player)
            ]
            heard = state.heard.get(client.player, [])
            assert heard == list(range(1, len(heard) + 1))
            assert len(heard) >= client.acked
            if client.gone:
                assert live.state.roster.find(client.player) is None
                assert client.got == mine[: len(client.got)]
            else:
                assert client.got == mine
                assert len(heard) == len(client.said) == client.acked


async def walk(seed: int, protector: type[LateProtector]) -> int:
    rng = random.Random(seed)
    world = World(rng, protector)
    async with trio.open_nursery() as services:
        world.boot(services)
        await wait_all_tasks_blocked()
        world.clients = [Client(f"key {number}") for number in range(4)]
        world.connect(world.clients[0])
        world.host.flush_acks()
        await wait_all_tasks_blocked()
        world.carry()
        for _ in range(ACTIONS):
            await world.act(services)
        await world.settle()
        world.check_copy()
        world.check()
        services.cancel_scope.cancel()
    return world.kills


@pytest.mark.parametrize("protector", [LateProtector, PromptProtector])
@pytest.mark.parametrize("batch", range(BATCHES // 2))
def test_each_player_of_a_room_whose_node_is_killed_gets_one_history(
    batch: int, protector: type[LateProtector]
) -> None:
    kills = 0
    for seed in range(batch * WALKS, (batch + 1) * WALKS):
        clock = MockClock(autojump_threshold=0)
        kills += trio.run(walk, seed, protector, clock=clock)
    assert kills > WALKS // 2
