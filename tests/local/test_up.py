"""``lastcall up`` from its start to its end. The nodes are scripts, the stop requests items."""

from __future__ import annotations

import json
import signal
from io import StringIO

import pytest
import trio
from msgspec.structs import replace
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.local.plan import Plan
from lastcall.local.up import Up
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

APIS, GAMES = ("api-1", "api-2"), ("game-1", "game-2")
FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(client=FREE, admin=FREE, drain=DrainPolicy(grace_seconds=5, farewell_seconds=0.1))


class Run:
    """One ``up``: its output, and the way to send it a request to stop."""

    def __init__(self, start, *, plan=PLAN, bots=0, terminal=False, **when):
        self.shown = StringIO()
        console = Console(file=self.shown, width=200, force_terminal=terminal)
        self.up = Up(plan, bots=bots, console=console, start=start, **({"seconds": None} | when))
        self.send, self.requests = trio.open_memory_channel(9)

    async def to_its_end(self):
        with trio.fail_after(20):
            return await self.up.run(self.requests)

    async def shows(self, text):
        while text not in self.shown.getvalue():
            await trio.sleep(0.01)


async def test_after_its_seconds_all_nodes_drain_and_the_summary_is_shown(fake_nodes):
    run = Run(fake_nodes(), seconds=0.2)
    assert await run.to_its_end() == ExitCode.DRAINED
    lines = run.shown.getvalue().splitlines()
    assert "are ready after" in lines[0]
    url = lines[1].removeprefix("Clients connect to ").partition(";")[0]
    assert lines[2].endswith(f"/demo?ws={url}")
    assert lines[-1].split() == ["game-2", "0", "0.5", "2/0", "4/0/0"]


async def test_a_terminal_shows_a_table_of_the_nodes(fake_nodes):
    run = Run(fake_nodes(), terminal=True)
    async with trio.open_nursery() as nursery:

        async def stop_when_shown():
            await run.shows("messages/s")
            await run.shows("│ game-2 │ 0.1.0   │ serving │")
            await run.send.send(2)

        nursery.start_soon(stop_when_shown)
        assert await run.to_its_end() == ExitCode.DRAINED


async def test_a_request_to_stop_drains_and_a_second_one_cuts(fake_nodes):
    run = Run(fake_nodes("waits-for-the-second"))
    async with trio.open_nursery() as nursery:

        async def twice():
            await run.shows("are ready")
            await run.send.send(2)
            await run.shows("All nodes drain")
            await run.send.send(2)

        nursery.start_soon(twice)
        assert await run.to_its_end() == ExitCode.CUT
    assert "what still runs is cut" in run.shown.getvalue()


async def test_the_api_nodes_drain_when_the_game_nodes_have_ended(fake_nodes, tmp_path):
    run = Run(fake_nodes("waits-for-the-second"))
    async with trio.open_nursery() as nursery:

        async def twice():
            await run.shows("are ready")
            await run.send.send(2)
            while not all(times_of(tmp_path, game, "stop") for game in GAMES):
                await trio.sleep(0.01)
            assert not any(times_of(tmp_path, api, "stop") for api in APIS)
            await run.send.send(2)

        nursery.start_soon(twice)
        assert await run.to_its_end() == ExitCode.CUT
    games_ended = [at for game in GAMES for at in times_of(tmp_path, game, "drain.finished")]
    apis_stopped = [times_of(tmp_path, api, "stop")[0] for api in APIS]
    assert len(games_ended) == 2
    assert max(games_ended) < min(apis_stopped)


def events_of(folder, node, name):
    """The events of this name that a fake node has reported."""
    events = [json.loads(line) for line in (folder / f"{node}.log").read_text().splitlines()]
    return [event for event in events if event["event"] == name]


def times_of(folder, node, name):
    return [event["time"] for event in events_of(folder, node, name)]


async def test_both_tiers_drain_within_one_grace(fake_nodes, tmp_path):
    plan = replace(PLAN, drain=DrainPolicy(grace_seconds=1, farewell_seconds=0.1))
    run = Run(fake_nodes(api="waits-for-the-second"), plan=plan, seconds=0.1)
    assert await run.to_its_end() == ExitCode.CUT
    signals = [event["number"] for event in events_of(tmp_path, "api-1", "stop")]
    assert signals == [signal.SIGTERM, signal.SIGINT]


async def test_a_request_to_stop_during_the_start_stops_it(fake_nodes):
    run = Run(fake_nodes("never-ready"))
    await run.send.send(2)
    assert await run.to_its_end() == ExitCode.DRAINED
    assert "are ready" not in run.shown.getvalue()


async def test_an_option_that_every_game_node_refuses_is_reported_once(fake_nodes):
    run = Run(fake_nodes(game="usage"))
    with pytest.raises(UsageError, match="--rooms nope cannot be imported"):
        await run.to_its_end()
    assert "nope" not in run.shown.getvalue()


async def test_a_roll_after_some_seconds_is_reported_and_then_the_cluster_stops(fake_nodes):
    run = Run(fake_nodes(), roll_after=0.1)
    assert await run.to_its_end() == ExitCode.DRAINED
    shown = run.shown.getvalue()
    assert "Roll of the game and api nodes to 0.1.0+1:" in shown
    assert "nothing was cut. Nobody was watching" in shown
    names = [line.split()[0] for line in shown.splitlines()[-8:]]
    assert names == [f"{tier}-{n}" for t in ("12", "34") for tier, n in _names(t)]
    assert "last output" not in shown


def _names(numbers):
    tiers = ("api", "game") if numbers == "12" else ("game", "api")
    return [(tier, number) for tier in tiers for number in numbers]


async def test_the_exit_code_is_the_worst_of_the_roll_and_of_the_rest(fake_nodes):
    run = Run(fake_nodes(new="crashes"), roll_after=0.1)
    assert await run.to_its_end() == ExitCode.CRASHED
    shown = run.shown.getvalue()
    assert "The roll has stopped: game-3 ended with exit code 1" in shown
    assert [line.split()[1] for line in shown.splitlines()[-4:]] == ["0"] * 4


async def test_a_request_to_stop_in_the_middle_of_a_roll_stops_everything(fake_nodes):
    run = Run(fake_nodes(new="never-ready"), roll_after=0.1)
    async with trio.open_nursery() as nursery:

        async def stop():
            await run.shows("game-3 (0.1.0+1) starts")
            await run.send.send(2)

        nursery.start_soon(stop)
        assert await run.to_its_end() == ExitCode.CRASHED
    shown = run.shown.getvalue()
    assert "told to stop in the middle of the roll" in shown
    assert "All nodes drain" in shown


async def test_a_node_that_another_command_has_drained_has_not_died(fake_nodes, tmp_path):
    run = Run(fake_nodes(game="drains-on-demand"))
    async with trio.open_nursery() as nursery:

        async def drain():
            await run.shows("are ready")
            (tmp_path / "die").touch()

        nursery.start_soon(drain)
        assert await run.to_its_end() == ExitCode.DRAINED
    shown = run.shown.getvalue()
    assert "game-1 ended with exit code 0: another command told it to drain" in shown
    assert "No game node is left" in shown
    assert "last output" not in shown


async def test_when_a_tier_has_died_the_other_drains_and_the_code_is_1(fake_nodes, tmp_path):
    run = Run(fake_nodes(game="dies-on-demand"))
    async with trio.open_nursery() as nursery:

        async def kill_the_tier():
            await run.shows("are ready")
            (tmp_path / "die").touch()

        nursery.start_soon(kill_the_tier)
        assert await run.to_its_end() == ExitCode.CRASHED
    shown = run.shown.getvalue()
    assert "game-1 ended with exit code 7. Its last output:" in shown
    assert "No game node is left" in shown
