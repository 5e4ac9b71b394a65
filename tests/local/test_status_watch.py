"""``lastcall status --watch``, and the answers of commands as JSON."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import trio
from msgspec.structs import replace
from rich.console import Console

from lastcall.errors import ClusterFailed
from lastcall.local.commands import Target, results_json, status_table
from lastcall.local.status_watch import JsonLines, PlainLines, watch
from lastcall.wire.reports import Status
from tests.runtime.admin.test_node_page import serving

ONE, TWO = Target("game-1", "10.0.0.1:9101"), Target("game-2", "10.0.0.2:9101")


def now(name, phase="serving", rooms=0, seconds_left=None):
    return Status(name, "game", "1", phase, rooms, 0, seconds_left)


def shown(show, *looks):
    """The lines that ``show`` prints at each look."""
    printed = []
    for targets, answers in looks:
        before = len(show._console.file.getvalue())
        show(targets, answers)
        printed.append(show._console.file.getvalue()[before:].splitlines())
    return printed


def console():
    return Console(file=StringIO(), width=500)


def test_without_a_terminal_each_change_is_a_line_and_no_change_is_none():
    looks = [
        ([ONE, TWO], [now("game-1"), now("game-2")]),
        ([ONE, TWO], [now("game-1"), now("game-2")]),
        ([ONE, TWO], [now("game-1", "draining", 3, 20.0), now("game-2")]),
        ([ONE, TWO], [now("game-1", "draining", 3, 19.0), None]),
        ([TWO], [now("game-2", rooms=3)]),
    ]
    assert shown(PlainLines(console()), *looks) == [
        ["game-1 1 serving rooms=0 clients=0", "game-2 1 serving rooms=0 clients=0"],
        [],
        ["game-1 1 draining rooms=3 clients=0"],
        ["game-2 - no answer"],
        ["game-2 1 serving rooms=3 clients=0", "game-1 is gone"],
    ]


def test_a_node_that_has_started_is_not_gone():
    looks = [
        ([Target("game-3", "", 7)], [None]),
        ([Target("game-3", "10.0.0.3:9101", 7)], [now("game-3")]),
        ([], []),
    ]
    assert shown(PlainLines(console()), *looks) == [
        ["game-3 - starting"],
        ["game-3 1 serving rooms=0 clients=0"],
        ["game-3 is gone"],
    ]


def test_as_json_each_change_is_one_array_on_one_line():
    looks = [
        ([ONE], [now("game-1")]),
        ([ONE], [now("game-1")]),
        ([ONE], [now("game-1", "draining", seconds_left=9.0)]),
        ([ONE], [now("game-1", "draining", seconds_left=8.0)]),
    ]
    first, second, third, fourth = shown(JsonLines(console()), *looks)
    assert [json.loads(line)[0]["phase"] for line in first + third] == ["serving", "draining"]
    assert second == fourth == []


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_node_is_watched_until_its_phase_changes(terminal):
    out = StringIO()
    async with serving() as node, trio.open_nursery() as nursery:

        async def find():
            return [Target("game-1", str(node.address))]

        async def run():
            show = Console(file=out, width=200, force_terminal=terminal)
            await watch(find, None, show, as_json=False)

        nursery.start_soon(run)
        for phase in ("serving", "draining"):
            while phase not in out.getvalue():
                await trio.sleep(0.01)
            node.drain.stop()
        nursery.cancel_scope.cancel()
    assert ("seconds to the cut" in out.getvalue()) is terminal


def test_on_a_narrow_terminal_each_node_has_its_row_and_the_reasons_are_below():
    out = console()
    out.width = 80
    draining = replace(now("game-1", "draining", 3, 20.0), why=("a [b]",))
    out.print(status_table([ONE, TWO], [draining, None]))
    lines = [line.rstrip() for line in out.file.getvalue().splitlines()]
    assert all(len(line) <= 80 for line in lines)
    assert [line.split()[:3] for line in lines[-3:-1]] == [
        ["game-1", "1", "draining"],
        ["game-2", "-", "no"],
    ]
    assert lines[-1] == "game-1: a [b]"


def test_the_answers_of_a_command_as_json_have_an_error_for_each_refusal():
    results = [now("game-1", "cordoned"), ClusterFailed("game-2: it is cordoned already")]
    one, two = json.loads(results_json([ONE, TWO], results))
    assert (one["name"], one["phase"]) == ("game-1", "cordoned")
    assert two == {"name": "game-2", "error": "game-2: it is cordoned already"}
