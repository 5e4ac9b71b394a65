"""Rolls of a cluster of fake nodes: the commands that nodes get, and what stops a roll."""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from lastcall.bus.address import HostPort
from lastcall.errors import ClusterFailed
from lastcall.local.admin_client import command, open_admin_client
from lastcall.local.bots.ledger import Ledger
from lastcall.local.cluster import open_cluster
from lastcall.local.control.messages import AskRoll, Progress, RollReport
from lastcall.local.plan import Plan
from lastcall.local.roll.roll import Roll
from lastcall.local.roll.service import Rolls
from lastcall.policy import DrainPolicy
from lastcall.wire.reports import DrainFinished
from lastcall.wire.views import RollNow

FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(
    apis=1,
    games=1,
    client=FREE,
    admin=FREE,
    drain=DrainPolicy(grace_seconds=5, farewell_seconds=0.1),
    version="1.0",
)


@asynccontextmanager
async def running(start, plan=PLAN, deaths=None):
    """A cluster of fake nodes that are all ready."""
    with trio.fail_after(20):
        on_death = (deaths if deaths is not None else []).append
        async with open_cluster(plan, on_death, start=start) as cluster:
            await cluster.wait_ready()
            yield cluster


async def run_roll(cluster, request=None, **settings):
    """Rolls the cluster; returns the report, and the steps as ``node stage``."""
    progress = []
    roll = Roll(cluster, request or AskRoll(), progress.append, **settings)
    await roll.run()
    return roll.report(), [f"{item.node} {item.stage}" for item in progress]


def commands(child):
    """The verbs that the node's admin port received, in order."""
    events = [json.loads(line) for line in child.output.lines]
    received = [event for event in events if event["event"] == "command"]
    assert all(event["header"] == "1" for event in received)
    return [event["verb"] for event in received]


def games_list(cluster):
    """Returns the list of game nodes that the api nodes read."""
    ready = next(json.loads(line) for line in cluster.children[0].output.lines)
    return Path(ready["options"]["--games"].removeprefix("file://")).read_text().split()


async def test_a_roll_replaces_every_node_and_game_nodes_first(fake_nodes):
    deaths = []
    async with running(fake_nodes(), deaths=deaths) as cluster:
        report, steps = await run_roll(cluster)
        assert report.exit_code == 0
        assert report.failure is None
        assert steps[:2] == ["game-1 serving", "api-1 serving"]
        expected = ["game-2 starting", "game-2 ready", "game-1 draining"]
        expected += ["api-2 starting", "api-2 ready", "api-1 cordoned", "api-1 draining"]
        assert [step for step in steps[2:] if "ended" not in step] == expected
        assert sorted(step for step in steps if "ended" in step) == ["api-1 ended", "game-1 ended"]
        assert [child.name for child in cluster.living()] == ["game-2", "api-2"]
        assert report.started == ("game-2", "api-2")
        assert deaths == []
        assert len(games_list(cluster)) == 1


async def test_the_report_shows_how_each_old_node_ended(fake_nodes):
    async with running(fake_nodes()) as cluster:
        report, _ = await run_roll(cluster)
        (game, api) = report.nodes
        assert (game.name, api.name) == ("game-1", "api-1")
        assert (game.version, game.exit_code) == ("1.0", 0)
        assert game.finished == DrainFinished(rooms_finished=2, clients_moved=4, seconds=0.5)


async def test_new_nodes_have_the_requested_version_or_the_next_one(fake_nodes):
    async with running(fake_nodes()) as cluster:
        for request, version in (
            (AskRoll("game"), "1.0+1"),
            (AskRoll("api"), "1.0+1"),
            (AskRoll(), "1.0+2"),
            (AskRoll("game", "0.9"), "0.9"),
        ):
            report, _ = await run_roll(cluster, request)
            assert report.version == version
            tiers = {"game", "api"} if request.tier == "all" else {request.tier}
            versions = {c.version for c in cluster.living() if c.tier in tiers}
            assert versions == {version}
        assert sorted(child.name for child in cluster.living()) == ["api-3", "game-4"]


async def test_all_old_api_nodes_are_cordoned_once_and_none_is_uncordoned(fake_nodes):
    plan = Plan(apis=3, client=FREE, admin=FREE, drain=PLAN.drain, version="1.0")
    async with running(fake_nodes(), plan) as cluster:
        old = cluster.living("api")
        report, steps = await run_roll(cluster, AskRoll("api"))
        assert report.exit_code == 0
        assert [commands(child) for child in old] == [["cordon"]] * 3
        first_stop = steps.index("api-1 draining")
        assert {"api-1 cordoned", "api-2 cordoned", "api-3 cordoned"} <= set(steps[:first_stop])


async def test_a_new_node_that_never_gets_ready_stops_the_roll_and_the_old_ones_still_serve(
    fake_nodes,
):
    deaths = []
    async with running(fake_nodes(new="never-ready"), deaths=deaths) as cluster:
        old = cluster.living()
        cluster.plan = replace(cluster.plan, start_seconds=0.5)
        report, steps = await run_roll(cluster)
        assert report.exit_code == 1
        assert (report.failure or "").startswith("not ready within 0.5 s: game-2 ")
        assert (report.failure or "").endswith("Old nodes that still serve: game-1, api-1")
        assert report.nodes == report.started == ()
        assert cluster.living() == old == cluster.children
        assert steps[-1] == "game-2 failed"
        assert deaths == []


@pytest.mark.parametrize(
    ("behaviour", "word"),
    [("crashes", "the last line"), ("usage-error", "--rooms nope cannot be imported")],
)
async def test_a_new_node_that_dies_stops_the_roll_with_its_last_output(
    fake_nodes, behaviour, word
):
    async with running(fake_nodes(new=behaviour)) as cluster:
        old = cluster.living()
        report, _ = await run_roll(cluster)
        assert report.exit_code == 1
        assert word in (report.failure or "")
        assert cluster.living() == old == cluster.children


async def test_a_roll_that_stops_half_way_uncordons_its_nodes(fake_nodes):
    plan = Plan(apis=2, client=FREE, admin=FREE, drain=PLAN.drain, version="1.0")
    good, bad = fake_nodes(), fake_nodes("crashes")

    def start_node(tier, *options):
        return (bad if "api-4" in options else good)(tier, *options)

    async with running(start_node, plan) as cluster:
        second = cluster.living("api")[1]
        report, steps = await run_roll(cluster, AskRoll("api"))
        assert report.exit_code == 1
        assert "api-2 serving" in steps[steps.index("api-4 failed") :]
        assert commands(second) == ["cordon", "uncordon"]
        assert sorted(child.name for child in cluster.living("api")) == ["api-2", "api-3"]
        assert [node.name for node in report.nodes] == ["api-1"]


async def test_a_node_that_was_cordoned_by_hand_stays_cordoned_when_the_roll_stops(fake_nodes):
    async with running(fake_nodes(new="crashes")) as cluster:
        (api,) = cluster.living("api")
        await _post(api, "cordon")
        report, _ = await run_roll(cluster, AskRoll("api"))
        assert report.exit_code == 1
        assert commands(api) == ["cordon"]


async def _post(child, verb):
    async with open_admin_client() as client:
        await command(client, child.ready.admin, verb)


async def test_an_old_node_that_outlives_its_grace_is_killed_and_the_report_shows_it(fake_nodes):
    plan = Plan(1, 1, FREE, FREE, drain=DrainPolicy(0.2, farewell_seconds=0.1), version="1.0")
    async with running(fake_nodes(new="good", game="ignores-signals"), plan) as cluster:
        report, _ = await run_roll(cluster, AskRoll("game"))
        assert [node.exit_code for node in report.nodes] == [-9]
        assert report.exit_code == 3


class RollService:
    """Rolls of a running cluster on request, as in ``lastcall up``."""

    def __init__(self, cluster, nursery, *, bots=0):
        self.ledger = Ledger(trio.current_time)
        self.messages = []
        self.stop = trio.Event()
        self.rolls = Rolls(
            cluster, self.ledger, bots, lambda _told, text: self.messages.append(text)
        )
        nursery.start_soon(self.rolls.run, self.stop)


async def report_of(replies):
    items = [item async for item in replies]
    assert all(isinstance(item, Progress) for item in items[:-1])
    assert isinstance(items[-1], RollReport)
    return items[-1]


async def test_a_second_roll_is_refused_while_one_is_running(fake_nodes, nursery):
    async with running(fake_nodes(new="good", game="ignores-sigterm")) as cluster:
        service = RollService(cluster, nursery)
        await trio.testing.wait_all_tasks_blocked()
        replies = service.rolls.roll(AskRoll("game"))
        with pytest.raises(ClusterFailed, match=r"a roll to 1\.0\+1 has been under way for"):
            service.rolls.roll(AskRoll("api"))
        await wait_until(lambda: any("drains" in message for message in service.messages))
        cluster.living("game")[0].send(signal.SIGINT)
        assert (await report_of(replies)).exit_code == 3
        assert service.rolls.now is None
        replies = service.rolls.roll(AskRoll("api"))
        assert service.rolls.now == RollNow("", 0, 1), "no step of the roll before"
        assert (await report_of(replies)).exit_code == 0


async def wait_until(condition):
    while not condition():
        await trio.sleep(0.01)


async def test_a_roll_goes_on_when_its_viewer_has_gone(fake_nodes, nursery):
    async with running(fake_nodes()) as cluster:
        service = RollService(cluster, nursery)
        await trio.testing.wait_all_tasks_blocked()
        service.rolls.roll(AskRoll()).close()
        await wait_until(
            lambda: any("Nobody was watching" in message for message in service.messages)
        )
        assert [child.name for child in cluster.living()] == ["game-2", "api-2"]


async def test_a_stop_during_a_roll_ends_it_and_is_reported(fake_nodes, nursery):
    async with running(fake_nodes(new="never-ready")) as cluster:
        service = RollService(cluster, nursery)
        await trio.testing.wait_all_tasks_blocked()
        replies = service.rolls.roll(AskRoll())
        await wait_until(lambda: any("starts" in message for message in service.messages))
        service.stop.set()
        report = await report_of(replies)
        assert report.exit_code == 1
        assert "told to stop" in (report.failure or "")
        with pytest.raises(ClusterFailed, match="is stopping"):
            service.rolls.roll(AskRoll())
        cluster.stop()
        with pytest.raises(ClusterFailed, match="is stopping"):
            cluster.launch("game", "2")


async def test_the_report_counts_only_what_players_notice_during_the_roll(fake_nodes, nursery):
    async with running(fake_nodes()) as cluster:
        service = RollService(cluster, nursery, bots=4)
        service.ledger.error("before")
        await trio.testing.wait_all_tasks_blocked()
        replies = service.rolls.roll(AskRoll())
        await trio.testing.wait_all_tasks_blocked()
        service.ledger.refused()
        service.ledger.reconnected("bot-1")
        service.ledger.joined(0.1)
        players = (await report_of(replies)).players
        assert players is not None
        assert (players.refused, players.lost, players.noticed) == (1, 0, 1)
        assert (players.hops_max, players.hops_mean, players.wait_max) == (1, 0.25, 0.1)
        assert players.troubles == ()
        assert "PLAYERS NOTICED" in service.messages[-1]


async def test_the_nodes_are_listed_with_their_phases(fake_nodes, nursery):
    async with running(fake_nodes()) as cluster:
        service = RollService(cluster, nursery)
        node_list = await service.rolls.nodes()
        assert [(n.name, n.tier, n.version, n.phase) for n in node_list.nodes] == [
            ("api-1", "api", "1.0", "serving"),
            ("game-1", "game", "1.0", "serving"),
        ]
        assert [n.pid for n in node_list.nodes] == [child.pid for child in cluster.children]
        assert node_list.url == cluster.url
