"""A collector asks 100 nodes once a second, whatever some of them do; in virtual time."""

from __future__ import annotations

import httpx
import msgspec
import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import BadAddress, ClusterFailed, UsageError
from lastcall.local.admin_client import command
from lastcall.local.dashboard.cards import RemoteCards, find_serving_game
from lastcall.local.dashboard.collector import Collector, ask_kinds
from lastcall.local.dashboard.options import AdminDns, parse_admin
from lastcall.local.dashboard.remote import RemoteCluster
from lastcall.local.dashboard.sources import Addresses
from lastcall.runtime.admin.cluster_routes import Order
from lastcall.runtime.admin.event_hub import LINGER_SECONDS
from lastcall.wire.reports import Status
from tests.local.dashboard.fake_nodes import FakeNodes, answer_of


def cluster_of(count):
    """That many nodes at 10.0.0.1 and so on, and their addresses."""
    nodes = FakeNodes()
    for number in range(1, count + 1):
        nodes.nodes[f"10.0.0.{number}:9101"] = answer_of(f"game-{number}")
    return nodes, list(nodes.nodes)


async def test_100_nodes_are_asked_at_the_same_time(autojump_clock):
    nodes, admins = cluster_of(100)
    nodes.seconds = dict.fromkeys(admins, 0.4)
    async with nodes.client() as client:
        answers = await Collector(client).ask(admins)
    assert trio.current_time() == pytest.approx(0.4)
    assert nodes.most == 100
    assert [now.card.name for now in answers.values()] == [f"game-{n}" for n in range(1, 101)]


async def test_nodes_that_do_not_answer_cost_one_second_together(autojump_clock):
    nodes, admins = cluster_of(100)
    nodes.seconds = dict.fromkeys(admins[:50], 60.0)
    for gone in admins[90:]:
        del nodes.nodes[gone]
    async with nodes.client() as client:
        answers = await Collector(client).ask(admins)
    assert trio.current_time() == 1
    assert [admin for admin, now in answers.items() if now is None] == admins[:50] + admins[90:]


@pytest.mark.parametrize("last_id", ["é", "a\nb", "x" * 200])
async def test_an_id_that_no_header_can_have_is_not_sent_back(autojump_clock, last_id):
    nodes, admins = cluster_of(2)
    node = nodes.nodes[admins[0]]
    nodes.nodes[admins[0]] = msgspec.structs.replace(node, last_id=last_id)
    async with nodes.client() as client:
        collector = Collector(client)
        for _ in range(2):
            answers = await collector.ask(admins)
            assert None not in answers.values()


async def test_a_node_with_endless_logs_and_versions_takes_a_bounded_memory(autojump_clock):
    nodes, (admin,) = cluster_of(1)
    cards = RemoteCards()
    async with nodes.client() as client:
        collector = Collector(client)
        for number in range(1_200):
            texts = ["x" * 2_000] * 600 if number == 0 else []
            nodes.nodes[admin] = answer_of("game-1", *texts, version=f"v{number}")
            now = await collector.ask([admin])
            if number == 0:
                assert {len(line.text) for line in now[admin].logs} == {1_000}
                assert len(now[admin].logs) == 500
            cards.update(now)
    assert len(cards._generations._numbers) <= 1_000


async def test_each_node_is_asked_for_what_came_after_the_last_answer(autojump_clock):
    nodes, admins = cluster_of(2)
    async with nodes.client() as client:
        collector = Collector(client)
        await collector.ask(admins)
        kept = nodes.nodes.pop(admins[0])
        await collector.ask(admins)
        nodes.nodes[admins[0]] = kept
        await collector.ask(admins)
        await collector.ask(admins[1:])
        await collector.ask(admins)
    ids = [last_id for admin, last_id in nodes.asked_for("/cluster/node") if admin == admins[0]]
    assert ids == ["", "game-1-7", "game-1-7", ""]


class OldNode(FakeNodes):
    """A node of version 0.1, which has a status only."""

    def _answer(self, request):
        if request.url.path != "/status":
            return httpx.Response(404)
        return httpx.Response(
            200, content=msgspec.json.encode(Status("game-1", "game", "0.1", "serving", 5))
        )


class NotANode(FakeNodes):
    """Some other server."""

    def __init__(self, content, *, is_old):
        super().__init__()
        self._content, self._is_old = content, is_old

    def _answer(self, request):
        if self._is_old and request.url.path == "/cluster/node":
            return httpx.Response(404)
        return httpx.Response(200, content=self._content)


UNREADABLE = {
    "a page": b"<!doctype html>",
    "no UTF-8": b'{"last_id":"\xff","name":"\xff"}',
    "deep": b'{"x":' + b"[" * 100_000,
}


async def test_a_node_of_an_old_version_is_shown_by_its_status(autojump_clock):
    async with OldNode().client() as client:
        answers = await Collector(client).ask(["10.0.0.1:9101"])
    (now,) = answers.values()
    assert (now.card.name, now.card.version, now.card.rooms) == ("game-1", "0.1", 5)


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_not_a_node_does_not_answer(autojump_clock, content, is_old):
    async with NotANode(content, is_old=is_old).client() as client:
        assert await Collector(client).ask(["10.0.0.1:9101"]) == {"10.0.0.1:9101": None}
        with pytest.raises(ClusterFailed, match="is not the admin port of a node"):
            await command(client, "10.0.0.1:9101", "drain")


# Cards.


def test_a_node_that_falls_silent_keeps_its_card_and_one_that_is_not_asked_loses_it():
    cards = RemoteCards()
    cards.update({"a:1": answer_of("game-1"), "b:1": answer_of("game-2")})
    (first, second) = cards.update({"a:1": None, "b:1": answer_of("game-2")})
    assert (first.name, first.phase, first.rooms, first.admin) == ("game-1", "no answer", 0, "a:1")
    assert second.phase == "serving"
    (left,) = cards.update({"b:1": answer_of("game-2")})
    assert left.name == "game-2"


def test_an_address_that_never_answered_is_shown_by_itself():
    (card,) = RemoteCards().update({"a:1": None})
    assert (card.name, card.tier, card.phase) == ("a:1", "", "no answer")


def test_generations_are_in_the_order_in_which_versions_appear():
    cards = RemoteCards()
    cards.update({"a:1": answer_of("game-1", version="2.0")})
    both = cards.update(
        {"a:1": answer_of("game-1", version="2.0"), "b:1": answer_of("game-2", version="1.9")}
    )
    assert [(card.version, card.generation) for card in both] == [("2.0", 0), ("1.9", 1)]


def test_kinds_are_asked_of_nodes_with_rooms_and_of_those_first_that_serve():
    cards = RemoteCards().update(
        {
            "a:1": answer_of("api-1"),
            "b:1": answer_of("game-1", phase="draining"),
            "c:1": answer_of("game-2"),
            "d:1": answer_of("serve-1", phase="cordoned"),
        }
    )
    assert [card.name for card in find_serving_game(cards)] == ["game-2", "game-1", "serve-1"]


async def test_kinds_come_from_the_first_node_that_answers(autojump_clock):
    nodes, admins = cluster_of(3)
    cards = RemoteCards().update(dict(nodes.nodes))
    del nodes.nodes[admins[0]]
    async with nodes.client() as client:
        assert await ask_kinds(client, cards) == b"game-2"
        nodes.nodes.clear()
        with pytest.raises(ClusterFailed, match="no game node answers"):
            await ask_kinds(client, cards)


# Addresses.


def test_an_admin_address_or_a_name_is_parsed_and_anything_else_refused():
    assert parse_admin("10.0.0.1:9101") == HostPort("10.0.0.1", 9101)
    assert parse_admin("dns://game:9101") == AdminDns(HostPort("game", 9101))
    for wrong in ("game", "dns://game", "http://game:9101", "dns://:9101"):
        with pytest.raises(BadAddress):
            parse_admin(wrong)


async def test_a_name_stands_for_all_its_addresses_each_once(autojump_clock):
    one = HostPort("127.0.0.1", 9101)
    addresses = Addresses([one, AdminDns(HostPort("127.0.0.1", 9101)), AdminDns(one)])
    assert await addresses.read() == ["127.0.0.1:9101"]


class Names(trio.abc.HostnameResolver):
    """A name server whose answers a test sets; it takes ``seconds`` for each."""

    addresses: tuple[str, ...] = ()
    asked = 0
    seconds = 0.0

    async def getaddrinfo(self, _host, port, *_args):
        self.asked += 1
        await trio.sleep(self.seconds)
        if not self.addresses:
            raise OSError("the name server is away")
        return [(2, 1, 6, "", (address, port)) for address in self.addresses]

    async def getnameinfo(self, *_args):
        raise NotImplementedError


async def test_a_name_is_asked_every_two_seconds_and_keeps_what_it_said(autojump_clock):
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)
    addresses = Addresses([AdminDns(HostPort("game", 9101))])
    assert await addresses.read() == []
    names.addresses = ("10.0.0.2", "10.0.0.1")
    assert await addresses.read() == []
    await trio.sleep(2)
    assert await addresses.read() == ["10.0.0.1:9101", "10.0.0.2:9101"]
    await trio.sleep(2)
    names.addresses = ()
    assert await addresses.read() == ["10.0.0.1:9101", "10.0.0.2:9101"]
    assert names.asked == 3


async def test_name_servers_that_are_slow_cost_one_second_together(autojump_clock):
    names = Names()
    names.addresses = ("10.0.0.1",)
    trio.socket.set_custom_hostname_resolver(names)
    sources = [AdminDns(HostPort(name, 9101)) for name in ("game", "api", "serve")]
    addresses = Addresses(sources)
    assert await addresses.read() == ["10.0.0.1:9101"]
    names.seconds = 60.0
    await trio.sleep(2)
    asked_at = trio.current_time()
    assert await addresses.read() == ["10.0.0.1:9101"]
    assert trio.current_time() - asked_at == 1
    assert addresses.unresolved == dict.fromkeys(sources, "no answer within 1 s")
    await trio.sleep(1.9)
    assert await addresses.read() == ["10.0.0.1:9101"]
    assert names.asked == 6, "they have two seconds after an answer, or after none"
    names.seconds = 0.0
    await trio.sleep(0.1)
    await addresses.read()
    assert addresses.unresolved == {}


# The whole.


def events(hub, name, last_id=""):
    return [msgspec.json.decode(one.data) for one in hub.ring.after(last_id) if one.name == name]


async def test_a_dashboard_asks_only_while_somebody_watches_and_merges_all(autojump_clock, nursery):
    nodes, admins = cluster_of(2)
    nodes.nodes["10.0.0.9:9001"] = answer_of("api-1", "phase=serving")
    sources = [parse_admin(admin) for admin in [*admins, "10.0.0.9:9001"]]
    async with nodes.client() as client:
        cluster = RemoteCluster(sources, client)
        nursery.start_soon(cluster.hub.run)
        await trio.sleep(10)
        assert nodes.asked == []
        cluster.hub.touch()
        await trio.sleep(3.5)
        assert len(nodes.asked_for("/cluster/node")) == 4 * 3
        (state,) = events(cluster.hub, "cluster")
        assert (state["about"], state["clients"]) == ("cluster", ["ws://api-1/"])
        assert [node["name"] for node in state["nodes"]] == ["api-1", "game-1", "game-2"]
        assert state["verbs"] == ["cordon", "uncordon", "drain"]
        (figures,) = events(cluster.hub, "figures")
        assert set(figures["nodes"]) == {"api-1", "game-1", "game-2"}
        assert figures["players"] is None
        assert {line["node"] for line in events(cluster.hub, "log")} == {"api-1"}
        await trio.sleep(2 * LINGER_SECONDS)
        asked = len(nodes.asked)
        await trio.sleep(10)
        assert len(nodes.asked) == asked
        nursery.cancel_scope.cancel()


async def test_a_dashboard_asks_at_most_100_nodes_and_says_so(autojump_clock, nursery):
    nodes, admins = cluster_of(120)
    async with nodes.client() as client:
        cluster = RemoteCluster([parse_admin(admin) for admin in admins], client)
        nursery.start_soon(cluster.hub.run)
        cluster.hub.touch()
        await trio.sleep(2.5)
        assert nodes.most == 100
        (line,) = events(cluster.hub, "log")
        assert line["text"].startswith("20 more nodes are not shown")
        nursery.cancel_scope.cancel()


async def test_a_name_without_addresses_is_told_once_for_each_trouble(autojump_clock, nursery):
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)
    nodes, admins = cluster_of(1)
    async with nodes.client() as client:
        sources = [parse_admin("dns://game:9101"), parse_admin(admins[0])]
        cluster = RemoteCluster(sources, client)
        nursery.start_soon(cluster.hub.run)
        cluster.hub.touch()
        told = []
        for names.addresses in ((), ("10.0.0.7",), ()):
            await trio.sleep(7)
            told.append(len(events(cluster.hub, "log")))
        assert told == [1, 1, 2]
        line = events(cluster.hub, "log")[0]
        assert (line["event"], line["level"]) == ("dashboard.unresolved", "warning")
        assert line["text"] == "dns://game:9101: the name server is away"
        nursery.cancel_scope.cancel()


async def test_of_two_nodes_of_one_name_neither_is_commanded_and_both_are_shown(
    autojump_clock, nursery
):
    nodes, admins = cluster_of(2)
    nodes.nodes[admins[1]] = answer_of("game-1")
    async with nodes.client() as client:
        cluster = RemoteCluster([parse_admin(admin) for admin in admins], client)
        nursery.start_soon(cluster.hub.run)
        cluster.hub.touch()
        await trio.sleep(0.5)
        (figures,) = events(cluster.hub, "figures")
        assert list(figures["nodes"]) == admins
        with pytest.raises(UsageError, match=r"at 10\.0\.0\.1:9101, 10\.0\.0\.2:9101") as refused:
            await cluster.obey("drain", Order("game-1"), None)
        assert "lastcall drain --admin HOST:PORT" in str(refused.value)
        assert [request for request in nodes.asked if request.method == "POST"] == []
        del nodes.nodes[admins[0]]
        await trio.sleep(1)
        with pytest.raises(ClusterFailed):  # this node takes no commands
            await cluster.obey("drain", Order("game-1"), None)
        posted = {request.url.netloc for request in nodes.asked if request.method == "POST"}
        assert posted == {admins[1].encode()}
        nursery.cancel_scope.cancel()


async def test_a_command_for_a_node_that_is_not_there_is_refused(autojump_clock):
    nodes, admins = cluster_of(1)
    async with nodes.client() as client:
        cluster = RemoteCluster([parse_admin(admin) for admin in admins], client)
        with pytest.raises(UsageError, match="no node 'game-9' here"):
            await cluster.obey("drain", Order("game-9"), None)
        with pytest.raises(ClusterFailed):
            await cluster.obey("drain", Order("game-1"), b"a token")
    posted = [request for request in nodes.asked if request.method == "POST"]
    assert [request.url.path for request in posted] == ["/cluster/drain", "/drain"]
    for request in posted:
        assert request.headers["x-lastcall"] == "1"
        assert request.headers["authorization"] == "Bearer a token"
    assert posted[0].content == b'{"node":"game-1"}'
