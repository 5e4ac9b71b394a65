"""The commands ``roll``, ``status``, ``cordon``, ``uncordon`` and ``drain``, with fake nodes."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import asynccontextmanager
from io import StringIO

import pytest
import trio
from click.shell_completion import ShellComplete
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.cli import cli
from lastcall.errors import ClusterFailed
from lastcall.local.bots.ledger import Ledger
from lastcall.local.cluster import open_cluster
from lastcall.local.control.messages import AskRoll
from lastcall.local.control.paths import find
from lastcall.local.control.socket import serve_control
from lastcall.local.plan import Plan
from lastcall.local.roll.service import Rolls
from lastcall.local.roll.view import DETACHED, roll
from lastcall.policy import DrainPolicy
from lastcall.runtime.command import run_command

FREE = HostPort("127.0.0.1", 0)
PLAN = Plan(1, 1, FREE, FREE, drain=DrainPolicy(5, farewell_seconds=0.1), version="1.0")


@asynccontextmanager
async def running(start):
    """A cluster of fake nodes with a control socket."""
    with trio.fail_after(20):
        async with open_cluster(PLAN, print, start=start) as cluster:
            await cluster.wait_ready()
            rolls, stop = (
                Rolls(cluster, Ledger(trio.current_time), 0, lambda *_: None),
                trio.Event(),
            )
            async with serve_control(cluster.port, rolls, print), trio.open_nursery() as nursery:
                nursery.start_soon(rolls.run, stop)
                await trio.testing.wait_all_tasks_blocked()
                yield cluster
                stop.set()


def code_of(arguments):
    with pytest.raises(SystemExit) as exit_:
        run_command(cli, arguments)
    return exit_.value.code


async def lastcall(*arguments):
    """Runs a command in a thread, since it has its own event loop; returns the exit code."""
    return await trio.to_thread.run_sync(code_of, arguments)


async def test_status_shows_every_node_and_why_a_cordoned_one_is_not_empty(fake_nodes, capsys):
    async with running(fake_nodes()):
        assert await lastcall("status") == 0
        first = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in first] == ["node", "api-1", "game-1"]
        assert await lastcall("cordon", "game-1") == 0
        assert capsys.readouterr().out == "game-1 is cordoned\n"
        assert await lastcall("status") == 0
        rows = capsys.readouterr().out.splitlines()
        assert rows[2].split()[:6] == ["game-1", "1.0", "cordoned", "1", "0", "-"]
        assert rows[3] == "    a lounge, 3 s old"


async def test_status_shows_the_admin_address_and_the_process_id_of_a_node(fake_nodes, capsys):
    async with running(fake_nodes()) as cluster:
        api = cluster.children[0]
        assert await lastcall("status") == 0
        assert capsys.readouterr().out.splitlines()[1].split()[-2:] == [
            api.ready.admin,
            str(api.pid),
        ]
        assert await lastcall("status", "--json") == 0
        assert json.loads(capsys.readouterr().out)[0]["pid"] == api.pid
        assert await lastcall("status", "--admin", api.ready.admin) == 0
        assert capsys.readouterr().out.splitlines()[1].split()[-1] == "-"


async def test_status_shows_which_nodes_have_died_and_how(fake_nodes, capsys):
    async with running(fake_nodes()) as cluster:
        api, game = cluster.children
        game.send(signal.SIGKILL)
        await game.ended.wait()
        assert await lastcall("status") == 1
        rows = capsys.readouterr().out.splitlines()[-2:]
        assert rows[0].split() == [
            *("game-1", "1.0", "killed", "by", "SIGKILL", "-", "-", "-", "-", str(game.pid))
        ]
        assert rows[1].split()[0] == "api-1"
        assert await lastcall("status", "--json") == 1
        assert json.loads(capsys.readouterr().out)[0]["dead"] == "killed by SIGKILL"
        assert await lastcall("status", "--admin", api.ready.admin) == 0
        assert await lastcall("drain", "--all") == 0, "nodes that have ended get no command"


async def test_status_of_one_node_by_its_address_needs_no_cluster(fake_nodes, capsys):
    async with running(fake_nodes()) as cluster:
        admin = cluster.children[0].ready.admin
        assert await lastcall("status", "--admin", admin, "--json") == 0
        (node,) = json.loads(capsys.readouterr().out)
        assert (node["admin"], node["name"], node["why"]) == (admin, "api-1", ["a lounge, 3 s old"])


async def test_a_node_that_does_not_answer_gives_exit_code_1(capsys, refusing_port):
    assert await lastcall("status", "--admin", f"127.0.0.1:{refusing_port}") == 1
    assert "no answer" in capsys.readouterr().out
    assert await lastcall("cordon", "--admin", f"127.0.0.1:{refusing_port}") == 1
    assert capsys.readouterr().err.startswith(f"Error: 127.0.0.1:{refusing_port}: no answer")


@pytest.fixture
def refusing_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        yield sock.getsockname()[1]


NODE_KEYS = {"name", "tier", "version", "phase", "rooms", "clients", "seconds_left", "why"}


async def test_as_json_each_command_prints_an_object_for_each_node(fake_nodes, capsys):
    async with running(fake_nodes()):
        for command, more in (
            (("status",), {"admin", "pid"}),
            (("cordon", "--all"), set()),
            (("uncordon", "--all"), set()),
            (("drain", "--all"), set()),
        ):
            assert await lastcall(*command, "--json") == 0
            (line,) = capsys.readouterr().out.splitlines()
            nodes = json.loads(line)
            assert [node["name"] for node in nodes] == ["api-1", "game-1"]
            assert [node.keys() for node in nodes] == [NODE_KEYS | more] * 2


async def test_as_json_a_roll_prints_its_steps_and_last_its_report(fake_nodes):
    output = StringIO()
    async with running(fake_nodes()):
        assert await roll(find(None), AskRoll("game"), Console(file=output), as_json=True) == 0
    *steps, report = map(json.loads, output.getvalue().splitlines())
    assert {step["is"] for step in steps} == {"progress"}
    assert (report["is"], report["started"], report["players"]) == ("report", ["game-2"], None)


async def test_commands_go_to_nodes_by_name_or_by_address_or_to_all(fake_nodes, capsys):
    async with running(fake_nodes()) as cluster:
        api = cluster.children[0].ready.admin
        assert await lastcall("cordon", "--all") == 0
        game = cluster.children[1].ready.admin
        assert await lastcall("uncordon", "--admin", api, "--admin", game) == 0
        assert await lastcall("drain", "api-1", "game-1", "api-1") == 0
        assert capsys.readouterr().out.splitlines() == [
            *("api-1 is cordoned", "game-1 is cordoned"),
            *("api-1 takes new work again", "game-1 takes new work again"),
            *("api-1 drains", "game-1 drains"),
        ]


async def test_the_token_of_the_file_is_sent_to_the_node(fake_nodes, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    async with running(fake_nodes()) as cluster:
        api = cluster.children[0]
        token = ("--admin-token-file", str(file))
        assert await lastcall("cordon", "--admin", api.ready.admin, *token) == 0
        assert await lastcall("status", "--admin", api.ready.admin, *token) == 0
        while "command" not in api.last_output():
            await trio.sleep(0.01)
        event = next(json.loads(line) for line in api.output.lines if '"command"' in line)
        assert event["authorization"] == "Bearer 0123456789abcdef"


async def test_nodes_named_on_the_command_line_replace_those_of_the_environment(
    fake_nodes, monkeypatch, capsys
):
    async with running(fake_nodes()) as cluster:
        monkeypatch.setenv("LASTCALL_ADMIN", cluster.children[0].ready.admin)
        assert await lastcall("cordon", "game-1") == 0
        assert await lastcall("uncordon", "game-1") == 0
        assert await lastcall("cordon", "--all") == 0
        assert await lastcall("uncordon") == 0
        assert capsys.readouterr().out.splitlines() == [
            *("game-1 is cordoned", "game-1 takes new work again"),
            *("api-1 is cordoned", "game-1 is cordoned"),
            "api-1 takes new work again",
        ]


async def test_a_refusal_shows_the_message_of_the_node_and_the_other_nodes_still_get_the_command(
    fake_nodes, capsys
):
    async with running(fake_nodes()):
        assert await lastcall("cordon", "api-1") == 0
        assert await lastcall("cordon", "--all") == 1
        printed = capsys.readouterr()
        assert printed.out == "api-1 is cordoned\ngame-1 is cordoned\n"
        assert "Error: api-1:" in printed.err
        assert "it is cordoned already" in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "phrase"),
    [
        (["cordon"], 2, "cordon: give node names (such as game-1)"),
        (
            ["cordon", "--all", "api-1"],
            2,
            "cordon: give node names (such as game-1), or --admin, or --all (exactly one)",
        ),
        (
            ["drain", "--admin", "127.0.0.1:9", "api-1"],
            2,
            "drain: give node names (such as game-1), or --admin, or --all",
        ),
        (["uncordon", "--admin", "127.0.0.1:9", "--all"], 2, "exactly one"),
        (["drain", "--admin", "here"], 2, "HOST:PORT"),
        (["status", "--port", "0"], 2, "--port"),
        (["roll", "--tier", "both"], 2, "--tier"),
        (["drain", "--all", "--admin-token-file", "/nowhere"], 2, "/nowhere cannot be read"),
        (["roll", "--version", "-x"], 2, "is not a version"),
        (["status"], 1, "no local cluster is running on port 8080; start one with: lastcall up"),
        (["roll", "--port", "9"], 1, "on port 9; start one with: lastcall up --port 9"),
        (["drain", "game-1"], 1, "no local cluster is running"),
    ],
)
def test_a_command_that_fails_prints_one_line(arguments, code, phrase, capsys):
    assert code_of(arguments) == code
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: ")
    assert printed.err.count("\n") == 1
    assert phrase in printed.err
    assert printed.out == ""


async def test_an_unknown_node_name_is_a_usage_error(fake_nodes, capsys):
    async with running(fake_nodes()):
        assert await lastcall("drain", "game-9") == 2
        assert "no node 'game-9' in the local cluster; its nodes: api-1, game-1" in (
            capsys.readouterr().err
        )


async def run_and_capture(tier="all", *, terminal=False):
    output = StringIO()
    console = Console(file=output, width=160, force_terminal=terminal)
    code = await roll(find(None), AskRoll(tier), console)
    return code, output.getvalue()


async def test_a_roll_is_shown_line_by_line_and_reported(fake_nodes):
    async with running(fake_nodes()):
        code, output = await run_and_capture()
        assert code == 0
        lines = output.splitlines()
        assert lines[0].endswith("game-1 (1.0) will be replaced")
        assert any(line.endswith("game-2 (1.0+1) is ready") for line in lines)
        assert any(
            line.split() == ["game-1", "1.0", "0", "0.5", "2/0/0/0/0", "4/0/0"] for line in lines
        )
        assert lines[-1].endswith("nothing was cut. Nobody was watching: there are no bots.")


async def test_a_roll_is_shown_as_a_table_on_a_terminal(fake_nodes):
    async with running(fake_nodes()):
        code, output = await run_and_capture("game", terminal=True)
        assert code == 0
        rows = [line.split() for line in output.splitlines() if line.startswith("│")]
        last = {row[1]: row[5] for row in rows if len(row) > 5}
        assert last["game-1"] == "ended"
        assert last["game-2"] == "ready"


async def test_ctrl_c_closes_the_view_and_the_roll_goes_on(fake_nodes):
    async with running(fake_nodes(new="good", game="ignores-sigterm")) as cluster:
        codes = []

        async def view():
            codes.append(await run_and_capture())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(view)
            while len(cluster.living("game")) < 2 or not cluster.children[1].replaced:
                await trio.sleep(0.01)
            signal.raise_signal(signal.SIGINT)
        ((code, output),) = codes
        assert code == DETACHED
        assert output.splitlines()[-1].startswith("The view is closed; the roll goes on")
        with pytest.raises(ClusterFailed, match="has been under way"):
            await run_and_capture()
        cluster.children[1].send(signal.SIGINT)
        await cluster.children[0].ended.wait()
        assert [child.version for child in cluster.living()] == ["1.0+1"] * 2


async def test_a_shell_is_offered_the_names_of_the_nodes(fake_nodes):
    def offered():
        completion = ShellComplete(cli, {}, "lastcall", "_COMPLETE")
        return [item.value for item in completion.get_completions(["drain", "--json"], "ga")]

    async with running(fake_nodes()):
        assert await trio.to_thread.run_sync(offered) == ["game-1"]
