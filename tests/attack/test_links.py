"""A stranger at a port for nodes, or on a link of their own, does nothing that others notice."""

from __future__ import annotations

import random
import time

import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall.bus.memory import MemoryBus, MemoryPublisher
from lastcall.core.link.feed_address import parse_apis
from lastcall.errors import RemoteProtocolError
from lastcall.game.admission import Admission
from lastcall.ids import Incarnation, LinkId, NodeName
from lastcall.peer import Peer
from lastcall.wire import nodes
from tests.links.test_links import FEED, GAME, POLICY, Game, Pair, input_item, message

JOIN = nodes.Join(call=1)


class DialledBus(MemoryBus):
    """Records what a game node dials."""

    def __init__(self) -> None:
        super().__init__()
        self.dialled: list[tuple[str, str]] = []

    def node(self, _name: str) -> DialledBus:
        return self

    def publisher(self, address: str, tls_name: str = "") -> MemoryPublisher:
        self.dialled.append((address, tls_name))
        return super().publisher(address)


class Attacked:
    """A game node that a stranger reaches from ``peer``."""

    def __init__(self, nursery: trio.Nursery, peer: Peer | None, apis: str = "") -> None:
        self.bus = DialledBus()
        me, allowed = Incarnation(4), parse_apis(apis)
        game = Game(self.bus, me, admission=Admission(me, rng=random.Random(1), apis=allowed))
        self.handler, self.feeds = game.handler, game.feeds
        game.responder.peer = peer
        self.caller = self.bus.caller(GAME)
        nursery.start_soon(game.run)

    async def ask(self, request: nodes.Request | bytes) -> nodes.Reply:
        data = request if isinstance(request, bytes) else nodes.encode(request)
        return nodes.decode_reply(await self.caller.call(data))

    async def attach(self, feed: str, link: int = 7) -> nodes.Reply:
        return await self.ask(
            nodes.Attach(
                wire=nodes.WIRE,
                link=LinkId(link),
                attempt=1,
                api=NodeName("stranger"),
                incarnation=Incarnation(link),
                feed=feed,
            )
        )


@pytest.mark.parametrize(
    "feed",
    [
        "ipc:///run/docker.sock",
        "inproc://x",
        "ws://10.0.0.9:80",
        "tls+tcp://10.0.0.9:443",
        "tcp://169.254.169.254:80",
        "tcp://127.0.0.1:6379",
        "tcp://[::1]:6379",
        "tcp://10.0.0.8:0",
        "tcp://*:1",
        "tcp://0.0.0.0:1",
        "nonsense",
    ],
)
async def test_an_attach_makes_the_node_dial_nothing_but_its_sender(
    autojump_clock: MockClock, feed: str
) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, Peer("10.0.0.9"))
        assert isinstance(await game.attach(feed), nodes.Unsupported)
        assert game.bus.dialled == []
        assert game.feeds.links == {}
        assert isinstance(await game.attach("tcp://10.0.0.9:7001"), nodes.Welcome)
        assert game.bus.dialled == [("tcp://10.0.0.9:7001", "10.0.0.9")]
        nursery.cancel_scope.cancel()


async def test_a_stranger_who_attaches_without_end_does_not_fill_the_log(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, Peer("10.0.0.9"))
        with capture_logs() as logs:
            for number in range(10, 1_010):
                welcome = await game.attach("tcp://10.0.0.9:7001", number)
                assert isinstance(welcome, nodes.Welcome)
                await game.ask(nodes.Detach(link=LinkId(number)))
        events = [line["event"] for line in logs]
        assert {one: events.count(one) for one in set(events)} == {
            "link.attached": 200,
            "link.dropped": 200,
            "link.not_logged": 5,
        }
        nursery.cancel_scope.cancel()


async def test_the_feeds_of_listed_networks_are_dialled_from_behind_a_translation(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, Peer("172.17.0.1"), apis="10.8.0.0/16, api.example")
        assert isinstance(await game.attach("tcp://10.8.1.1:7001"), nodes.Welcome)
        assert isinstance(await game.attach("tcp://api.example:7001", 8), nodes.Welcome)
        assert isinstance(await game.attach("tcp://10.9.1.1:7001", 9), nodes.Unsupported)
        assert [url for url, _ in game.bus.dialled] == [
            "tcp://10.8.1.1:7001",
            "tcp://api.example:7001",
        ]
        nursery.cancel_scope.cancel()


class Resolver(trio.abc.HostnameResolver):
    """Knows ``names``; any other takes for ever. Set for this run of trio alone."""

    def __init__(self, **names: str) -> None:
        self.names = names
        self.asked: list[str] = []
        trio.socket.set_custom_hostname_resolver(self)

    async def getaddrinfo(  # type: ignore[override]
        self, host: bytes, *_: object, **__: object
    ) -> list[object]:
        name = host.decode()
        self.asked.append(name)
        if name not in self.names:
            await trio.sleep_forever()
        return [(2, 1, 6, "", (self.names[name], 0))]

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        raise NotImplementedError


async def attach_until_known(game: Attacked, feed: str, link: int = 7) -> nodes.Reply:
    """Attaches again for as long as the node wants that."""
    reply = await game.attach(feed, link)
    while isinstance(reply, nodes.Unsupported) and reply.retry:
        await trio.sleep(0.1)
        reply = await game.attach(feed, link)
    return reply


async def test_a_feed_at_a_name_is_dialled_by_the_address_that_was_checked(
    autojump_clock: MockClock,
) -> None:
    """A name that resolves to something else later leads nowhere else."""
    resolver = Resolver(api="10.0.0.9", other="10.0.0.8")
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, Peer("10.0.0.9"))
        assert isinstance(await attach_until_known(game, "tcp://api:7001"), nodes.Welcome)
        assert game.bus.dialled == [("tcp://10.0.0.9:7001", "api")]
        refused = await attach_until_known(game, "tcp://other:7001", 8)
        assert isinstance(refused, nodes.Unsupported)
        assert len(game.bus.dialled) == 1
        assert resolver.asked == ["api", "other"]
        nursery.cancel_scope.cancel()


async def test_names_of_strangers_that_take_for_ever_delay_an_honest_one_by_seconds(
    autojump_clock: MockClock,
) -> None:
    """4 are looked up at once, for 2 s each; 16 wait; the others have to be asked for again."""
    resolver = Resolver(api="10.0.0.9")
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, Peer("10.0.0.9"))
        for number in range(1_000):
            reply = await game.attach(f"tcp://stranger-{number}:1", link=number + 10)
            assert isinstance(reply, nodes.Unsupported)
            assert reply.retry
        start = trio.current_time()
        assert isinstance(await attach_until_known(game, "tcp://api:7001"), nodes.Welcome)
        assert trio.current_time() - start < 2 * (20 / 4 + 1)
        assert len(resolver.asked) <= 4 + 16 + 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("link", [0, -1])
async def test_a_link_without_an_id_is_refused(autojump_clock: MockClock, link: int) -> None:
    """0 stands for the link of players who are away."""
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, None)
        assert isinstance(await game.attach(FEED, link), nodes.Unsupported)
        nursery.cancel_scope.cancel()


async def test_a_request_with_too_many_items_is_refused_as_a_whole(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, None)
        assert isinstance(await game.attach(FEED), nodes.Welcome)
        items: list[nodes.Up] = [input_item(n) for n in range(1, nodes.ITEMS_MAX + 2)]
        with capture_logs() as logs:
            reply = await game.ask(nodes.Batch(LinkId(7), 1, 0, items=items))
        assert isinstance(reply, nodes.Unsupported)
        assert game.handler.received == {}
        assert [line["event"] for line in logs] == ["link.unreadable_request"]
        assert isinstance(
            await game.ask(nodes.Batch(LinkId(7), 1, 0, items=items[:-1])), nodes.Answer
        )
        assert len(game.handler.received[LinkId(7)]) == nodes.ITEMS_MAX
        nursery.cancel_scope.cancel()


async def test_an_api_node_never_sends_more_items_than_a_game_node_takes(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        pair = Pair(nursery, MemoryBus(), random.Random(1))
        game = pair.start_game(4)
        link = await pair.link()
        for n in range(1, 3 * nodes.ITEMS_MAX):
            link.send(
                nodes.Say(
                    room=message(1).room, player=input_item(1).player, session=1, n=n, body=b""
                )
            )
        await trio.sleep(5)
        assert game.handler.received[link.id] == list(range(1, 3 * nodes.ITEMS_MAX))
        assert pair.listener.losses == []
        nursery.cancel_scope.cancel()


NESTED = b"\x82\xa1t\xa5batch\xa5items" + b"\x91" * 100_000
BAD_REQUESTS = {
    "nested": NESTED,
    "ranges": nodes.encode(
        {"t": "batch", "link": 7, "number": 1, "confirmed": 0, "missing": [(1, 2)] * 65}
    ),
    "unknown items": nodes.encode(
        {"t": "batch", "link": 7, "number": 1, "confirmed": 0, "items": [{"t": "?"}] * 200_000}
    ),
    "an array that is not there": b"\x82\xa1t\xa5batch\xa5items\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_no_bytes_of_a_stranger_hold_the_loop(autojump_clock: MockClock, name: str) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, None)
        start = time.process_time()
        assert isinstance(await game.ask(BAD_REQUESTS[name]), nodes.Unsupported)
        assert time.process_time() - start < 0.1
        nursery.cancel_scope.cancel()


async def test_unreadable_requests_are_logged_in_a_few_lines(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, None)
        with capture_logs() as logs:
            for _ in range(200):
                await game.ask(b"what?")
        assert len(logs) == 5
        assert {line["log_level"] for line in logs} == {"warning"}
        nursery.cancel_scope.cancel()


async def test_unreadable_feed_messages_are_logged_in_a_few_lines_and_unknown_links_ignored(
    autojump_clock: MockClock,
) -> None:
    bus = MemoryBus()
    async with trio.open_nursery() as nursery:
        pair = Pair(nursery, bus, random.Random(1))
        pair.start_game(4)
        link = await pair.link()
        stranger = bus.publisher(FEED)
        with capture_logs() as logs:
            for _ in range(200):
                stranger.publish(b"what?")
            for guess in range(1, 200):
                item = msgspec.Raw(nodes.encode(message(1)))
                stranger.publish(nodes.encode(nodes.FeedRun(LinkId(guess), 2, [item])))
            await wait_all_tasks_blocked()
            await trio.sleep(1)
        assert [line["event"] for line in logs] == ["feed.unreadable"] * 5
        assert pair.listener.seqs[link.id] == []
        nursery.cancel_scope.cancel()


async def test_a_request_for_every_item_of_a_full_ring_64_times_takes_little(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        game = Attacked(nursery, None)
        await game.attach(FEED)
        ring = game.feeds.links[LinkId(7)].ring
        last = POLICY.ring_items
        while ring.head < last:
            ring.push(b"x" * 3)
        assert sum(len(items) for _, items in ring.fresh(POLICY.batch_bytes))
        for first in (1, last - 100):
            start = time.process_time()
            sent = ring.again([(first, last)] * nodes.RANGES_MAX, POLICY.batch_bytes)
            assert time.process_time() - start < 0.2
            size = sum(len(item) for _, items in sent for item in items)
            assert size < POLICY.batch_bytes + len(b"xxx")
        nursery.cancel_scope.cancel()


def test_a_join_of_a_stranger_is_read_at_most_4_096_times_a_request() -> None:
    with pytest.raises(RemoteProtocolError, match="4096"):
        nodes.decode_request(nodes.encode(nodes.Batch(LinkId(7), 1, 0, items=[JOIN] * 60_000)))
