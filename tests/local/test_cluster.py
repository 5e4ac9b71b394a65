"""Child processes: started, heard, drained, and told when they die. The nodes are scripts."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse, ClusterFailed, UsageError
from lastcall.local.child import Child
from lastcall.local.cluster import Plan, open_cluster
from lastcall.local.summary import exit_code
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(client=FREE, admin=FREE, drain=DrainPolicy(grace_seconds=0.2, farewell_seconds=0.1))
LIMIT_SECONDS = 20


@asynccontextmanager
async def running(start, deaths=None, *, limit_seconds=20):
    """A cluster of fake nodes that are all ready."""
    with trio.fail_after(LIMIT_SECONDS):
        on_death = (deaths if deaths is not None else []).append
        async with open_cluster(PLAN, on_death, start=start) as cluster:
            await cluster.wait_ready(limit_seconds=limit_seconds)
            yield cluster


def told(child):
    """What the fake node says of how it was started."""
    return next(json.loads(line) for line in child.last_words if "node.ready" in line)


def listed_games(cluster):
    """The list from which the api nodes know the game nodes."""
    return Path(told(cluster.children[0])["options"]["--games"].removeprefix("file://")).read_text()


async def test_nodes_start_with_what_the_contract_asks_for(fake_nodes):
    async with running(fake_nodes()) as cluster:
        names = [child.name for child in cluster.children]
        assert names == ["api-1", "api-2", "game-1", "game-2"]
        api, game = told(cluster.children[0])["options"], told(cluster.children[2])["options"]
        assert api["--listen"].startswith("fd:")
        assert game["--listen"] == api["--feed"] == "tcp://127.0.0.1:0"
        assert game["--rooms"] == "lastcall.game.examples"
        assert api["--log-format"] == game["--log-format"] == "json"
        assert api["--grace"] == "0.2"
        assert listed_games(cluster) == "tcp://127.0.0.1:7101\n" * 2


async def test_children_get_none_of_our_options(fake_nodes, monkeypatch):
    monkeypatch.setenv("LASTCALL_GAMES", "2")
    async with running(fake_nodes()) as cluster:
        assert told(cluster.children[0])["ours"] == ["LASTCALL_LIFELINE"]


async def test_a_stop_collects_exit_codes_and_reports(fake_nodes):
    async with running(fake_nodes()) as cluster:
        cluster.stop()
        await cluster.wait_ended()
        assert [child.exit_code for child in cluster.children] == [0, 0, 0, 0]
        report = cluster.children[0].finished
        assert report is not None
        assert (report.rooms_finished, report.clients_moved, report.seconds) == (2, 4, 0.5)


async def test_the_second_signal_cuts(fake_nodes):
    async with running(fake_nodes("waits-for-the-second")) as cluster:
        cluster.stop()
        cluster.hurry()
        await cluster.wait_ended()
        assert [child.exit_code for child in cluster.children] == [3, 3, 3, 3]


async def test_the_second_signal_ends_a_node_that_is_not_ready_yet(fake_nodes):
    patient = msgspec.structs.replace(PLAN, drain=DrainPolicy(grace_seconds=60))
    with trio.fail_after(LIMIT_SECONDS):
        async with open_cluster(patient, print, start=fake_nodes("imports")) as cluster:
            for child in cluster.children:
                while not child.last_words:
                    await trio.sleep(0.01)
            cluster.stop()
            cluster.hurry()
            await cluster.wait_ended()
            assert [child.exit_code for child in cluster.children] == [-9, -9, -9, -9]
            assert exit_code(cluster.children, None) == ExitCode.DRAINED, "they served nobody"


async def test_a_node_that_outlives_its_grace_is_killed(fake_nodes):
    async with running(fake_nodes(game="stubborn")) as cluster:
        cluster.stop()
        await cluster.wait_ended()
        assert [child.exit_code for child in cluster.children] == [0, 0, -9, -9]
        assert cluster.children[2].how_it_ended() == "game-1 was killed by SIGKILL"


async def test_a_node_that_dies_is_told_with_its_last_words(fake_nodes):
    deaths = []
    async with running(fake_nodes(), deaths) as cluster:
        victim = cluster.children[3]
        victim.send(signal.SIGKILL)
        await victim.ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert deaths == [victim]
        assert "node.ready" in victim.last_words_text()
        assert listed_games(cluster) == "tcp://127.0.0.1:7101\n"


async def test_leaving_the_block_leaves_no_child(fake_nodes):
    async with running(fake_nodes("stubborn")) as cluster:
        pass
    assert [child.exit_code for child in cluster.children] == [-9, -9, -9, -9]


async def test_a_node_that_refuses_its_options_is_wrong_usage(fake_nodes):
    with pytest.raises(UsageError, match=r"game-[12]: --rooms nope cannot be imported"):
        async with running(fake_nodes(game="usage")):
            pass


async def test_a_node_that_crashes_at_the_start_fails_with_its_last_words(fake_nodes):
    with pytest.raises(ClusterFailed, match=r"api-[12] ended with exit code 1(?s:.*)the last word"):
        async with running(fake_nodes(api="crashes")):
            pass


async def test_nodes_that_never_get_ready_are_named(fake_nodes):
    with pytest.raises(ClusterFailed, match="not ready within 2 s: game-1, game-2"):
        async with running(fake_nodes(game="never-ready"), limit_seconds=2):
            pass


async def test_a_client_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        plan = Plan(client=HostPort("127.0.0.1", taken.getsockname()[1]), admin=FREE)
        with pytest.raises(AddressInUse, match="is in use"):
            async with open_cluster(plan, print):
                pass


def test_admin_ports_follow_each_other_and_zero_stays_zero():
    plan = Plan(admin=HostPort("127.0.0.1", 9000))
    assert [plan.admin_of(number).port for number in range(3)] == [9000, 9001, 9002]
    assert PLAN.admin_of(3).port == 0
    with pytest.raises(UsageError, match="no ports for so many"):
        Plan(admin=HostPort("127.0.0.1", 65_534))
    with pytest.raises(UsageError, match="one game node at least"):
        Plan(games=0)


def test_a_client_port_in_the_row_of_admin_ports_is_refused_with_both_options():
    with pytest.raises(UsageError, match=r"--port 9003 is one of .* 9000 to 9003.*--admin"):
        Plan(client=HostPort("127.0.0.1", 9003), admin=HostPort("127.0.0.1", 9000))
    Plan(client=HostPort("127.0.0.1", 9004), admin=HostPort("127.0.0.1", 9000))


def child_that_said(*lines: str) -> list[str]:
    told: list[str] = []
    child = Child("game-1", "game", [])
    child.on_trouble = told.append
    for line in lines:
        child._on_line(line.encode())
    return told


def test_a_crashed_room_is_told_at_once_with_its_traceback():
    [told] = child_that_said(
        '{"level":"info","event":"link.up"}',
        '{"level":"error","event":"room.crashed","kind":"dice","traceback":"line 7\\nboom"}',
        '{"level":"warning","event":"link.failed"}',
    )
    assert told.startswith("game-1: ")
    assert "room.crashed" in told
    assert "boom" in told


def test_what_a_room_prints_is_told_and_so_is_a_warning_of_its_code():
    told = child_that_said(
        "hello from a room",
        '{"level":"warning","logger":"py.warnings","event":"coroutine was never awaited"}',
    )
    assert [line.startswith("game-1: ") for line in told] == [True, True]
    assert "hello from a room" in told[0]
    assert "never awaited" in told[1]


def test_a_node_that_never_stops_complaining_is_told_20_times():
    told = child_that_said(*["trouble"] * 100)
    assert len(told) == 21
    assert told[-1].endswith("is not shown")


def test_a_refusal_is_left_to_whoever_started_the_node_unless_it_was_none():
    refusal = "Error: cannot import 'mine'"
    assert child_that_said(refusal) == []
    assert child_that_said(refusal, "and goes on") == [
        f"game-1: {refusal}",
        "game-1: and goes on",
    ]


def test_a_game_node_that_says_nothing_may_be_importing():
    assert Child("game-1", "game", []).last_words_text().strip() == (
        "(it said nothing; it may still be importing your rooms)"
    )
    assert Child("api-1", "api", []).last_words_text().strip() == "(it said nothing)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise a priority again")
async def test_a_node_that_starts_stands_back_behind_those_that_serve(fake_nodes):
    async with running(fake_nodes()) as cluster:
        for child in cluster.children:
            assert os.getpriority(os.PRIO_PROCESS, child.pid) == 0
        late = cluster.launch("game", "2")
        while not late.pid:
            await trio.sleep(0.001)
        assert os.getpriority(os.PRIO_PROCESS, late.pid) == 10
        await late.became_ready.wait()
        assert os.getpriority(os.PRIO_PROCESS, late.pid) == 0
