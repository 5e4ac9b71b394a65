"""Random walks over lost sockets, lost links, repeated requests and takeovers.

Each player must get each message addressed to them, and the room each input once and in order.
The game node is real; its api nodes and clients are models. Links carry items in order in both
directions, and a link that breaks loses the items in flight.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Joined, Room, Said, room
from lastcall.events import Event
from lastcall.host.host import Host
from lastcall.ids import KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.wire import nodes

FREQUENT = [*["say"] * 3, "whisper", *["carry"] * 2, "carry-up", "run", "resume", "lose", "break"]
SOMETIMES = ["wait", "wait", "wait", "leave", "end", "drain", "wait-long"]
WALKS = 150
STEPS = 200


class Client:
    """One player, with the inputs that they sent and the messages that they got."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.key = f"k{number}"
        self.socket = 0
        """The number of the current socket, or 0. Items for an older socket are dropped."""
        self.place: nodes.Seated | nodes.Resumed | None = None
        self.joined_at = 0
        self.seen = 0
        self.got: list[tuple[int, bytes]] = []
        self.last_n = 0
        self.acked = 0
        self.gone = ""

    def connect(self, link: ModelLink) -> None:
        """Opens a new socket, which joins with the key, or resumes with the newest ticket.

        Withdraws the request of the older socket.
        """
        if self.gone:
            return
        self.withdraw()
        self.socket = self.world.next_number()
        link.calls[self.socket] = self
        if self.place is None:
            link.up.append(nodes.Join(self.socket, KindName("law"), key=self.key))
        else:
            place = self.place
            link.up.append(
                nodes.Resume(self.socket, place.room, place.player, place.secret, self.seen)
            )

    def withdraw(self) -> None:
        """Removes the socket's request if it is unsent, and cancels it if it is unanswered."""
        for link in self.world.links:
            unsent = [x for x in link.up if getattr(x, "call", 0) == self.socket != 0]
            for item in unsent:
                link.up.remove(item)
            if self.socket in link.calls and not unsent:
                link.up.append(nodes.Cancel(self.socket))

    def say(self, body: bytes) -> None:
        link = self.world.link_of(self)
        if link is None or self.place is None or self.gone:
            return
        self.last_n += 1
        self.world.said.setdefault(self.place.player, []).append(body)
        self.send(link, self.last_n)

    def send(self, link: ModelLink, first: int) -> None:
        assert self.place is not None
        place = self.place
        for n in range(first, self.last_n + 1):
            body = self.world.said[place.player][n - 1]
            link.up.append(nodes.Say(place.room, place.player, link.session_of(self), n, body))

    def answered(self, link: ModelLink, answer: nodes.Seated | nodes.Resumed) -> None:
        if isinstance(answer, nodes.Seated):
            assert self.place is None
            self.joined_at = self.seen = answer.seq
        else:
            assert answer.complete
            assert answer.seq == self.seen
            assert self.acked <= answer.n <= self.last_n
        self.place = answer
        link.up.append(nodes.Confirm(answer.room, answer.player, answer.session))
        if isinstance(answer, nodes.Resumed):
            self.send(link, answer.n + 1)

    def receive(self, seq: int, body: bytes) -> None:
        assert seq > self.seen, "received twice, or out of order"
        self.seen = seq
        self.got.append((seq, body))


class ModelLink:
    """A link and its api node: the items in flight in each direction, and its places."""

    def __init__(self, link_id: LinkId, world: World) -> None:
        self.id = link_id
        self.world = world
        self.up: deque[nodes.Up] = deque()
        self.down: deque[nodes.Down] = deque()
        self.calls: dict[int, Client] = {}
        self.live: dict[PlayerId, tuple[Client, int, int]] = {}
        """For each player: the client, the number of its socket, and the session."""

    def session_of(self, client: Client) -> int:
        return next(session for owner, _, session in self.live.values() if owner is client)

    def carry_up(self) -> None:
        """Delivers all items in flight to the game node, in one request."""
        while self.up:
            self.world.host.handle(self.id, self.up.popleft())
        self.world.host.flush_acks()

    def carry(self) -> None:
        """Delivers all items in flight, in both directions."""
        self.carry_up()
        while self.down:
            self.receive(self.down.popleft())

    def receive(self, item: nodes.Down) -> None:
        match item:
            case nodes.Seated() | nodes.Resumed() | nodes.Refused():
                self.receive_answer(item)
            case nodes.Out() | nodes.Ended():
                self.receive_end(item)
            case nodes.Message():
                for player in list(self.live) if item.to is None else item.to:
                    self.deliver(player, item.seq, item.body)
            case nodes.Replay():
                for seq, body in item.messages:
                    self.deliver(item.player, seq, body, item.session)
            case nodes.Acks():
                for _, player, n in item.acks:
                    if (client := self.client(player)) is not None:
                        client.acked = max(client.acked, n)
            case _:  # no client breaks the protocol or sends too much, and each room has started
                assert not isinstance(item, nodes.BadInput | nodes.Wanted | nodes.Regroup), item

    def receive_answer(self, item: nodes.Seated | nodes.Resumed | nodes.Refused) -> None:
        client = self.calls.pop(item.call)
        if isinstance(item, nodes.Refused):
            if client.socket == item.call:
                assert item.code in (nodes.NO_SUCH_PLACE, nodes.DRAINING), item
                assert not self.world.has_seat(client)
                client.gone = item.code
        elif client.socket == item.call:
            self.live[item.player] = (client, item.call, item.session)
            client.answered(self, item)
        else:  # the socket that asked is gone
            self.up.append(nodes.Absent(item.room, item.player, item.session))

    def receive_end(self, item: nodes.Out | nodes.Ended) -> None:
        if isinstance(item, nodes.Ended):
            ended = list(self.live)
        else:
            place = self.live.get(item.player)
            ended = [item.player] if place is not None and item.session in (0, place[2]) else []
        for player in ended:
            client, socket, _ = self.live.pop(player)
            if client.socket == socket:
                assert item.reason != nodes.TAKEN_OVER, "no newer socket exists"
                client.gone = item.reason

    def client(self, player: PlayerId) -> Client | None:
        client, socket, _ = self.live.get(player, (None, 0, 0))
        return client if client is not None and client.socket == socket else None

    def deliver(self, player: PlayerId, seq: int, body: bytes, session: int = 0) -> None:
        if session:
            assert player not in self.live or self.live[player][2] >= session
        if (client := self.client(player)) is not None:
            client.receive(seq, body)


class World:
    """The game node, two links that break and are replaced, and four clients."""

    def __init__(self, work: trio.Nursery) -> None:
        self.numbers = 0
        self.logs: dict[RoomId, list[tuple[bytes, PlayerId | None]]] = {}
        """The messages of each room, in order, with the player that a private one is for."""
        self.delivered: dict[PlayerId, list[Any]] = {}
        self.said: dict[PlayerId, list[bytes]] = {}
        self.joined: list[PlayerId] = []
        self.links: list[ModelLink] = []

        @room("law", seats=9)
        async def law(table: Room) -> Any:
            async for event in table:
                if self.apply(table, event):
                    return "over"
            raise AssertionError

        self.host = Host(
            kinds={law.name: law},
            node=NodeName("game-1"),
            rng=random.Random(1),
            outbox=self.route,
        )
        self.host.serve(work)
        work.start_soon(self.host.watch)
        self.links = [ModelLink(LinkId(self.next_number()), self) for _ in range(2)]
        self.clients = [Client(self, number) for number in range(4)]
        self.retired: list[Client] = []

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def apply(self, table: Room, event: Event) -> bool:
        """The room's reaction to an event; returns whether the room ends."""
        match event:
            case Joined(player):
                self.joined.append(player)
            case Said(player, said):
                self.delivered.setdefault(player, []).append(said)
                number, command, index = said
                if command == "end":
                    return True
                present = table.players
                to = present[index % len(present)] if command == "whisper" else None
                log = self.logs.setdefault(table.id, [])
                body = f"{len(log) + 1} {player} {number}"
                log.append((f'"{body}"'.encode(), to))
                if to is None:
                    table.broadcast(body)
                else:
                    table.send(to, body)
        return False

    def route(self, link_id: LinkId, item: nodes.Down) -> None:
        for link in self.links:
            if link.id == link_id:
                link.down.append(item)
                return
        raise AssertionError(f"{item} is sent to a link that is gone")

    def link_of(self, client: Client) -> ModelLink | None:
        for link in self.links:
            for owner, socket, _ in link.live.values():
                if owner is client and socket == client.socket:
                    return link
        return None

    def sever(self, index: int) -> None:
        """Replaces the link: the items in flight are lost, in both directions."""
        link = self.links[index]
        self.links[index] = ModelLink(LinkId(self.next_number()), self)
        self.host.drop_link(link.id)

    def lose(self, client: Client) -> None:
        for link in self.links:
            for player, (owner, socket, session) in list(link.live.items()):
                if owner is client and socket == client.socket and client.place is not None:
                    link.up.append(nodes.Absent(client.place.room, player, session))
                    del link.live[player]
        client.withdraw()
        client.socket = 0

    async def step(  # noqa: C901, PLR0912 - a table of what may happen
        self, action: str, player: int, number: int
    ) -> None:
        """Performs one action of a player; ``number`` selects the link, the length of a wait, …"""
        client, link = self.clients[player], self.links[number % 2]
        match action:
            case "say" | "whisper" | "end":
                client.say(b'[%d,"%s",%d]' % (client.last_n + 1, action.encode(), number))
            case "resume":
                if client.gone:  # another client takes its turn
                    self.retired.append(client)
                    client = self.clients[player] = Client(self, self.next_number())
                client.connect(link)
            case "carry":
                link.carry()
            case "carry-up":
                link.carry_up()
            case "run":
                await wait_all_tasks_blocked()
            case "lose":
                self.lose(client)
            case "break":
                self.sever(number % 2)
            case "wait":
                await trio.sleep(number + 0.5)
            case "wait-long":
                await trio.sleep(10 * number + 3)
            case "leave":
                if (own := self.link_of(client)) is not None and client.place is not None:
                    session = own.session_of(client)
                    own.up.append(nodes.Leave(client.place.room, client.place.player, session))
            case "drain":
                if player == number == 0:
                    self.host.matchmaker.doors_open = False
                    self.host.drain(trio.current_time() + 1000)

    def has_seat(self, client: Client) -> bool:
        room = None if client.place is None else self.host.find(client.place.room)
        return room is not None and room.state.roster.find(client.place.player) is not None

    def check_seats(self) -> None:
        """Checks that no player with a live socket is away."""
        for link in self.links:
            for player, (client, socket, session) in link.live.items():
                if client.socket == socket and client.place is not None:
                    room = self.host.find(client.place.room)
                    seat = None if room is None else room.state.roster.find(player)
                    assert seat is None or seat.session != session or not seat.away

    async def settle(self) -> None:
        """Connects all clients again and delivers all items in flight."""
        for client in self.clients:
            client.connect(self.links[0])
        for _ in range(6):
            for link in self.links:
                link.carry()
            await trio.sleep(0.5)  # a takeover waits 0.5 s for the older socket

    def addressed_to(self, client: Client) -> list[tuple[int, bytes]]:
        assert client.place is not None
        return [
            (seq, body)
            for seq, (body, to) in enumerate(self.logs.get(client.place.room, []), 1)
            if seq > client.joined_at and to in (None, client.place.player)
        ]


def check(world: World) -> None:
    for client in (*world.clients, *world.retired):
        if client.place is None:
            continue
        player: PlayerId = client.place.player
        addressed = world.addressed_to(client)
        assert client.got == addressed[: len(client.got)]
        said = [msgspec.json.decode(body) for body in world.said.get(player, [])]
        delivered = world.delivered.get(player, [])
        assert delivered == said[: len(delivered)]
        assert client.acked <= client.last_n
        assert client.gone != "crashed"
        if not client.gone:
            assert client.got == addressed
            assert delivered == said
        elif client.gone == "finished":
            assert client.got == addressed


@pytest.mark.parametrize("seed", range(WALKS))
def test_each_player_gets_their_messages_and_the_room_each_input_once_in_order(
    seed: int,
) -> None:
    rng = random.Random(seed)

    async def play() -> None:
        async with trio.open_nursery() as work:
            world = World(work)
            for client in world.clients[:3]:
                client.connect(world.links[0])
            world.links[0].carry()
            for _ in range(STEPS):
                action = rng.choice(FREQUENT if rng.random() < 0.97 else SOMETIMES)
                await world.step(action, rng.randrange(4), rng.randrange(3))
                world.check_seats()
            await world.settle()
            check(world)
            work.cancel_scope.cancel()

    trio.run(play, clock=MockClock(autojump_threshold=0))
