"""A node of one tier that says what only the other tier says: it is refused, counted and logged."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.bus.memory import MemoryCaller
from lastcall.core.survival.actions import Protection
from lastcall.game.peers import Peers
from lastcall.ids import Incarnation, KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.wire import nodes
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Answer, Config
from tests.api.fake_links import FakeGameLink
from tests.harness.cluster import Cluster, GameProcess, cluster
from tests.harness.counts import players_in
from tests.links.test_peers import Recorder
from tests.moves.survivors import SURVIVORS, standing
from tests.moves.talks import players, talk

ROOM, ANN = RoomId("game-1.r"), PlayerId("ann")
OF_PEERS = [
    nodes.Adopt(ROOM, 1, 0, 1, b"image"),
    nodes.Release(ROOM, 1),
    nodes.Withdraw(ROOM, 1),
]
CONFIG = Config(0, Incarnation(7))
OF_SURVIVAL = [
    items.StandbyImage(ROOM, 0, 1, CONFIG, data=b"image"),
    items.Step(ROOM, 0, 2),
    items.Resign(ROOM, 0, 2),
    items.TakeOver(ROOM, 0),
    items.RoomOver(ROOM, 0),
    items.StepsKept(ROOM, 0, 2),
    items.Reaches(ROOM, 0, (Incarnation(7),)),
    items.Leaving(ROOM, 0),
    items.Resigned(ROOM, 0, 2),
    items.NotHeld(ROOM, 0, 2),
    items.Fenced(ROOM, 1, Incarnation(7)),
    items.VoteAsked(ROOM, 0),
    items.VoteReturned(ROOM, 0),
]
"""The items of surviving rooms, but for a vote, which nodes of both tiers give."""
OF_API_NODES = [
    nodes.Join(call=1, kind=KindName("lounge")),
    nodes.Resume(call=2, room=ROOM, player=ANN, secret="s", seen=0),  # noqa: S106
    nodes.Renew(call=3, room=ROOM, player=ANN, secret="s", seen=0, session=1),  # noqa: S106
    nodes.Cancel(call=1),
    nodes.Confirm(ROOM, ANN, 1),
    nodes.Say(ROOM, ANN, 1, 1, b"1"),
    nodes.Leave(ROOM, ANN, 1),
    nodes.Absent(ROOM, ANN, 1),
]


class Caller:
    """A process that attaches to a game node and says what it likes."""

    def __init__(self, c: Cluster, tier: str) -> None:
        bus = c.bus.node("caller")
        self._feed = bus.subscribe("tcp://caller:7001")
        self._caller: MemoryCaller = bus.caller("tcp://game-1:7101")
        self._tier = tier

    async def ask(self, request: nodes.Request) -> nodes.Reply:
        return nodes.decode_reply(await self._caller.call(nodes.encode(request)))

    async def attach(self) -> nodes.Reply:
        return await self.ask(
            nodes.Attach(
                wire=nodes.WIRE,
                link=LinkId(7),
                attempt=1,
                api=NodeName("caller"),
                incarnation=Incarnation(7),
                feed=self._feed.address,
                tier=self._tier,
            )
        )

    async def say(self, *items: nodes.Up) -> nodes.Reply:
        return await self.ask(nodes.Batch(LinkId(7), 1, 0, items=list(items)))


async def attached(c: Cluster, tier: str) -> tuple[GameProcess, Recorder, Caller]:
    game = c.game("game-1")
    recorder = Recorder(game)
    await c.ready(game)
    caller = Caller(c, tier)
    assert isinstance(await caller.attach(), nodes.Welcome)
    return game, recorder, caller


def test_the_lists_have_every_item_that_a_node_can_ask_for() -> None:
    asked = {type(item) for item in [*OF_PEERS, *OF_SURVIVAL, *OF_API_NODES]}
    asked |= {nodes.Unknown, nodes.Vote}
    assert set(nodes.Up.__args__) <= asked
    assert {type(item) for item in OF_PEERS} == set(nodes.PeerUp.__args__)


async def test_an_api_node_cannot_ask_for_what_game_nodes_ask_of_each_other(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game, recorder, caller = await attached(c, nodes.API)
        join = nodes.Join(call=1, kind=KindName("lounge"))
        with capture_logs() as logs:
            answer = await caller.say(*OF_PEERS, nodes.Unknown(), join)
        assert isinstance(answer, nodes.Answer)
        assert (recorder.events, game.rooms) == ([], 1)
        assert game.node._links._misplaced.count == len(OF_PEERS)
        refused = [line for line in logs if line["event"] == "link.misplaced_item"]
        assert [line["item"] for line in refused] == ["adopt", "release", "withdraw"]
        assert {(line["api"], line["log_level"]) for line in refused} == {("caller", "warning")}


async def test_an_api_node_says_nothing_about_surviving_rooms_but_its_vote(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        one, two = (c.game(name, kinds=SURVIVORS, peers=True) for name in ("game-1", "game-2"))
        api = c.api()
        await c.ready(one, two, api)
        await trio.sleep(3)
        rooms = [await players(c, api, "ark", 1) for _ in range(2)]
        caller = Caller(c, nodes.API)
        assert isinstance(await caller.attach(), nodes.Welcome)
        said = [
            replace(item, room=RoomId(speaker.room)) for item in OF_SURVIVAL for [speaker] in rooms
        ]
        votes = [items.Vote(RoomId(speaker.room), 0, Answer.GRANTED) for [speaker] in rooms]
        assert isinstance(await caller.say(*said, *votes), nodes.Answer)
        assert one.node._links._misplaced.count == len(said)
        assert await talk(rooms[0], "a") == {"said": "a", "count": 1, "moves": 0}
        assert await talk(rooms[1], "b") == {"said": "b", "count": 1, "moves": 0}
        assert [standing(game, Protection.PROTECTED) for game in (one, two)] == [1, 1]


async def test_a_game_node_cannot_ask_for_what_api_nodes_ask(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        game, recorder, caller = await attached(c, nodes.GAME)
        with capture_logs() as logs:
            answer = await caller.say(*OF_API_NODES, nodes.Unknown(), OF_PEERS[1])
        assert isinstance(answer, nodes.Answer)
        assert (game.rooms, players_in(game.node.host)) == (0, 0)
        assert recorder.events == [("asked", Incarnation(7), OF_PEERS[1])]
        assert game.node._links._misplaced.count == len(OF_API_NODES)
        assert {line["log_level"] for line in logs} == {"warning"}
        assert {line["game"] for line in logs} == {"caller"}


async def test_however_much_a_node_says_the_log_gets_a_few_lines(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game, _, caller = await attached(c, nodes.API)
        with capture_logs() as logs:
            await caller.say(*OF_PEERS * 1_000)
        assert len(logs) == 5
        assert game.node._links._misplaced.count == 3_000


@pytest.mark.parametrize("tier", ["", "client", "API"])
async def test_a_node_of_an_unknown_tier_gets_no_link(autojump_clock: MockClock, tier: str) -> None:
    async with cluster() as c:
        game = c.game("game-1")
        await c.ready(game)
        answer = await Caller(c, tier).attach()
        assert isinstance(answer, nodes.Unsupported)
        assert "its tier api or game" in answer.message
        assert game.links == {}


async def test_a_peer_cannot_answer_with_what_api_nodes_are_told(
    autojump_clock: MockClock,
) -> None:
    game = FakeGameLink("game-2", incarnation=2)
    heard: list[object] = []

    class Handler:
        def answered(self, *told: object) -> None:
            heard.append(told)

    peers = Peers(Incarnation(1), [Handler()])  # type: ignore[list-item]
    released = nodes.Released(ROOM, 1)
    with capture_logs() as logs:
        for item in (nodes.Ended(ROOM, 0, "finished"), nodes.Unknown(), released):
            peers.link_item(game, item)  # type: ignore[arg-type]
        await trio.lowlevel.checkpoint()
    assert heard == [(Incarnation(2), released)]
    [line] = logs
    assert (line["event"], line["item"]) == ("link.misplaced_item", "ended")
