"""Each side of a link gets each item once and in order, or a reset. No buffer grows for ever."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.abc
import trio.lowlevel
from trio.testing import MockClock

from lastcall.api.socket.cork import Cork
from lastcall.bus.base import Probe
from lastcall.bus.memory import Faults, MemoryBus, MemoryCaller, MemorySubscriber
from lastcall.core.edge.node_clocks import NodeClocks
from lastcall.core.link.secret import Secrets
from lastcall.errors import BusExhausted
from lastcall.game.admission import Admission
from lastcall.game.attachments import Attachments, GameIdentity, LinkListeners
from lastcall.game.feeds import WITH_ANSWER_BYTES, Feeds
from lastcall.game.links import Links
from lastcall.ids import Incarnation, KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.links import feed_reader
from lastcall.links.connector import (
    OURSELVES_SECONDS,
    CallerIdentity,
    ConnectorContext,
    GameConnector,
)
from lastcall.links.feed_reader import TURN_SECONDS, FeedReader
from lastcall.links.link import GameLink
from lastcall.links.link_counts import Loss
from lastcall.links.link_feed import ITEMS_AT_ONCE
from lastcall.policy import LinkPolicy
from lastcall.runtime.cluster_secret import no_secrets
from lastcall.runtime.turn_end import TurnEnd
from lastcall.wire import nodes

GAME, FEED = "tcp://game:1", "tcp://api:1"
ROOM, ANN = RoomId("r"), PlayerId("p")
POLICY = LinkPolicy()


def input_item(n: int) -> nodes.Say:
    return nodes.Say(room=ROOM, player=ANN, session=1, n=n, body=b"1")


def message(seq: int) -> nodes.Message:
    return nodes.Message(room=ROOM, epoch=0, seq=seq, body=b"1")


class ListenerRecorder:
    """Records the items of each link of an api node, and how each link ended."""

    def __init__(self) -> None:
        self.up: list[GameLink] = []
        self.seqs: dict[LinkId, list[int]] = {}
        self.losses: list[tuple[float, Loss]] = []
        self.phases: list[str] = []

    def link_up(self, link: GameLink) -> None:
        self.up.append(link)
        self.seqs.setdefault(link.id, [])

    def link_state(self, link: GameLink) -> None:
        self.phases.append("silent" if link.silent else link.state.phase)

    def link_item(self, link: GameLink, item: nodes.Down) -> None:
        if isinstance(item, nodes.Message):
            self.seqs[link.id].append(item.seq)

    def link_down(self, link: GameLink, loss: Loss) -> None:
        self.up.remove(link)
        self.losses.append((trio.current_time(), loss))


class HandlerRecorder:
    """The request handler of a game node; it only records the items of each link."""

    def __init__(self) -> None:
        self.received: dict[LinkId, list[int]] = {}
        self.dropped: list[LinkId] = []
        self.phase = "serving"
        self.revision = itertools.count(1)
        self._state = self._make_state()

    def _make_state(self) -> nodes.NodeState:
        seats = {KindName("k"): 0}
        return nodes.NodeState(next(self.revision), self.phase, rooms=0, seats=seats)

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        assert isinstance(item, nodes.Say)
        self.received.setdefault(link, []).append(item.n)

    def flush_acks(self) -> None:
        pass

    def drop_link(self, link: LinkId, _confirmed_until: float) -> None:
        self.dropped.append(link)

    def state(self) -> nodes.NodeState:
        if self._state.phase != self.phase:
            self._state = self._make_state()
        return self._state


class PeerRecorder:
    """The handler of peers' links on a game node."""

    def __init__(self) -> None:
        self.received: list[tuple[LinkId, nodes.Up]] = []
        self.dropped: list[LinkId] = []

    def handle(self, link: LinkId, item: nodes.Up) -> None:
        self.received.append((link, item))
        self.answer(link)

    def answer(self, link: LinkId) -> None:
        """A test may set it."""

    def flush_acks(self) -> None:
        pass

    def drop_link(self, link: LinkId, _confirmed_until: float) -> None:
        self.dropped.append(link)


class Game:
    """One game process with its own incarnation; ``crash`` ends it."""

    def __init__(
        self,
        bus: MemoryBus,
        incarnation: int,
        policy: LinkPolicy = POLICY,
        *,
        admission: Admission | None = None,
        links_max: int = 512,
    ) -> None:
        self.handler = HandlerRecorder()
        self.peers = PeerRecorder()
        me = GameIdentity(NodeName("game-1"), Incarnation(incarnation), "1", 0.0)
        self.bus = bus.node(f"game-{incarnation}")
        self.feeds = Feeds(policy, TurnEnd())
        attachments = Attachments(
            self.bus,
            me,
            policy,
            feeds=self.feeds,
            listeners=LinkListeners(self.handler, self.peers),
            state=self.handler.state,
            admission=admission or Admission(me.incarnation, rng=random.Random(2)),
            links_max=links_max,
        )
        self.links = Links(attachments, policy, feeds=self.feeds, state=self.handler.state)
        self.responder = self.bus.respond(GAME)
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        try:
            with self.scope:
                await self.links.run(self.responder)
        except* trio.ClosedResourceError:
            if not self.scope.cancel_called:  # a killed process reports nothing
                raise

    def inputs(self) -> dict[LinkId, list[int]]:
        """The numbers of the inputs that came by each link, of both tiers."""
        inputs = dict(self.handler.received)
        for link, item in self.peers.received:
            assert isinstance(item, nodes.Say)
            inputs.setdefault(link, []).append(item.n)
        return inputs

    def crash(self) -> None:
        self.scope.cancel()
        self.bus.crash()


class ApiBus(MemoryBus):
    """The bus of an api node; while ``exhausted``, the process has no file descriptors left."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.exhausted = False

    def subscribe(self, address: str) -> MemorySubscriber:
        return self._bus.subscribe(address)

    def caller(self, address: str) -> MemoryCaller:
        if self.exhausted:
            raise BusExhausted("cannot make one more socket: out of files")
        return self._bus.caller(address)

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        return await self._bus.probe(address, timeout_seconds)


class Pair:
    """One api node, and the game processes that follow each other at one address."""

    def __init__(
        self,
        nursery: trio.Nursery,
        bus: MemoryBus,
        rng: random.Random,
        listener: ListenerRecorder | None = None,
        *,
        secrets: Callable[[], Secrets] = no_secrets,
        tier: str = nodes.API,
    ) -> None:
        self.gone: list[Incarnation] = []
        self.nursery = nursery
        self.bus = bus
        self.listener = listener or ListenerRecorder()
        self.api_bus = ApiBus(bus.node("api"))
        self.feeds = FeedReader(self.api_bus.subscribe(FEED), Cork())
        attempts = itertools.count(1)
        context = ConnectorContext(
            bus=self.api_bus,
            secrets=secrets,
            me=CallerIdentity(NodeName("api-1"), Incarnation(77), "1", FEED, tier),
            feeds=self.feeds,
            listener=self.listener,
            policy=POLICY,
            rng=rng,
            attempts=attempts,
            met_twice=lambda _: False,
            clocks=NodeClocks(0.0, 0.0),
            gone=self.gone.append,
        )
        self.connector = GameConnector(GAME, context)
        self.api_scope = trio.CancelScope()
        nursery.start_soon(self.feeds.run)
        nursery.start_soon(self._run_connector)

    async def _run_connector(self) -> None:
        with self.api_scope:
            await self.connector.run()

    def start_game(self, incarnation: int, policy: LinkPolicy = POLICY) -> Game:
        game = Game(self.bus, incarnation, policy)
        self.nursery.start_soon(game.run)
        return game

    async def link(self) -> GameLink:
        with trio.fail_after(60):
            while not self.listener.up:
                await trio.sleep(0.01)
        return self.listener.up[0]


@asynccontextmanager
async def pair(
    faults: Faults | None = None,
    seed: int = 0,
    listener: ListenerRecorder | None = None,
    tier: str = nodes.API,
) -> AsyncIterator[Pair]:
    async with trio.open_nursery() as nursery:
        yield Pair(nursery, MemoryBus(faults), random.Random(seed), listener, tier=tier)
        nursery.cancel_scope.cancel()


async def settle(seconds: float = 0.1) -> None:
    await trio.sleep(seconds)


async def test_a_link_carries_items_both_ways_in_order(autojump_clock: MockClock) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        for n in range(1, 1001):
            link.send(input_item(n))
            game.feeds.push(link.id, message(n))
        await settle()
        assert game.handler.received[link.id] == list(range(1, 1001))
        assert both.listener.seqs[link.id] == list(range(1, 1001))


@pytest.mark.parametrize("items", [3, 1000], ids=["few", "more than at once"])
@pytest.mark.parametrize("seed", range(10))
async def test_items_that_arrive_before_a_link_is_up_wait_for_it(
    seed: int, items: int, autojump_clock: MockClock
) -> None:
    """They come with the feed's first batch, which may overtake the welcome."""
    slow = Faults(rng=random.Random(seed), delay_seconds=0.1)
    async with pair(slow, seed) as both:
        game = both.start_game(1)
        while not game.feeds.links:
            await trio.sleep(0.001)
        (link,) = game.feeds.links
        for n in range(1, items + 1):
            game.feeds.push(link, message(n))
        await settle(1)
        assert both.listener.seqs == {link: list(range(1, items + 1))}


def limit_turns(monkeypatch: pytest.MonkeyPatch, items: int) -> None:
    """Sets the clock of the feed reader so that a turn has time for ``items`` + 1 items."""
    calls = itertools.count()
    monkeypatch.setattr(feed_reader, "perf_counter", lambda: next(calls) * TURN_SECONDS / items)


@pytest.mark.parametrize("items", [1, 10])
async def test_items_that_do_not_fit_into_a_turn_are_passed_on_in_the_next(
    items: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        limit_turns(monkeypatch, items)
        steps = ItemsPerStep(both.listener, link)
        trio.lowlevel.add_instrument(steps)
        for n in range(1, 1001):
            game.feeds.push(link.id, message(n))
        await settle()
        trio.lowlevel.remove_instrument(steps)
        assert both.listener.seqs[link.id] == list(range(1, 1001))
        assert 1 <= max(steps.sizes) <= items + 1
        assert not both.feeds._feeds[link.id].more


async def test_items_that_waited_for_a_gap_are_passed_on_in_bounded_batches(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        await settle()
        first = game.feeds.links[link.id].ring.head + 1
        seqs = both.listener.seqs[link.id]
        later = [message(n) for n in range(2, 1001)]
        feed = both.feeds._feeds[link.id]
        feed.receive(nodes.FeedBatch(link.id, first + 1, later, 50), lambda: False)
        assert not seqs
        feed.receive(nodes.FeedBatch(link.id, first, [message(1)], 50), lambda: False)
        assert len(seqs) == ITEMS_AT_ONCE
        while feed.more:
            feed.receive(nodes.FeedBatch(link.id, 0, [], 50), lambda: False)
        assert seqs == list(range(1, 1001))


class ItemsPerStep(trio.abc.Instrument):
    """Records how many items of a link each task step has passed on."""

    def __init__(self, listener: ListenerRecorder, link: GameLink) -> None:
        self.seqs = listener.seqs[link.id]
        self.count = len(self.seqs)
        self.sizes: list[int] = []

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.sizes.append(len(self.seqs) - self.count)
        self.count = len(self.seqs)


async def test_an_item_that_is_not_urgent_leaves_with_the_next_urgent_one_or_the_heartbeat(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        await settle(POLICY.heartbeat_seconds * 0.9)  # the first states are confirmed by then
        link.send(input_item(1), pressing=False)
        await settle(POLICY.heartbeat_seconds * 0.05)
        assert game.handler.received == {}
        link.send(input_item(2))
        await settle(POLICY.heartbeat_seconds * 0.02)
        assert game.handler.received[link.id] == [1, 2]
        link.send(input_item(3), pressing=False)
        await settle(POLICY.heartbeat_seconds)
        assert game.handler.received[link.id] == [1, 2, 3]


async def test_an_item_that_is_not_urgent_is_sent_before_the_api_node_detaches(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        await settle(POLICY.heartbeat_seconds * 0.9)
        link.send(input_item(1), pressing=False)
        both.api_scope.cancel()
        await settle()
        assert game.handler.received == {link.id: [1]}
        assert game.handler.dropped == [link.id]


async def test_a_game_node_that_starts_5_s_later_is_attached(autojump_clock: MockClock) -> None:
    async with pair() as both:
        await trio.sleep(5)
        assert not both.listener.up
        both.start_game(1)
        await settle(1.5)
        assert len(both.listener.up) == 1


async def test_an_idle_feed_is_confirmed_within_one_heartbeat(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        game.feeds.push(link.id, message(1))
        start = trio.current_time()
        await game.feeds.wait_confirmed()
        assert trio.current_time() - start <= POLICY.heartbeat_seconds


async def test_the_end_of_a_room_is_confirmed_at_once(autojump_clock: MockClock) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        await settle(0.2)
        game.feeds.push(link.id, nodes.Ended(room=ROOM, epoch=0, reason="finished"))
        start = trio.current_time()
        await game.feeds.wait_confirmed()
        assert trio.current_time() == start


async def test_the_link_to_a_killed_game_node_is_lost_as_soon_as_its_address_refuses(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        await both.link()
        game.crash()
        start = trio.current_time()
        await trio.sleep(1.5)
        assert [loss for _, loss in both.listener.losses] == [Loss.GONE]
        assert both.listener.losses[0][0] - start <= 1.0
        assert set(both.gone) == {1}


async def test_a_process_that_calls_itself_is_not_attached_and_does_not_ask_again_for_30_s(
    autojump_clock: MockClock,
) -> None:
    class CountingBus(MemoryBus):
        calls = 0

        def caller(self, address: str) -> MemoryCaller:
            CountingBus.calls += 1
            return super().caller(address)

    async with trio.open_nursery() as nursery:
        both = Pair(nursery, MemoryBus(), random.Random(0), tier=nodes.GAME)
        both.connector._bus = CountingBus(net=both.bus._net, owner="api")
        game = both.start_game(77)
        await trio.sleep(OURSELVES_SECONDS * 3)
        assert (both.listener.up, game.feeds.links, both.connector.trouble) == ([], {}, "")
        assert CountingBus.calls in {3, 4}
        nursery.cancel_scope.cancel()


async def test_the_link_is_lost_when_another_process_answers_at_the_address(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        first = both.start_game(1)
        await both.link()
        first.crash()
        second = both.start_game(2)
        await settle(1)
        assert [loss for _, loss in both.listener.losses] == [Loss.GONE]
        link = await both.link()
        assert link.node.incarnation == 2
        assert second.handler.received == {}


async def test_a_frozen_game_node_is_silent_after_3_s_and_lost_after_6_s(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        both.start_game(1)
        await both.link()
        await settle(0.6)
        both.bus.freeze("game-1")
        start = trio.current_time()
        await trio.sleep(4)
        assert both.listener.phases[-1] == "silent"
        assert both.listener.losses == []
        await trio.sleep(4)
        [(at, loss)] = both.listener.losses
        assert loss is Loss.LOST
        assert both.gone == []
        assert 5.5 <= at - start <= 7.0


async def test_a_machine_that_swallows_all_packets_is_silent_after_3_s_and_lost_after_6_s(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each probe ends a little late, as real ones do."""
    probe = MemoryBus.probe

    async def probe_late(bus: MemoryBus, address: str, timeout_seconds: float) -> Probe:
        found = await probe(bus, address, timeout_seconds)
        await trio.sleep(0.01)
        return found

    monkeypatch.setattr(MemoryBus, "probe", probe_late)
    async with pair() as both:
        both.start_game(1)
        await both.link()
        await settle(0.6)
        both.bus.break_link(GAME)
        start = trio.current_time()
        await trio.sleep(4)
        assert both.listener.phases[-1] == "silent"
        assert both.listener.losses == []
        await trio.sleep(4)
        [(at, loss)] = both.listener.losses
        assert loss is Loss.LOST
        assert 5.5 <= at - start <= 7.0


async def test_a_game_node_that_is_frozen_for_2_s_loses_nothing(autojump_clock: MockClock) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        both.bus.freeze("game-1")
        for n in range(1, 101):
            link.send(input_item(n))
        await trio.sleep(2)
        both.bus.heal("game-1")
        await settle(2)
        assert game.handler.received[link.id] == list(range(1, 101))
        assert both.listener.losses == []


async def test_an_api_node_that_is_silent_for_3_s_is_dropped_and_attaches_again(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        both.bus.break_link("api")
        await trio.sleep(4)
        assert game.handler.dropped == [link.id]
        both.bus.heal("api")
        await trio.sleep(3)
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET]
        assert (await both.link()).id != link.id


async def test_a_link_is_reset_when_its_api_node_falls_behind_by_more_than_the_ring(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1, LinkPolicy(ring_items=100, ring_items_max=100))
        link = await both.link()
        both.bus.break_link("api")
        for seq in range(1, 102):
            game.feeds.push(link.id, message(seq))
        await settle()
        assert game.handler.dropped == [link.id]
        both.bus.heal("api")
        await trio.sleep(2)
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET]


async def test_an_api_node_that_stops_detaches_at_once(autojump_clock: MockClock) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        start = trio.current_time()
        both.api_scope.cancel()
        await settle(0.05)
        assert game.handler.dropped == [link.id]
        assert both.listener.losses == [(start, Loss.DETACHED)]


async def test_the_link_to_a_stopped_game_node_ends_when_all_its_messages_have_arrived(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        game.feeds.push(link.id, message(1))
        game.handler.phase = "stopped"
        game.feeds.mark_all()
        await game.feeds.wait_confirmed()
        game.crash()
        await settle(1)
        assert both.listener.seqs[link.id] == [1]
        assert [loss for _, loss in both.listener.losses] == [Loss.FAREWELL]


async def test_a_delayed_attach_cannot_displace_a_later_one(autojump_clock: MockClock) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        late = nodes.Attach(
            wire=1,
            link=LinkId(5),
            attempt=0,
            api=NodeName("api-1"),
            incarnation=Incarnation(77),
            feed=FEED,
        )
        caller = both.bus.caller(GAME)
        reply = nodes.decode_reply(await caller.call(nodes.encode(late)))
        assert isinstance(reply, nodes.UnknownLink)
        link.send(input_item(1))
        await settle()
        assert game.handler.received[link.id] == [1]


async def test_a_node_beyond_the_limit_of_links_is_refused_and_told_which_limit_it_is(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = Game(both.bus, 1, links_max=1)
        both.nursery.start_soon(game.run)
        link = await both.link()
        second = nodes.Attach(
            wire=1,
            link=LinkId(5),
            attempt=1,
            api=NodeName("api-2"),
            incarnation=Incarnation(78),
            feed="tcp://api-2:7001",
        )
        reply = nodes.decode_reply(await both.bus.caller(GAME).call(nodes.encode(second)))
        assert isinstance(reply, nodes.Unsupported)
        assert "as its [limits] links allows: 1" in reply.message
        assert list(game.feeds.links) == [link.id]


@pytest.mark.parametrize("request_bytes", [b"\xc1", b"GET / HTTP/1.1\r\n\r\n", b"\x81\xa1t\xa1z"])
async def test_an_unknown_request_at_the_rpc_port_is_answered_and_changes_nothing(
    request_bytes: bytes, autojump_clock: MockClock
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        reply = nodes.decode_reply(await both.bus.caller(GAME).call(request_bytes))
        assert isinstance(reply, nodes.Unsupported)
        both.bus.publisher(FEED).publish(request_bytes)
        link.send(input_item(1))
        game.feeds.push(link.id, message(1))
        await settle()
        assert game.handler.received[link.id] == [1]
        assert both.listener.seqs[link.id] == [1]


def up_to(count: int) -> list[int]:
    return list(range(1, count + 1))


class FaultyTraffic:
    """Both sides send items without pause while faults are injected into the bus."""

    def __init__(self, both: Pair, rng: random.Random) -> None:
        self.both = both
        self.rng = rng
        self.games = [both.start_game(1)]
        self.sent: Counter[LinkId] = Counter()
        self.pushed: Counter[tuple[Game, LinkId]] = Counter()

    def send_items(self) -> None:
        game = self.games[-1]
        for link in self.both.listener.up:
            for _ in range(self.rng.randrange(4)):
                self.sent[link.id] += 1
                link.send(input_item(self.sent[link.id]))
            for _ in range(self.rng.randrange(4)):
                self.pushed[game, link.id] += 1
                game.feeds.push(link.id, message(self.pushed[game, link.id]))

    def inject_fault(self) -> None:
        match self.rng.randrange(40):
            case 0:
                self.both.bus.break_link(self.rng.choice(["api", self._alive]))
            case 1 | 2:
                self.heal()
            case 3 if len(self.games) < 4:
                self.games[-1].crash()
                self.games.append(self.both.start_game(len(self.games) + 1))

    def heal(self) -> None:
        self.both.bus.heal("api")
        self.both.bus.heal(self._alive)

    @property
    def _alive(self) -> str:
        return f"game-{len(self.games)}"


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("seed", range(40))
async def test_with_any_bus_faults_items_arrive_once_and_in_order_or_the_link_is_reset(
    seed: int, limited: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faults: drops, repeats, delays, reordering, cuts, new processes, turns without time."""
    if limited:
        limit_turns(monkeypatch, 2)
    rng = random.Random(seed)
    faults = Faults(
        rng=random.Random(seed + 1),
        drop=rng.choice([0, 0.1, 0.5]),
        repeat_request=rng.choice([0, 0.3]),
        repeat_publish=rng.choice([0, 0.3]),
        delay_seconds=rng.choice([0, 0.01, 0.1]),
        reorder_publish=rng.random() < 0.5,
    )
    tier = rng.choice([nodes.API, nodes.GAME])
    async with pair(faults, seed, tier=tier) as both:
        traffic = FaultyTraffic(both, rng)
        for _ in range(150):
            await trio.sleep(rng.uniform(0, 0.1))
            traffic.send_items()
            traffic.inject_fault()
        both.bus.faults = Faults()
        traffic.heal()
        await trio.sleep(20)

        for game in traffic.games:
            for numbers in game.inputs().values():
                assert numbers == up_to(len(numbers))
        for seqs in both.listener.seqs.values():
            assert seqs == up_to(len(seqs))
        [link] = both.listener.up
        alive = traffic.games[-1]
        assert alive.inputs().get(link.id, []) == up_to(traffic.sent[link.id])
        assert both.listener.seqs[link.id] == up_to(traffic.pushed[alive, link.id])
        assert len(alive.feeds.links) == 1
        with trio.fail_after(1):
            await alive.feeds.wait_confirmed()


@pytest.mark.parametrize(
    ("tier", "size", "with_answer"),
    [
        (nodes.GAME, WITH_ANSWER_BYTES // 2, True),
        (nodes.GAME, WITH_ANSWER_BYTES, False),  # the item has a head, too
        (nodes.API, 10, False),  # its rooms are to speak first
    ],
)
async def test_what_a_game_node_asks_is_answered_by_one_message(
    tier: str, size: int, with_answer: bool, autojump_clock: MockClock
) -> None:
    async with pair(tier=tier) as both:
        game = both.start_game(1)
        link = await both.link()
        await settle(2)  # the feed has arrived, and that is confirmed
        both.bus.faults = Faults(rng=random.Random(1), drop=1)

        def answer(link: LinkId) -> None:
            game.feeds.push(link, nodes.Message(room=ROOM, epoch=0, seq=1, body=b"1" * size))

        game.peers.answer = answer  # type: ignore[method-assign]
        if tier == nodes.API:
            answer(link.id)
        link.send(input_item(1))
        await settle()
        assert game.inputs()[link.id] == [1]
        assert both.listener.seqs[link.id] == ([1] if with_answer else [])
        both.bus.faults = Faults()
        await settle(2)
        assert both.listener.seqs[link.id] == [1]


async def test_a_feed_that_has_not_arrived_yet_does_not_go_with_an_answer(
    autojump_clock: MockClock,
) -> None:
    """Else nobody would see that it cannot arrive."""
    async with pair(Faults(rng=random.Random(1), drop=1), tier=nodes.GAME) as both:
        game = both.start_game(1)
        await settle(2)
        [link] = game.feeds.links.values()
        assert link.requests.last > 0
        game.feeds.push(link.id, message(1))
        assert link.take_small() == b""
        game.feeds.confirm(link, 1, trio.current_time())
        assert link.take_small() != b""


async def test_more_than_a_batch_does_not_go_with_an_answer(autojump_clock: MockClock) -> None:
    async with pair(tier=nodes.GAME) as both:
        game = both.start_game(1, LinkPolicy(batch_bytes=200))
        await both.link()
        await settle(2)
        [link] = game.feeds.links.values()
        for seq in range(1, 11):
            game.feeds.push(link.id, message(seq))
        assert link.take_small() == b""
        await settle()
        assert both.listener.seqs[link.id] == up_to(10)


async def test_a_reply_that_is_later_than_the_farewell_does_not_end_the_link(
    autojump_clock: MockClock,
) -> None:
    """Else the game node would wait in vain until its farewell is confirmed."""
    async with pair() as both:
        both.start_game(1)
        link = await both.link()
        await settle(2)
        late = nodes.Answer(link.id, 1, head=link.uplink.confirmed, state=link.state)
        stopped = nodes.NodeState(link.state.revision + 1, "stopped", rooms=0, seats={})
        item = msgspec.Raw(nodes.encode(stopped))
        both.feeds.hear(nodes.encode(nodes.FeedRun(link.id, link.receiver.arrived + 1, [item])))
        assert link.state.phase == "stopped"
        link._take(both.feeds.hear, late, trio.current_time())
        assert link.loss is None


async def test_a_feed_that_cannot_be_dialled_is_dropped_and_does_not_delay_a_drain(
    autojump_clock: MockClock,
) -> None:
    """After a wrong ``--advertise``, requests are answered but the feed never arrives."""
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        both.bus.faults.drop = 1.0
        game.feeds.push(link.id, message(1))
        game.handler.phase = "draining"
        start = trio.current_time()
        await game.feeds.wait_confirmed()
        assert 3 <= trio.current_time() - start <= 4
        assert game.handler.dropped == [link.id]
        await trio.sleep(1)
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET]


async def test_a_link_whose_feed_makes_no_progress_is_reset_after_6_s(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        both.bus.faults.drop = 1.0
        start = trio.current_time()
        game.feeds.push(link.id, message(1))
        await trio.sleep(8)
        [(at, loss)] = both.listener.losses
        assert loss is Loss.RESET
        assert 5.5 <= at - start <= 7


async def test_constant_traffic_does_not_delay_a_drain_that_waits_for_confirmation(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        async with trio.open_nursery() as nursery:

            async def send_items() -> None:
                for seq in itertools.count(1):
                    link.send(input_item(seq))
                    game.feeds.push(link.id, message(seq))
                    await trio.sleep(0.001)

            nursery.start_soon(send_items)
            await trio.sleep(0.1)
            start = trio.current_time()
            await game.feeds.wait_confirmed()
            assert trio.current_time() - start <= POLICY.heartbeat_seconds
            nursery.cancel_scope.cancel()


async def test_a_node_with_two_addresses_is_attached_once(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        alias = nodes.Attach(
            wire=1,
            link=LinkId(5),
            attempt=99,
            api=NodeName("api-1"),
            incarnation=Incarnation(77),
            feed=FEED,
        )
        reply = nodes.decode_reply(await both.bus.caller(GAME).call(nodes.encode(alias)))
        assert isinstance(reply, nodes.Twice)
        link.send(input_item(1))
        await settle()
        assert game.handler.received[link.id] == [1]
        assert both.listener.losses == []


async def test_an_item_over_the_transports_limit_resets_its_link_but_not_the_node(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        huge = nodes.Message(room=ROOM, epoch=0, seq=1, body=b"x" * (5 << 20))
        game.feeds.push(link.id, huge)
        await settle(3)
        assert game.handler.dropped == [link.id]
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET]
        again = await both.link()
        game.feeds.push(again.id, message(1))
        await settle()
        assert both.listener.seqs[again.id] == [1]


async def test_a_process_without_file_descriptors_tries_again_and_does_not_exit(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        both.api_bus.exhausted = True
        both.start_game(1)
        await trio.sleep(5)
        assert both.listener.up == []
        both.api_bus.exhausted = False
        await settle(1.5)
        assert len(both.listener.up) == 1


async def test_an_address_where_nobody_listens_is_probed_and_not_dialled(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        both.api_bus.exhausted = True  # it raises at each dial
        await trio.sleep(5)
        start = trio.current_time()
        both.api_bus.exhausted = False
        both.start_game(1)
        await both.link()
        assert trio.current_time() - start <= 1.2


class BrokenListener(ListenerRecorder):
    """A listener that raises once when a state arrives: a bug inside the link's own task."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    def link_state(self, _link: GameLink) -> None:
        if self.broken:
            self.broken = False
            raise RuntimeError("a fault")


async def test_an_error_in_the_listener_resets_the_link_and_does_not_lose_its_rooms(
    autojump_clock: MockClock,
) -> None:
    broken = BrokenListener()
    async with pair(listener=broken) as both:
        game = both.start_game(1)
        await both.link()
        broken.broken = True
        game.handler.phase = "draining"
        await settle(2)
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET]
        assert len(both.listener.up) == 1


async def test_a_reset_link_keeps_its_unsent_items_and_omits_the_answered_ones(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        link.send(input_item(1))
        await settle()
        both.bus.freeze("game-1")
        link.send(input_item(2))
        await settle()
        link.send(input_item(3))
        await settle()
        link.reset()
        await settle()
        assert game.handler.received[link.id] == [1]
        assert link.loss is Loss.RESET
        assert link.unsent == [input_item(2), input_item(3)]
        link.send(input_item(4))
        assert link.unsent == [input_item(2), input_item(3)]  # one that has ended takes no more


async def test_an_item_sent_to_a_link_during_its_reset_is_kept_as_unsent(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        both.start_game(1)
        link = await both.link()
        link.reset()
        link.send(input_item(1))  # the sender cannot know of the reset yet
        await settle()
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET]
        assert link.unsent == [input_item(1)]


async def test_an_address_that_is_no_longer_listed_is_attached_after_a_reset_but_not_after_a_loss(
    autojump_clock: MockClock,
) -> None:
    """A name server drops a node that drains, but its rooms still exist."""
    async with pair() as both:
        game = both.start_game(1)
        link = await both.link()
        both.connector.wanted = False
        link.reset()
        await settle(0.5)
        again = await both.link()
        assert again.id != link.id
        game.crash()
        await settle(1)
        both.start_game(2)
        await settle(10)
        assert both.listener.up == []
        assert [loss for _, loss in both.listener.losses] == [Loss.RESET, Loss.GONE]


async def test_an_address_is_empty_if_it_refuses_but_not_if_it_is_silent(
    autojump_clock: MockClock,
) -> None:
    async with pair() as both:
        await settle(0.1)
        assert both.connector.empty
        game = both.start_game(1)
        await both.link()
        assert not both.connector.empty
        both.bus.break_link("api")
        await settle(10)
        assert both.listener.up == []
        assert not both.connector.empty
        both.bus.heal("api")
        await both.link()
        game.crash()
        await settle(2)
        assert both.connector.empty
