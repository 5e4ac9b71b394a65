"""Game nodes that know each other: who is there, what they say, and how they leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.game.peers import Answered, Asked, Peers
from lastcall.ids import Incarnation, KindName, RoomId
from lastcall.kind import Kind
from lastcall.links.link_counts import Loss
from lastcall.policy import DrainPolicy
from lastcall.wire import nodes
from tests.api.fake_links import FakeGameLink
from tests.harness.cluster import EXAMPLES, Cluster, GameProcess, cluster
from tests.harness.player import Player

in_any_order = pytest.mark.usefixtures("schedule")

FOUND_SECONDS = 3.0
"""A name is asked for again after 2 s, and an address that refuses after 1 s at most."""
ROOM = RoomId("game-1.r")
Event = tuple[object, ...]


class Recorder:
    """Records what a game node learns of others; answers each release, if ``answers``."""

    def __init__(self, game: GameProcess, *, answers: bool = True) -> None:
        self.game = game
        self.answers = answers
        self.events: list[Event] = []
        game.node.others.handlers[:] = [self]

    def asked(self, peer: Incarnation, item: Asked) -> None:
        if isinstance(item, nodes.OfRoom):
            return  # rooms survive meanwhile
        self.events.append(("asked", peer, item))
        if self.answers:
            self.game.node.others.requests.answer(peer, nodes.Released(item.room, item.epoch))

    def answered(self, peer: Incarnation, item: Answered) -> None:
        if not isinstance(item, nodes.OfRoom):
            self.events.append(("answered", peer, item))

    def peer_up(self, peer: Incarnation) -> None:
        self.events.append(("up", peer))

    def peer_down(self, peer: Incarnation, loss: Loss) -> None:
        self.events.append(("down", peer, loss))

    def peer_gone(self, peer: Incarnation) -> None:
        self.events.append(("gone", peer))

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events


@contextmanager
def no_complaints() -> Iterator[None]:
    """Nothing inside the block logs a warning or an error."""
    with capture_logs() as logs:
        yield
    assert [line for line in logs if line["log_level"] not in {"info", "debug"}] == []


async def linked(
    c: Cluster,
    *names: str,
    drain: DrainPolicy | None = None,
    kinds: Mapping[KindName, Kind] = EXAMPLES,
) -> list[GameProcess]:
    """Starts game nodes that know each other, and waits until they do."""
    for name in names:
        c.address(name)
    games = [c.game(name, peers=True, drain=drain, kinds=kinds) for name in names]
    await c.ready(*games)
    await trio.sleep(FOUND_SECONDS)
    return games


@in_any_order
async def test_two_nodes_find_each_other_and_each_answers_what_the_other_asks(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with no_complaints():
            one, two = (c.game(name, peers=True) for name in ("game-1", "game-2"))
            heard = [Recorder(one), Recorder(two)]
            await c.ready(one, two)
            await trio.sleep(FOUND_SECONDS)
            ids = [one.node.incarnation, two.node.incarnation]
            assert [one.peers, two.peers] == [{"game-2"}, {"game-1"}]
            assert [log.take() for log in heard] == [[("up", ids[1])], [("up", ids[0])]]
            for epoch in (1, 2):
                assert one.node.others.peers.send(ids[1], nodes.Release(ROOM, epoch))
                assert two.node.others.peers.send(ids[0], nodes.Release(ROOM, 10 + epoch))
            await trio.sleep(1)
        for log, other, own, theirs in zip(heard, reversed(ids), (0, 10), (10, 0), strict=True):
            events = log.take()
            asked = [("asked", other, nodes.Release(ROOM, theirs + n)) for n in (1, 2)]
            answered = [("answered", other, nodes.Released(ROOM, own + n)) for n in (1, 2)]
            assert [event for event in events if event[0] == "asked"] == asked
            assert [event for event in events if event[0] == "answered"] == answered


async def test_a_node_that_is_named_later_is_found_by_all_and_finds_them(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        three = c.game("game-3", peers=True)
        await trio.sleep(FOUND_SECONDS)
        assert [one.peers, two.peers, three.peers] == [
            {"game-2", "game-3"},
            {"game-1", "game-3"},
            {"game-1", "game-2"},
        ]


async def test_a_node_that_finds_itself_in_the_list_says_nothing_about_it(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        with no_complaints():
            [alone] = await linked(c, "game-1")
            log = Recorder(alone)
            await trio.sleep(120)
        assert (alone.peers, alone.links, log.events) == (set(), {}, [])


async def test_a_killed_node_is_known_to_be_gone_and_the_one_that_follows_it_is_another(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        log, old = Recorder(one), two.node.incarnation
        two.kill()
        await trio.sleep(1.5)
        assert log.take() == [("down", old, Loss.GONE), ("gone", old)]
        assert one.node.others.peers.is_gone(old)
        assert not one.node.others.peers.send(old, nodes.Release(ROOM, 1))
        again = c.game("game-2", peers=True)
        await trio.sleep(FOUND_SECONDS)
        new = again.node.incarnation
        assert (log.take(), one.peers, again.peers) == ([("up", new)], {"game-2"}, {"game-1"})
        gone = one.node.others.peers.is_gone
        assert (gone(old), gone(new)) == (True, False)


@in_any_order
async def test_another_process_at_the_address_proves_that_the_first_has_ended(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        log, old = Recorder(one), two.node.incarnation
        two.kill()
        again = c.game("game-2", peers=True)
        await trio.sleep(FOUND_SECONDS)
        new = again.node.incarnation
        assert log.take() == [("down", old, Loss.GONE), ("gone", old), ("up", new)]


async def test_a_lost_node_is_known_to_be_gone_when_another_process_answers_in_its_place(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        log, old = Recorder(one), two.node.incarnation
        c.bus.break_link("game-1", "game-2")
        await trio.sleep(8)
        two.kill()
        again = c.game("game-2", peers=True)
        await trio.sleep(2)
        assert log.take() == [("down", old, Loss.RESET)]
        c.bus.heal("game-1")
        await trio.sleep(FOUND_SECONDS)
        assert log.take() == [("gone", old), ("up", again.node.incarnation)]


async def test_a_node_that_is_not_heard_for_3_s_is_left_but_not_known_to_be_gone(
    autojump_clock: MockClock,
) -> None:
    """Players notice nothing of a partition between two game nodes."""
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        api = c.api()
        await c.ready(api)
        ann = Player(c.nursery)
        await ann.join(api, kind="lounge")
        log, peer = Recorder(one), two.node.incarnation
        c.bus.break_link("game-1", "game-2")
        await trio.sleep(4)
        assert one.node.others.peers.candidates == []
        await trio.sleep(4)
        assert log.take() == [("down", peer, Loss.RESET)]
        assert not one.node.others.peers.is_gone(peer)
        await ann.socket.send(t="say", n=1, d="still here")
        assert (await ann.socket.hear("msg"))["d"]["said"] == "still here"
        c.bus.heal("game-1")
        await trio.sleep(FOUND_SECONDS)
        assert (log.take(), one.peers, two.peers) == ([("up", peer)], {"game-2"}, {"game-1"})


@in_any_order
async def test_what_is_asked_while_a_link_is_parted_arrives_once_when_it_heals(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        log, peer = Recorder(two, answers=False), two.node.incarnation
        c.bus.break_link("game-1", "game-2")
        await trio.sleep(0.5)
        one.node.others.peers.send(peer, nodes.Release(ROOM, 1))
        await trio.sleep(1.5)
        assert log.take() == []
        c.bus.heal("game-1")
        await trio.sleep(2)
        asker = one.node.incarnation
        assert log.take() == [("asked", asker, nodes.Release(ROOM, 1))]


async def test_an_answer_by_a_link_that_is_over_is_not_sent(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        Recorder(two, answers=False)
        asker, requests = one.node.incarnation, two.node.others.requests
        released = nodes.Released(ROOM, 1)
        assert not requests.answer(asker, released)
        one.node.others.peers.send(two.node.incarnation, nodes.Release(ROOM, 1))
        await trio.sleep(0.5)
        assert requests.answer(asker, released)
        two.drop_links()
        assert not requests.answer(asker, released)


async def test_without_a_list_of_games_a_node_opens_and_calls_nothing(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        quiet = c.game("game-1")
        asking = c.game("game-2", peers=True)
        await c.ready(quiet, asking)
        await trio.sleep(FOUND_SECONDS)
        assert (asking.peers, quiet.peers) == ({"game-1"}, set())
        owned = [end.address for end in c.bus._net._ends if end.owner == "game-1"]
        assert sorted(owned) == ["tcp://game-1:7101", "tcp://game-2:7001"]
        [link] = quiet.links.values()
        assert link.who == {"game": "game-2"}


async def test_the_links_of_peers_do_not_count_as_links_of_api_nodes(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, _ = await linked(c, "game-1", "game-2")
        figures = one.node.figures()
        assert (figures.links, figures.peers, len(one.links)) == (0, 1, 1)


def test_a_node_that_takes_callers_for_api_nodes_is_not_a_peer() -> None:
    peers = Peers(Incarnation(1), [])
    for number, wire in enumerate((nodes.PEERS - 1, nodes.PEERS), 2):
        peers.link_up(FakeGameLink(f"game-{number}", wire=wire, incarnation=number))  # type: ignore[arg-type]
    assert [peer.name for peer in peers.candidates] == ["game-3"]


def test_a_process_that_seemed_to_be_gone_is_a_peer_again_when_a_link_to_it_stands() -> None:
    peers, link = Peers(Incarnation(1), []), FakeGameLink("game-2", incarnation=2)
    peers.note_gone(Incarnation(2))
    peers.link_up(link)  # type: ignore[arg-type]
    peers.note_gone(Incarnation(2))
    assert not peers.is_gone(Incarnation(2))
    assert len(peers.candidates) == 1


def test_the_memory_of_ended_processes_is_bounded() -> None:
    peers = Peers(Incarnation(1), [])
    for number in range(2, 3_000):
        peers.note_gone(Incarnation(number))
    assert not peers.is_gone(Incarnation(2))
    assert peers.is_gone(Incarnation(2_999))
    assert len(peers._gone) == 1_024


async def test_the_link_by_which_a_dead_node_has_called_is_dropped_once_it_is_known_to_be_dead(
    autojump_clock: MockClock,
) -> None:
    """Otherwise a request under way could bring an image of a room that nobody decides about."""
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        old = two.node.incarnation
        assert [link.incarnation for link in one.links.values()] == [old]
        two.kill()
        await trio.sleep(0.01)
        assert one.node.others.peers.is_gone(old)
        assert one.links == {}


async def test_what_follows_from_a_peers_request_is_published_before_its_answer(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, _ = await linked(c, "game-1", "game-2")
        log = Recorder(one)
        (link,) = one.links.values()
        before, number = link.ring.head, link.requests.last + 1
        one.node._links._apply_batch(
            nodes.Batch(link.id, number, before, [], [nodes.Release(ROOM, 1)])
        )
        assert [event[0] for event in log.take()] == ["asked"]
        assert (link.ring.head, link.ring.has_fresh) == (before + 1, False)


async def test_what_follows_from_a_peers_feed_is_published_in_the_same_turn(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = await linked(c, "game-1", "game-2")
        log = Recorder(one)
        (theirs,) = one.links.values()
        (ours,) = two.links.values()
        before = theirs.ring.head

        def answered(peer: Incarnation, item: Answered) -> None:
            one.node._feeds.push(theirs.id, nodes.Released(item.room, item.epoch))

        log.answered = answered  # type: ignore[method-assign]
        batch = nodes.FeedBatch(ours.id, ours.ring.head + 1, [nodes.Released(ROOM, 1)], 1)
        assert one.node.others._calls is not None
        one.node.others._calls._feeds._pass_some(iter([batch]))
        assert (theirs.ring.head, theirs.ring.has_fresh) == (before + 1, False)
