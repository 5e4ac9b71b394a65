"""Random walks of one room over three game nodes, with lost sockets, lost links and takeovers.

Each player must get each message addressed to them, of one history, without a hole or a repeat; and
the room each input once and in order. The hosts are real; their api nodes and clients are models.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Room, Said, room
from lastcall.host.host import Host
from lastcall.ids import Incarnation, KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from lastcall.wire.images import Image, decode_image, encode_image, for_another_node

WALKS = 200
STEPS = 120
HOSTS = range(3)
ACTIONS = [
    *["say"] * 4,
    *["whisper", "run", "run", "connect", "lose"],
    *["carry"] * 4,
    *["move"] * 3,
    *["break", "wait", "leave"],
]
AGAIN = LinkId(10_000)


class History(msgspec.Struct):
    """The room's state: its messages, and the inputs of each player."""

    log: list[tuple[str, str | None]] = []
    heard: dict[str, list[int]] = {}


@room("law", seats=99, state=History, resume_seconds=3600)
async def law(table: Room[History]) -> Any:
    async for event in table:
        if isinstance(event, Said):
            n, to = event.input
            table.state.heard.setdefault(event.player, []).append(n)
            body = f"{len(table.state.log) + 1} {event.player} {n}"
            reader = None if to is None else table.players[to % len(table.players)]
            table.state.log.append((body, reader))
            if reader is None:
                table.broadcast(body)
            else:
                table.send(reader, body)


class Client:
    def __init__(self, host: int) -> None:
        self.place: nodes.Seated | nodes.Resumed | None = None
        self.socket = 0
        """The number of the current socket; 0 for none."""
        self.host = host
        """Where the place was last."""
        self.seen = self.joined_at = self.last_n = 0
        self.said: list[bytes] = []
        self.got: list[tuple[int, bytes]] = []
        self.gone = False


class Live:
    """A client's place at an api node: on which socket, in which session, at which host."""

    def __init__(self, client: Client, socket: int, session: int, host: int) -> None:
        self.client, self.socket, self.session, self.host = client, socket, session, host
        self.renewing = False


class Link:
    def __init__(self, link_id: LinkId) -> None:
        self.id = link_id
        self.up: deque[nodes.Up] = deque()
        self.down: deque[nodes.Down] = deque()


class Api:
    def __init__(self, world: World) -> None:
        self.world = world
        self.links = [Link(world.link()) for _ in HOSTS]
        self.live: dict[PlayerId, Live] = {}
        self.calls: dict[int, tuple[Client, int, int, bool]] = {}
        """By number: the client, its socket, the host, and whether it is a renewal."""

    def ask(self, client: Client, socket: int, host: int, *, renewal: bool = False) -> None:
        call = self.world.number()
        self.calls[call] = (client, socket, host, renewal)
        place = client.place
        item: nodes.Up
        if place is None:
            item = nodes.Join(call, KindName(""), room=self.world.room)
        elif renewal:
            session = self.live[place.player].session
            item = nodes.Renew(
                call, place.room, place.player, place.secret, client.seen, session=session
            )
        else:
            item = nodes.Resume(call, place.room, place.player, place.secret, client.seen)
        self.links[host].up.append(item)

    def renew(self, live: Live, host: int) -> None:
        live.renewing = True
        live.host = host
        self.ask(live.client, live.socket, host, renewal=True)

    def send_inputs(self, live: Live, first: int) -> None:
        client = live.client
        assert client.place is not None
        for n in range(first, client.last_n + 1):
            say = nodes.Say(
                self.world.room, client.place.player, live.session, n, client.said[n - 1]
            )
            self.links[live.host].up.append(say)

    def carry(self, host: int) -> None:
        link = self.links[host]
        while link.up:
            self.world.hosts[host].handle(link.id, link.up.popleft())
        self.world.hosts[host].flush_acks()
        while link.down:
            self.receive(host, link.down.popleft())

    def receive(self, host: int, item: nodes.Down) -> None:  # noqa: C901 - a table
        match item:
            case nodes.Seated() | nodes.Resumed() | nodes.Refused():
                if item.call in self.calls:
                    self.receive_answer(item, *self.calls.pop(item.call))
            case nodes.Message():
                for player in list(self.live) if item.to is None else item.to:
                    self.deliver(host, player, item.seq, item.body)
            case nodes.Replay():
                for seq, body in item.messages:
                    self.deliver(host, item.player, seq, body)
            case nodes.Moved():
                for live in [live for live in self.live.values() if live.host == host]:
                    self.renew(live, item.to - 1)
            case nodes.Wanted():
                if (found := self.live.get(item.player)) is not None and found.host == host:
                    self.send_inputs(found, item.n)
            case nodes.Out():
                self.receive_out(host, item)
            case _:
                assert isinstance(item, nodes.Acks), item

    def receive_out(self, host: int, out: nodes.Out) -> None:
        live = self.live.get(out.player)
        if live is None or live.host != host or out.session not in (0, live.session):
            return
        del self.live[out.player]
        if live.socket == live.client.socket:
            assert out.reason == "left"
            live.client.gone = True

    def receive_answer(
        self, item: Any, client: Client, socket: int, host: int, renewal: bool
    ) -> None:
        if renewal and (client.place is None or client.place.player not in self.live):
            return
        if isinstance(item, nodes.Refused):
            self.receive_refusal(item, client, socket, host, renewal=renewal)
            return
        if socket != client.socket:
            self.links[host].up.append(nodes.Absent(item.room, item.player, item.session))
            return
        assert item.complete
        client.host = host
        if isinstance(item, nodes.Seated):
            client.joined_at = client.seen = item.seq
        assert item.seq == client.seen
        client.place = item
        live = self.live[item.player] = Live(client, socket, item.session, host)
        self.links[host].up.append(nodes.Confirm(item.room, item.player, item.session))
        self.send_inputs(live, item.n + 1 if isinstance(item, nodes.Resumed) else 1)

    def receive_refusal(
        self, item: nodes.Refused, client: Client, socket: int, host: int, *, renewal: bool
    ) -> None:
        if socket != client.socket or client.gone:
            if renewal and client.place is not None:
                self.live.pop(client.place.player, None)
        elif item.code == nodes.MOVED and renewal and client.place is not None:
            self.renew(self.live[client.place.player], item.to - 1)
        elif item.code == nodes.MOVED:
            self.ask(client, socket, item.to - 1)
        else:  # a host that never had the room, or had the place while it was another's
            assert not renewal, item
            assert item.code in (nodes.NO_SUCH_PLACE, "no_such_room"), item
            self.ask(client, socket, (host + 1) % len(HOSTS))

    def deliver(self, host: int, player: PlayerId, seq: int, body: bytes) -> None:
        live = self.live.get(player)
        if live is None or live.host != host or live.renewing:
            return
        if live.socket == live.client.socket:
            assert seq > live.client.seen, "received twice, or out of order"
            live.client.seen = seq
            live.client.got.append((seq, body))

    def reset(self, host: int) -> None:
        """The link is replaced: what is in flight is lost, and the api node asks again."""
        old, self.links[host] = self.links[host], Link(self.world.link())
        self.world.hosts[host].drop_link(old.id)
        for call, (client, socket, at, renewal) in list(self.calls.items()):
            if at == host:
                del self.calls[call]
                if not renewal and socket == client.socket:
                    self.ask(client, socket, host)
        for live in [live for live in self.live.values() if live.host == host]:
            self.renew(live, host)


class World:
    def __init__(self, work: trio.Nursery, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0
        self.room = RoomId("")
        self.hosts = [
            Host(
                kinds={law.name: law},
                node=NodeName(f"game-{index}"),
                rng=random.Random(index),
                outbox=self.route,
                policy=RoomPolicy(drain_grace_seconds=3600),  # also if a Confirm is lost
            )
            for index in HOSTS
        ]
        self.apis = [Api(self) for _ in range(2)]
        for host in self.hosts:
            host.serve(work)
            work.start_soon(host.watch)
        self.at = 0
        """The host that has the room."""
        self.moving: tuple[Image, int, bool] | None = None
        """The image of a room that is frozen, who adopted it, and whether it has moved there."""
        self.moves = 0
        self.leaves: list[nodes.Leave] = []

    def number(self) -> int:
        self.count += 1
        return self.count

    def link(self) -> LinkId:
        return LinkId(self.number())

    def route(self, link_id: LinkId, item: nodes.Down) -> None:
        for api in self.apis:
            for link in api.links:
                if link.id == link_id:
                    link.down.append(item)
                    return
        assert link_id == AGAIN, f"{item} is sent to a link that is gone"

    async def move(self) -> None:
        """The next step of a move: freeze, adopt; then thaw, or move and release."""
        if self.moving is None:
            image = await self.hosts[self.at].moves.freeze(self.room)
            if image is not None:
                image = decode_image(encode_image(image))
                to = self.rng.choice([host for host in HOSTS if host != self.at])
                adopted = self.hosts[to].moves.adopt(for_another_node(image, image.epoch + 1))
                assert adopted is None
                self.moving = image, to, False
            return
        image, to, moved = self.moving
        if moved:
            assert self.hosts[to].moves.release(self.room)
            self.at, self.moving = to, None
            self.moves += 1
        elif self.rng.random() < 0.3:
            self.hosts[to].moves.withdraw(self.room)
            self.hosts[self.at].moves.thaw(image)
            self.moving = None
        else:
            incarnation, name = Incarnation(to + 1), NodeName(f"game-{to}")
            where = nodes.Whereabouts(incarnation, name, image.epoch + 1)
            self.hosts[self.at].moves.moved(self.room, where)
            for leave in self.leaves:  # the api nodes say them again where the room is
                self.hosts[to].handle(AGAIN, leave)
            self.moving = image, to, True

    def connect(self, client: Client, api: Api, *, noticed: bool) -> None:
        """The client has a new socket; the older one's api node may not have noticed its loss."""
        if client.gone:
            return
        self.lose(client, noticed=noticed)
        client.socket = self.number()
        api.ask(client, client.socket, client.host)

    def lose(self, client: Client, *, noticed: bool) -> None:
        for api in self.apis:
            for call, (owner, _, host, _) in list(api.calls.items()):
                if owner is client:
                    del api.calls[call]
                    api.links[host].up.append(nodes.Cancel(call))
            live = None if client.place is None else api.live.get(client.place.player)
            if live is not None and client.place is not None and noticed:
                absent = nodes.Absent(self.room, client.place.player, live.session)
                api.links[live.host].up.append(absent)
                del api.live[client.place.player]
        client.socket = 0

    def live_of(self, client: Client) -> tuple[Api, Live] | None:
        for api in self.apis:
            for live in api.live.values():
                if live.client is client and live.socket == client.socket:
                    return api, live
        return None

    def say(self, client: Client, to: int | None) -> None:
        if (found := self.live_of(client)) is not None:
            client.last_n += 1
            client.said.append(msgspec.json.encode([client.last_n, to]))
            if not found[1].renewing:
                found[0].send_inputs(found[1], client.last_n)

    def leave(self, client: Client) -> None:
        found = self.live_of(client)
        if found is not None and client.place is not None:
            secret = client.place.secret
            item = nodes.Leave(self.room, client.place.player, found[1].session, secret)
            found[0].links[found[1].host].up.append(item)
            self.leaves.append(item)
            del found[0].live[client.place.player]
            client.gone = True

    async def step(self, action: str, clients: list[Client]) -> None:  # noqa: C901 - a table
        rng = self.rng
        client, api, host = rng.choice(clients), rng.choice(self.apis), rng.choice(HOSTS)
        match action:
            case "say":
                self.say(client, None)
            case "whisper":
                self.say(client, rng.randrange(9))
            case "run":
                await wait_all_tasks_blocked()
            case "connect":
                self.connect(client, api, noticed=rng.random() < 0.7)
            case "lose":
                self.lose(client, noticed=True)
            case "carry":
                api.carry(host)
            case "move":
                await self.move()
            case "break" if rng.random() < 0.3:
                api.reset(host)
            case "wait":
                await trio.sleep(rng.choice([0.2, 0.6, 2.5]))
            case "leave" if rng.random() < 0.2:
                self.leave(client)
                clients.append(Client(rng.choice(HOSTS)))

    async def settle(self, clients: list[Client]) -> None:
        while self.moving is not None or self.moves < 2:
            await self.move()
        for client in clients:
            if client.gone or self.live_of(client) is None:
                self.connect(client, self.apis[0], noticed=True)
        for _ in range(8):
            for api in self.apis:
                for host in HOSTS:
                    api.carry(host)
            await trio.sleep(0.6)

    def check(self, clients: list[Client]) -> None:
        live = self.hosts[self.at].find(self.room)
        assert live is not None
        history: History = live.state.author_state
        for client in filter(lambda client: client.place is not None, clients):
            assert client.place is not None
            player = client.place.player
            addressed = [
                (seq, msgspec.json.encode(body))
                for seq, (body, to) in enumerate(history.log, 1)
                if seq > client.joined_at and to in (None, player)
            ]
            heard = history.heard.get(player, [])
            assert client.got == addressed[: len(client.got)]
            assert heard == list(range(1, len(heard) + 1))
            if not client.gone:
                assert client.got == addressed
                assert len(heard) == client.last_n
                assert live.state.roster.find(player) is not None


@pytest.mark.parametrize("seed", range(WALKS))
def test_players_of_a_room_that_moves_see_one_history_without_a_hole_or_a_repeat(
    seed: int,
) -> None:
    rng = random.Random(seed)

    async def play() -> None:
        async with trio.open_nursery() as work:
            world = World(work, rng)
            clients = [Client(0) for _ in range(4)]
            world.apis[0].links[0].up.append(nodes.Join(0, law.name))
            world.apis[0].carry(0)
            [world.room] = world.hosts[0].running.by_id
            for client in clients[:3]:
                world.connect(client, world.apis[0], noticed=True)
            for _ in range(STEPS):
                await world.step(rng.choice(ACTIONS), clients)
            await world.settle(clients)
            world.check(clients)
            work.cancel_scope.cancel()

    trio.run(play, clock=MockClock(autojump_threshold=0))
