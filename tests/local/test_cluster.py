"""Child processes: their start, output, drain and end. The nodes are scripts."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import tomllib
import weakref
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse, ClusterFailed, UsageError
from lastcall.limits import Limits, Rate, read_limits
from lastcall.local.child import Child, NodeReady
from lastcall.local.cluster import open_cluster
from lastcall.local.plan import Plan
from lastcall.local.starting import not_ready
from lastcall.local.summary import exit_code
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(client=FREE, admin=FREE, drain=DrainPolicy(grace_seconds=0.2, farewell_seconds=0.1))
LIMIT_SECONDS = 20


@asynccontextmanager
async def running(start, deaths=None):
    """A cluster of fake nodes that are all ready."""
    with trio.fail_after(LIMIT_SECONDS):
        on_death = (deaths if deaths is not None else []).append
        async with open_cluster(PLAN, on_death, start=start) as cluster:
            await cluster.wait_ready()
            yield cluster


def ready_event(child):
    """Returns the ``node.ready`` event of a fake node, which has its options and environment."""
    return next(json.loads(line) for line in child.output.lines if "node.ready" in line)


def games_list(cluster):
    """Returns the list of game nodes that the api nodes read."""
    return Path(
        ready_event(cluster.children[0])["options"]["--games"].removeprefix("file://")
    ).read_text()


async def test_nodes_start_with_the_options_of_the_plan(fake_nodes):
    async with running(fake_nodes()) as cluster:
        names = [child.name for child in cluster.children]
        assert names == ["api-1", "api-2", "game-1", "game-2"]
        api, game = (
            ready_event(cluster.children[0])["options"],
            ready_event(cluster.children[2])["options"],
        )
        assert api["--listen"].startswith("fd:")
        assert game["--listen"] == api["--feed"] == "tcp://127.0.0.1:0"
        assert game["--rooms"] == "lastcall.game.examples"
        assert api["--log-format"] == game["--log-format"] == "json"
        assert api["--grace"] == "0.2"
        assert games_list(cluster) == "tcp://127.0.0.1:7101\n" * 2
        assert game["--games"] == api["--games"]
        assert game["--feed"] == "tcp://127.0.0.1:0"


async def test_nodes_do_not_inherit_options_from_the_environment(fake_nodes, monkeypatch):
    monkeypatch.setenv("LASTCALL_GAMES", "2")
    async with running(fake_nodes()) as cluster:
        assert ready_event(cluster.children[0])["inherited"] == ["LASTCALL_LIFELINE"]


async def test_a_stop_collects_exit_codes_and_reports(fake_nodes):
    async with running(fake_nodes()) as cluster:
        cluster.stop()
        await cluster.wait_ended()
        assert [child.exit_code for child in cluster.children] == [0, 0, 0, 0]
        report = cluster.children[0].finished
        assert report is not None
        assert (report.rooms_finished, report.clients_moved, report.seconds) == (2, 4, 0.5)


async def test_a_second_signal_cuts_the_nodes(fake_nodes):
    async with running(fake_nodes("ignores-sigterm")) as cluster:
        cluster.stop()
        cluster.cut()
        await cluster.wait_ended()
        assert [child.exit_code for child in cluster.children] == [3, 3, 3, 3]


async def test_a_second_signal_kills_a_node_that_is_not_ready_yet(fake_nodes):
    patient = msgspec.structs.replace(PLAN, drain=DrainPolicy(grace_seconds=60))
    with trio.fail_after(LIMIT_SECONDS):
        async with open_cluster(patient, print, start=fake_nodes("imports")) as cluster:
            for child in cluster.children:
                while not child.output.lines:
                    await trio.sleep(0.01)
            cluster.stop()
            cluster.cut()
            await cluster.wait_ended()
            assert [child.exit_code for child in cluster.children] == [-9, -9, -9, -9]
            assert exit_code(cluster.children, None) == ExitCode.DRAINED, "they served nobody"


async def test_a_node_that_outlives_its_grace_is_killed(fake_nodes):
    async with running(fake_nodes(game="ignores-signals")) as cluster:
        cluster.stop()
        await cluster.wait_ended()
        assert [child.exit_code for child in cluster.children] == [0, 0, -9, -9]
        assert cluster.children[2].how_it_ended() == "game-1 was killed by SIGKILL"


async def test_a_node_that_dies_is_reported_and_its_last_output_is_kept(fake_nodes):
    deaths = []
    async with running(fake_nodes(), deaths) as cluster:
        killed = cluster.children[3]
        killed.send(signal.SIGKILL)
        await killed.ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert deaths == [killed]
        assert "node.ready" in killed.last_output()
        assert games_list(cluster) == "tcp://127.0.0.1:7101\n"


async def test_no_child_is_left_after_the_block(fake_nodes):
    async with running(fake_nodes("ignores-signals")) as cluster:
        pass
    assert [child.exit_code for child in cluster.children] == [-9, -9, -9, -9]


async def test_a_node_that_refuses_its_options_is_a_usage_error(fake_nodes):
    with pytest.raises(UsageError, match=r"game-[12]: --rooms nope cannot be imported"):
        async with running(fake_nodes(game="usage-error")):
            pass


async def test_a_node_that_crashes_at_the_start_fails_the_cluster_with_its_last_output(fake_nodes):
    with pytest.raises(ClusterFailed, match=r"api-[12] ended with exit code 1(?s:.*)the last line"):
        async with running(fake_nodes(api="crashes")):
            pass


async def test_the_error_names_the_nodes_that_never_get_ready_and_says_what_they_lack(fake_nodes):
    plan = msgspec.structs.replace(PLAN, start_seconds=1.5)
    with trio.fail_after(LIMIT_SECONDS):
        async with open_cluster(plan, print, start=fake_nodes(game="never-ready")) as cluster:
            for child in cluster.children:
                await child.became_ready.wait()
            with pytest.raises(ClusterFailed) as failed:
                await cluster.wait_ready()
    lack = "says '503 for ever'"
    assert str(failed.value).startswith(f"not ready within 1.5 s: game-1 {lack}, game-2 {lack}. On")
    assert "--start-timeout" in str(failed.value)


def test_of_nodes_that_have_not_started_the_error_has_the_output(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (25.4, 20, 10))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    asleep, talking, waiting = (
        Child("game-2", "game", []),
        Child("game-1", "game", []),
        Child("api-1", "api", []),
    )
    talking.output.add(b"reading the cards", 0)
    waiting.ready = NodeReady("api-1", "tcp://127.0.0.1:1", "127.0.0.1:2")
    assert str(not_ready([asleep, talking, waiting], 20)) == (
        "not ready within 20 s: game-1 has not started, game-2 has not started. On a busy machine "
        "(the load is 25, with 2 processors), start the cluster with a longer --start-timeout, or "
        "with fewer nodes\noutput of game-1:\n    reading the cards\noutput of game-2:\n"
        "    (no output; it may still be importing your rooms)"
    )
    assert "api-1 has not answered" in str(not_ready([waiting], 20))


async def test_a_client_port_in_use_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as used_port:
        plan = Plan(client=HostPort("127.0.0.1", used_port.getsockname()[1]), admin=FREE)
        with pytest.raises(AddressInUse, match="is in use"):
            async with open_cluster(plan, print):
                pass


def test_admin_ports_are_consecutive_and_zero_stays_zero():
    plan = Plan(admin=HostPort("127.0.0.1", 9000))
    assert [plan.admin_of(number).port for number in range(3)] == [9001, 9002, 9003]
    assert PLAN.admin_of(3).port == 0
    with pytest.raises(UsageError, match="too few ports"):
        Plan(admin=HostPort("127.0.0.1", 65_532))
    Plan(admin=HostPort("127.0.0.1", 65_531))
    with pytest.raises(UsageError, match="at least one api node and one game node"):
        Plan(games=0)


def test_a_client_port_among_the_admin_ports_is_refused_and_the_error_names_both_options():
    with pytest.raises(UsageError, match=r"--port 9004 is one of .* 9000 to 9004.*--admin"):
        Plan(client=HostPort("127.0.0.1", 9004), admin=HostPort("127.0.0.1", 9000))
    Plan(client=HostPort("127.0.0.1", 9005), admin=HostPort("127.0.0.1", 9000))


def test_the_error_for_a_game_node_without_output_says_that_it_may_be_importing():
    assert Child("game-1", "game", []).last_output().strip() == (
        "(no output; it may still be importing your rooms)"
    )
    assert Child("api-1", "api", []).last_output().strip() == "(no output)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise a priority again")
async def test_a_starting_node_has_a_lower_priority_than_the_serving_ones(fake_nodes):
    async with running(fake_nodes()) as cluster:
        for child in cluster.children:
            assert os.getpriority(os.PRIO_PROCESS, child.pid) == 0
        new_node = cluster.launch("game", "2")
        while not new_node.pid:
            await trio.sleep(0.001)
        assert os.getpriority(os.PRIO_PROCESS, new_node.pid) == 10
        await new_node.became_ready.wait()
        assert os.getpriority(os.PRIO_PROCESS, new_node.pid) == 0


LIMITS = Limits(sockets=9, rooms_opened=Rate(3, 0.5))


async def test_every_node_has_the_limits_of_the_plan_one_that_starts_later_too(fake_nodes):
    with trio.fail_after(LIMIT_SECONDS):
        plan = msgspec.structs.replace(PLAN, limits=LIMITS)
        async with open_cluster(plan, [].append, start=fake_nodes()) as cluster:
            await cluster.wait_ready()
            for tier in ("api", "game"):
                await cluster.launch(tier, "2").became_ready.wait()
            for child in cluster.children:
                file = Path(ready_event(child)["options"]["--config"])
                table = tomllib.loads(file.read_text())  # noqa: ASYNC240
                assert read_limits(table["limits"], str(file)) == LIMITS
                assert table.keys() == {"limits"}
            assert len(cluster.children) == 6


async def test_a_cluster_keeps_nothing_of_a_discarded_node(fake_nodes):
    async with running(fake_nodes()) as cluster:
        discarded = weakref.ref(cluster.launch("game", "2"))
        await cluster.discard(discarded())
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert discarded() is None
