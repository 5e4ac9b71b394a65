"""``lastcall up`` from start to end. The nodes are scripts; a channel replaces the signals."""

from __future__ import annotations

import json
import re
import signal
from io import StringIO

import pytest
import trio
from msgspec.structs import replace
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.local import status_table
from lastcall.local.bots.ledger import Ledger
from lastcall.local.control.messages import AskRoll
from lastcall.local.control.paths import find
from lastcall.local.plan import Plan
from lastcall.local.roll.view import roll
from lastcall.local.status_table import Screen
from lastcall.local.told import NodeLine
from lastcall.local.up import Up
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

APIS, GAMES = ("api-1", "api-2"), ("game-1", "game-2")
FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(client=FREE, admin=FREE, drain=DrainPolicy(grace_seconds=5, farewell_seconds=0.1))


class UpRun:
    """One ``up``, its output, and the channel for requests to stop it."""

    def __init__(self, start, *, plan=PLAN, bots=0, terminal=False, **settings):
        self.output = StringIO()
        console = Console(file=self.output, width=200, force_terminal=terminal)
        self.up = Up(
            plan, bots=bots, console=console, start=start, **({"seconds": None} | settings)
        )
        self.send, self.requests = trio.open_memory_channel(9)

    async def finish(self):
        with trio.fail_after(20):
            return await self.up.run(self.requests)

    async def wait_for_output(self, text):
        while text not in self.output.getvalue():
            await trio.sleep(0.01)


async def test_after_the_given_seconds_all_nodes_drain_and_a_summary_is_shown(fake_nodes):
    up_run = UpRun(fake_nodes(), seconds=0.2)
    assert await up_run.finish() == ExitCode.DRAINED
    lines = up_run.output.getvalue().splitlines()
    assert re.fullmatch(r"See and play: http://127\.0\.0\.1:[0-9]+/", lines[0])
    assert "are ready after" in lines[1]
    assert lines[2].startswith("Clients connect to ws://127.0.0.1:")
    assert lines[-1].split() == ["game-2", "0", "0.5", "2/0/0", "4/0/0"]


async def test_as_json_each_fact_is_an_object_on_one_line(fake_nodes):
    up_run = UpRun(fake_nodes(new="warns"), roll_after=0.1, bots=0, as_json=True, terminal=True)
    assert await up_run.finish() == ExitCode.DRAINED
    told = [json.loads(line) for line in up_run.output.getvalue().splitlines()]
    kinds = [one["is"] for one in told]
    assert (kinds[:2], kinds[-1]) == (["page", "ready"], "summary")
    assert {"progress", "output", "report"} <= set(kinds)
    page, ready, summary = told[0], told[1], told[-1]
    assert page["url"].startswith("http://127.0.0.1:")
    assert ready["nodes"] == [*APIS, *GAMES]
    assert summary["exit_code"] == 0
    assert summary["bots"] is None
    assert [node["name"] for node in summary["nodes"]][:4] == [*APIS, *GAMES]
    assert any("room.slow_step" in one["text"] for one in told if one["is"] == "output")


async def test_without_a_terminal_a_line_is_shown_when_something_has_changed(monkeypatch):
    output = StringIO()
    looks = iter([0, 0, 4, 4])

    class Scripted(Screen):
        async def _read(self, _children, _client):
            return [NodeLine("game-1", "1", "serving", next(looks))]

    monkeypatch.setattr(status_table, "PLAIN_SECONDS", 0)
    screen = Scripted(Ledger(lambda: 0), lambda: 0, Console(file=output, width=200))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await screen.show([])
    assert [line.split()[7] for line in output.getvalue().splitlines()] == ["rooms=0", "rooms=4"]


async def test_a_terminal_shows_a_table_of_the_nodes(fake_nodes):
    up_run = UpRun(fake_nodes(), terminal=True)
    async with trio.open_nursery() as nursery:

        async def stop_when_shown():
            await up_run.wait_for_output("messages/s")
            await up_run.wait_for_output("│ game-2 │ 0.1.0   │ serving │")
            await up_run.send.send(2)

        nursery.start_soon(stop_when_shown)
        assert await up_run.finish() == ExitCode.DRAINED


async def test_a_request_to_stop_drains_and_a_second_one_cuts(fake_nodes):
    up_run = UpRun(fake_nodes("ignores-sigterm"))
    async with trio.open_nursery() as nursery:

        async def twice():
            await up_run.wait_for_output("are ready")
            await up_run.send.send(2)
            await up_run.wait_for_output("All nodes drain")
            await up_run.send.send(2)

        nursery.start_soon(twice)
        assert await up_run.finish() == ExitCode.CUT
    assert "what still runs is cut" in up_run.output.getvalue()


async def test_the_api_nodes_drain_when_the_game_nodes_have_ended(fake_nodes, tmp_path):
    up_run = UpRun(fake_nodes("ignores-sigterm"))
    async with trio.open_nursery() as nursery:

        async def twice():
            await up_run.wait_for_output("are ready")
            await up_run.send.send(2)
            while not all(times_of(tmp_path, game, "stop") for game in GAMES):
                await trio.sleep(0.01)
            assert not any(times_of(tmp_path, api, "stop") for api in APIS)
            await up_run.send.send(2)

        nursery.start_soon(twice)
        assert await up_run.finish() == ExitCode.CUT
    games_ended = [at for game in GAMES for at in times_of(tmp_path, game, "drain.finished")]
    apis_stopped = [times_of(tmp_path, api, "stop")[0] for api in APIS]
    assert len(games_ended) == 2
    assert max(games_ended) < min(apis_stopped)


def events_of(folder, node, name):
    """Returns the events with this name that a fake node has logged."""
    events = [json.loads(line) for line in (folder / f"{node}.log").read_text().splitlines()]
    return [event for event in events if event["event"] == name]


def times_of(folder, node, name):
    return [event["time"] for event in events_of(folder, node, name)]


async def test_both_tiers_drain_within_one_grace(fake_nodes, tmp_path):
    plan = replace(PLAN, drain=DrainPolicy(grace_seconds=1, farewell_seconds=0.1))
    up_run = UpRun(fake_nodes(api="ignores-sigterm"), plan=plan, seconds=0.1)
    assert await up_run.finish() == ExitCode.CUT
    signals = [event["number"] for event in events_of(tmp_path, "api-1", "stop")]
    assert signals == [signal.SIGTERM, signal.SIGINT]


async def test_a_request_to_stop_during_the_start_stops_it(fake_nodes):
    up_run = UpRun(fake_nodes("never-ready"))
    await up_run.send.send(2)
    assert await up_run.finish() == ExitCode.DRAINED
    assert "are ready" not in up_run.output.getvalue()


async def test_an_option_that_every_game_node_refuses_is_reported_once_as_a_usage_error(fake_nodes):
    up_run = UpRun(fake_nodes(game="usage-error"))
    with pytest.raises(UsageError, match="--rooms nope cannot be imported"):
        await up_run.finish()
    assert "nope" not in up_run.output.getvalue()


async def test_a_roll_after_some_seconds_is_reported_and_then_the_cluster_stops(fake_nodes):
    up_run = UpRun(fake_nodes(), roll_after=0.1)
    assert await up_run.finish() == ExitCode.DRAINED
    output = up_run.output.getvalue()
    assert "Roll of the game and api nodes to 0.1.0+1:" in output
    assert "nothing was cut. Nobody was watching" in output
    names = [line.split()[0] for line in output.splitlines()[-8:]]
    assert names[:4] == ["api-1", "api-2", "game-1", "game-2"]
    assert names[4:] == ["game-3", "game-4", "api-3", "api-4"]
    assert "last output" not in output


async def test_a_warning_of_a_new_node_is_shown_by_up_and_by_the_command_that_rolls(fake_nodes):
    up_run = UpRun(fake_nodes(new="warns"))
    viewed = StringIO()
    async with trio.open_nursery() as nursery:

        async def order_roll():
            await up_run.wait_for_output("Ctrl-C drains")
            await roll(find(None), AskRoll("game"), Console(file=viewed, width=200))
            await up_run.send.send(2)

        nursery.start_soon(order_roll)
        assert await up_run.finish() == ExitCode.DRAINED
    for output in (up_run.output.getvalue(), viewed.getvalue()):
        for node in ("game-3", "game-4"):
            assert f"{node}: warning: room.slow_step" in output


async def test_the_exit_code_is_the_worse_of_the_roll_and_the_rest(fake_nodes):
    up_run = UpRun(fake_nodes(new="crashes"), roll_after=0.1)
    assert await up_run.finish() == ExitCode.CRASHED
    output = up_run.output.getvalue()
    assert "The roll has stopped: game-3 ended with exit code 1" in output
    assert [line.split()[1] for line in output.splitlines()[-4:]] == ["0"] * 4


async def test_a_request_to_stop_during_a_roll_stops_all_nodes(fake_nodes):
    up_run = UpRun(fake_nodes(new="never-ready"), roll_after=0.1)
    async with trio.open_nursery() as nursery:

        async def stop():
            await up_run.wait_for_output("game-3 (0.1.0+1) starts")
            await up_run.send.send(2)

        nursery.start_soon(stop)
        assert await up_run.finish() == ExitCode.CRASHED
    output = up_run.output.getvalue()
    assert "told to stop in the middle of the roll" in output
    assert "All nodes drain" in output


async def test_a_node_that_another_command_drains_is_not_reported_as_dead(fake_nodes, tmp_path):
    up_run = UpRun(fake_nodes(game="drains-on-demand"))
    async with trio.open_nursery() as nursery:

        async def drain():
            await up_run.wait_for_output("are ready")
            (tmp_path / "die").touch()

        nursery.start_soon(drain)
        assert await up_run.finish() == ExitCode.DRAINED
    output = up_run.output.getvalue()
    assert "game-1 ended with exit code 0: another command told it to drain" in output
    assert "No game node is left" in output
    assert "last output" not in output


async def test_when_one_tier_has_died_the_other_drains_and_the_exit_code_is_1(fake_nodes, tmp_path):
    up_run = UpRun(fake_nodes(game="dies-on-demand"))
    async with trio.open_nursery() as nursery:

        async def kill_the_tier():
            await up_run.wait_for_output("are ready")
            (tmp_path / "die").touch()

        nursery.start_soon(kill_the_tier)
        assert await up_run.finish() == ExitCode.CRASHED
    output = up_run.output.getvalue()
    assert "game-1 ended with exit code 7. Its last output:" in output
    assert "No game node is left" in output
