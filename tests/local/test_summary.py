"""The summary of a cluster, and its exit code."""

from __future__ import annotations

import pytest

from lastcall.local.admin_client import counter
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child, NodeReady
from lastcall.local.status_table import plain_line
from lastcall.local.summary import exit_code, summarize, summary_text
from lastcall.local.told import Look, NodeLine
from lastcall.wire.reports import DrainFinished


def ended(code, **counts):
    child = Child("game-1", "game", [])
    child.exit_code = code
    child.finished = DrainFinished(seconds=1.25, **counts)
    return child


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([ended(0), ended(0)], 0),
        ([ended(0), ended(3, rooms_cut=1)], 3),
        ([ended(0, clients_cut=1)], 3),
        ([ended(3), ended(1)], 1),
        ([ended(-9)], 1),
        ([ended(2)], 1),
    ],
)
def test_a_crash_decides_the_exit_code_before_a_cut(children, expected):
    assert exit_code(children, None) == expected


@pytest.mark.parametrize("number", [15, 9])
def test_a_node_that_was_stopped_before_it_was_ready_is_not_a_crash(number):
    child = Child("game-1", "game", [])
    child.exit_code = -number
    assert exit_code([child], None) == 1, "nobody told it to stop"
    child.stop()
    assert exit_code([child], None) == 0
    child.ready = NodeReady("game-1", "tcp://127.0.0.1:1", "127.0.0.1:2")
    assert exit_code([child], None) == 1


def test_an_error_of_the_bots_gives_exit_code_1():
    ledger = Ledger(lambda: 0)
    assert exit_code([ended(3)], ledger) == 3
    ledger.add_numbering_errors(gaps=1, repeats=0)
    assert exit_code([ended(3)], ledger) == 1


def test_the_summary_has_a_line_for_each_node_and_one_for_the_bots():
    ledger = Ledger(lambda: 0)
    ledger.error("bot-1: something")
    dead = Child("game-2", "game", [])
    dead.exit_code = -9
    node = ended(0, rooms_finished=3, clients_moved=2, clients_finished=1)
    lines = summary_text(summarize([node, dead], ledger, 1)).splitlines()
    assert lines[1].split() == ["game-1", "0", "1.2", "3/0/0", "2/1/0"]
    assert lines[2].split() == ["game-2", "-9", "-", "-", "-"]
    assert lines[3].startswith("matches finished 0 · first match after - · errors 1 · gaps 0")
    assert lines[4].strip() == "bot-1: something"


def test_counters_are_summed_over_the_other_labels():
    text = (
        "# TYPE m counter\n"
        'm_total{direction="out",node="a"} 3\nm_total{direction="out",node="b"} 4\n'
        'm_total{direction="in",node="a"} 9\n'
    )
    assert counter(text, "m_total", direction="out") == 7
    assert counter(text, "other_total") is None


def test_the_plain_line_has_the_same_figures_as_the_table():
    line = plain_line(Look(12.34, 0, 0, (NodeLine("api-1", "0.1.0", "serving", 2, 4, 31.6),)))
    assert line.split()[:2] == ["12.3", "s"]
    assert "api-1 0.1.0 serving rooms=2 clients=4 msg/s=32" in line
