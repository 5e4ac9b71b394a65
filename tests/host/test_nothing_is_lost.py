"""The law of resume, under any story of lost sockets, lost links, repeats and two sockets.

The game node is real. Around it stand api nodes and clients that do what the contract says and
no more: links carry items in order each way, and what is under way when a link breaks is lost.
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
from lastcall.author import Event
from lastcall.host.host import Host
from lastcall.ids import KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.wire import nodes

OFTEN = [*["say"] * 3, "whisper", *["carry"] * 2, "carry-up", "run", "resume", "lose", "break"]
SOMETIMES = ["wait", "wait", "wait", "leave", "end", "drain", "wait-long"]
WALKS = 150
STEPS = 200


class Client:
    """One player: keeps what he has said until it is acked, and knows what he has seen."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.key = f"k{number}"
        self.socket = 0
        """Which of his sockets is his; what comes for another is dropped."""
        self.place: nodes.Seated | nodes.Resumed | None = None
        self.joined_at = 0
        self.seen = 0
        self.got: list[tuple[int, bytes]] = []
        self.last_n = 0
        self.acked = 0
        self.gone = ""

    def connect(self, way: Way) -> None:
        """A new socket: joins with his key, or resumes with the last ticket that he has seen.

        What a socket before has asked for and no api node has sent yet, none sends any more; what
        is not answered is cancelled.
        """
        if self.gone:
            return
        self.withdraw()
        self.socket = self.world.next_number()
        way.calls[self.socket] = self
        if self.place is None:
            way.up.append(nodes.Join(self.socket, KindName("law"), key=self.key))
        else:
            place = self.place
            way.up.append(
                nodes.Resume(self.socket, place.room, place.player, place.secret, self.seen)
            )

    def withdraw(self) -> None:
        for way in self.world.ways:
            unsent = [x for x in way.up if getattr(x, "call", 0) == self.socket != 0]
            for item in unsent:
                way.up.remove(item)
            if self.socket in way.calls and not unsent:
                way.up.append(nodes.Cancel(self.socket))

    def say(self, body: bytes) -> None:
        way = self.world.way_of(self)
        if way is None or self.place is None or self.gone:
            return
        self.last_n += 1
        self.world.said.setdefault(self.place.player, []).append(body)
        self.send(way, self.last_n)

    def send(self, way: Way, first: int) -> None:
        assert self.place is not None
        place = self.place
        for n in range(first, self.last_n + 1):
            body = self.world.said[place.player][n - 1]
            way.up.append(nodes.Say(place.room, place.player, way.session_of(self), n, body))

    def answered(self, way: Way, answer: nodes.Seated | nodes.Resumed) -> None:
        if isinstance(answer, nodes.Seated):
            assert self.place is None
            self.joined_at = self.seen = answer.seq
        else:
            assert answer.complete
            assert answer.seq == self.seen
            assert self.acked <= answer.n <= self.last_n
        self.place = answer
        way.up.append(nodes.Confirm(answer.room, answer.player, answer.session))
        if isinstance(answer, nodes.Resumed):
            self.send(way, answer.n + 1)

    def hear(self, seq: int, body: bytes) -> None:
        assert seq > self.seen, "told twice, or out of order"
        self.seen = seq
        self.got.append((seq, body))


class Way:
    """A link with its api node: two queues, and the places that it knows of."""

    def __init__(self, link: LinkId, world: World) -> None:
        self.link = link
        self.world = world
        self.up: deque[nodes.Up] = deque()
        self.down: deque[nodes.Down] = deque()
        self.calls: dict[int, Client] = {}
        self.live: dict[PlayerId, tuple[Client, int, int]] = {}
        """Of each place: whose, by which of his sockets, in which session."""

    def session_of(self, client: Client) -> int:
        return next(session for who, _, session in self.live.values() if who is client)

    def carry_up(self) -> None:
        """All that is under way to the game node arrives, in one request."""
        while self.up:
            self.world.host.handle(self.link, self.up.popleft())
        self.world.host.flush_acks()

    def carry(self) -> None:
        """All that is under way arrives, in both directions."""
        self.carry_up()
        while self.down:
            self.take(self.down.popleft())

    def take(self, item: nodes.Down) -> None:
        match item:
            case nodes.Seated() | nodes.Resumed() | nodes.Refused():
                self.take_answer(item)
            case nodes.Out() | nodes.Ended():
                self.take_end(item)
            case nodes.Message():
                for player in list(self.live) if item.to is None else item.to:
                    self.tell(player, item.seq, item.body)
            case nodes.Replay():
                for seq, body in item.messages:
                    self.tell(item.player, seq, body, item.session)
            case nodes.Acks():
                for _, player, n in item.acks:
                    if (client := self.client(player)) is not None:
                        client.acked = max(client.acked, n)
            case _:  # nobody breaks the protocol, nothing is too much, and every room has started
                assert not isinstance(item, nodes.BadInput | nodes.Wanted | nodes.Regroup), item

    def take_answer(self, item: nodes.Seated | nodes.Resumed | nodes.Refused) -> None:
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

    def take_end(self, item: nodes.Out | nodes.Ended) -> None:
        if isinstance(item, nodes.Ended):
            over = list(self.live)
        else:
            mine = self.live.get(item.player)
            over = [item.player] if mine is not None and item.session in (0, mine[2]) else []
        for player in over:
            client, socket, _ = self.live.pop(player)
            if client.socket == socket:
                assert item.reason != nodes.TAKEN_OVER, "by whom?"
                client.gone = item.reason

    def client(self, player: PlayerId) -> Client | None:
        client, socket, _ = self.live.get(player, (None, 0, 0))
        return client if client is not None and client.socket == socket else None

    def tell(self, player: PlayerId, seq: int, body: bytes, session: int = 0) -> None:
        if session:
            assert player not in self.live or self.live[player][2] >= session
        if (client := self.client(player)) is not None:
            client.hear(seq, body)


class World:
    """The game node, two links that break and come again, and four players of one room."""

    def __init__(self, work: trio.Nursery) -> None:
        self.numbers = 0
        self.logs: dict[RoomId, list[tuple[bytes, PlayerId | None]]] = {}
        """What each room has said, in order: its number is its position, from 1."""
        self.had: dict[PlayerId, list[Any]] = {}
        self.said: dict[PlayerId, list[bytes]] = {}
        self.joined: list[PlayerId] = []
        self.ways: list[Way] = []

        @room("law", seats=9)
        async def law(table: Room) -> Any:
            async for event in table:
                if self.played(table, event):
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
        self.ways = [Way(LinkId(self.next_number()), self) for _ in range(2)]
        self.clients = [Client(self, number) for number in range(4)]
        self.retired: list[Client] = []

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def played(self, table: Room, event: Event) -> bool:
        match event:
            case Joined(player):
                self.joined.append(player)
            case Said(player, said):
                self.had.setdefault(player, []).append(said)
                number, command, whom = said
                if command == "end":
                    return True
                present = table.players
                to = present[whom % len(present)] if command == "whisper" else None
                log = self.logs.setdefault(table.id, [])
                body = f"{len(log) + 1} {player} {number}"
                log.append((f'"{body}"'.encode(), to))
                if to is None:
                    table.broadcast(body)
                else:
                    table.send(to, body)
        return False

    def route(self, link: LinkId, item: nodes.Down) -> None:
        for way in self.ways:
            if way.link == link:
                way.down.append(item)
                return
        raise AssertionError(f"{item} is sent to a link that is gone")

    def way_of(self, client: Client) -> Way | None:
        for way in self.ways:
            for who, socket, _ in way.live.values():
                if who is client and socket == client.socket:
                    return way
        return None

    def sever(self, index: int) -> None:
        """The link is reset: what is under way is lost, each way."""
        way = self.ways[index]
        self.ways[index] = Way(LinkId(self.next_number()), self)
        self.host.drop_link(way.link)

    def lose(self, client: Client) -> None:
        for way in self.ways:
            for player, (who, socket, session) in list(way.live.items()):
                if who is client and socket == client.socket and client.place is not None:
                    way.up.append(nodes.Absent(client.place.room, player, session))
                    del way.live[player]
        client.withdraw()
        client.socket = 0

    async def step(  # noqa: C901, PLR0912 - a table of what may happen
        self, what: str, who: int, where: int
    ) -> None:
        client, way = self.clients[who], self.ways[where % 2]
        match what:
            case "say" | "whisper" | "end":
                client.say(b'[%d,"%s",%d]' % (client.last_n + 1, what.encode(), where))
            case "resume":
                if client.gone:  # another one sits down for him
                    self.retired.append(client)
                    client = self.clients[who] = Client(self, self.next_number())
                client.connect(way)
            case "carry":
                way.carry()
            case "carry-up":
                way.carry_up()
            case "run":
                await wait_all_tasks_blocked()
            case "lose":
                self.lose(client)
            case "break":
                self.sever(where % 2)
            case "wait":
                await trio.sleep(where + 0.5)
            case "wait-long":
                await trio.sleep(10 * where + 3)
            case "leave":
                if (mine := self.way_of(client)) is not None and client.place is not None:
                    session = mine.session_of(client)
                    mine.up.append(nodes.Leave(client.place.room, client.place.player, session))
            case "drain":
                if who == where == 0:
                    self.host.matchmaker.doors_open = False
                    self.host.drain(trio.current_time() + 1000)

    def has_seat(self, client: Client) -> bool:
        room = None if client.place is None else self.host.find(client.place.room)
        return room is not None and room.state.roster.find(client.place.player) is not None

    def check_seats(self) -> None:
        """Nobody is away whose socket is there."""
        for way in self.ways:
            for player, (client, socket, session) in way.live.items():
                if client.socket == socket and client.place is not None:
                    room = self.host.find(client.place.room)
                    seat = None if room is None else room.state.roster.find(player)
                    assert seat is None or seat.session != session or not seat.away

    async def settle(self) -> None:
        """Everybody comes back, and all that is under way arrives."""
        for client in self.clients:
            client.connect(self.ways[0])
        for _ in range(6):
            for way in self.ways:
                way.carry()
            await trio.sleep(0.5)  # an older socket that still stands is heard for so long

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
        had = world.had.get(player, [])
        assert had == said[: len(had)]
        assert client.acked <= client.last_n
        assert client.gone != "crashed"
        if not client.gone:
            assert client.got == addressed
            assert had == said
        elif client.gone == "finished":
            assert client.got == addressed


@pytest.mark.parametrize("seed", range(WALKS))
def test_each_gets_what_was_addressed_to_him_and_each_input_is_had_once_and_in_order(
    seed: int,
) -> None:
    rng = random.Random(seed)

    async def play() -> None:
        async with trio.open_nursery() as work:
            world = World(work)
            for client in world.clients[:3]:
                client.connect(world.ways[0])
            world.ways[0].carry()
            for _ in range(STEPS):
                what = rng.choice(OFTEN if rng.random() < 0.97 else SOMETIMES)
                await world.step(what, rng.randrange(4), rng.randrange(3))
                world.check_seats()
            await world.settle()
            check(world)
            work.cancel_scope.cancel()

    trio.run(play, clock=MockClock(autojump_threshold=0))
