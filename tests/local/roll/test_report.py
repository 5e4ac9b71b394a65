"""The report of a roll: its verdict, its exit code, its text."""

from __future__ import annotations

import msgspec
import pytest

from lastcall.local.control.messages import NodeReport, Players, RollReport, decode_reply, encode
from lastcall.local.roll.report import report_text
from lastcall.wire.reports import DrainFinished, HandOffRefusal

GOOD = NodeReport("game-1", "1", 0, DrainFinished(7, 2, 1, seconds=1.26))
ROOM_CUT = NodeReport("game-1", "1", 3, DrainFinished(rooms_cut=1))
CLIENT_CUT = NodeReport("api-1", "1", 0, DrainFinished(clients_cut=1))
UNDISTURBED = Players(bots=50, matches=40, joins=99, hops_max=1, hops_mean=0.98, wait_max=0.0123)


def report(*nodes, players=UNDISTURBED, failure=None):
    return RollReport("all", "2", 12.34, nodes or (GOOD,), ("game-3",), players, failure)


@pytest.mark.parametrize(
    ("rolled", "code", "verdict"),
    [
        (report(), 0, "Nobody noticed; nothing was cut."),
        (report(players=None), 0, "Nobody was watching"),
        (report(players=msgspec.structs.replace(UNDISTURBED, refused=1)), 3, "PLAYERS NOTICED."),
        (report(players=msgspec.structs.replace(UNDISTURBED, cut=1)), 3, "PLAYERS NOTICED."),
        (report(players=msgspec.structs.replace(UNDISTURBED, lost=1)), 3, "PLAYERS NOTICED."),
        (report(players=msgspec.structs.replace(UNDISTURBED, repeated=1)), 3, "PLAYERS NOTICED."),
        (report(ROOM_CUT), 3, "NOT ALL NODES ENDED CLEANLY: game-1 cut 1 room."),
        (
            report(ROOM_CUT, NodeReport("api-1", "1", 3, DrainFinished(clients_cut=2))),
            3,
            "NOT ALL NODES ENDED CLEANLY: game-1 cut 1 room; api-1 cut 2 clients.",
        ),
        (report(CLIENT_CUT), 3, "NOT ALL NODES ENDED CLEANLY: api-1 cut 1 client."),
        (
            report(NodeReport("api-1", "1", -9)),
            3,
            "NOT ALL NODES ENDED CLEANLY: api-1 ended with exit code -9.",
        ),
        (
            report(NodeReport("api-1", "1", None)),
            3,
            "NOT ALL NODES ENDED CLEANLY: api-1 is still draining.",
        ),
        (
            report(GOOD, NodeReport("api-1", "1", -9), players=None),
            3,
            "NOT ALL NODES ENDED CLEANLY: api-1 ended with exit code -9. Nobody was watching",
        ),
        (report(failure="game-3 died"), 1, "The roll has stopped: game-3 died"),
    ],
)
def test_a_report_has_an_exit_code_and_a_verdict(rolled, code, verdict):
    assert rolled.exit_code == code
    assert verdict in report_text(rolled).splitlines()[-1]


def test_the_text_has_a_line_for_each_node_and_the_counts_of_the_players():
    drains = NodeReport("api-1", "1", None)
    lines = report_text(report(GOOD, drains)).splitlines()
    assert lines[0] == "Roll of the game and api nodes to 2: 12.3 s"
    assert lines[2].split() == ["game-1", "1", "0", "1.3", "7/2/1/0/0", "0/0/0"]
    assert lines[3].split() == ["api-1", "1", "drains", "-", "-", "-"]
    assert lines[4] == "new nodes: game-3"
    assert lines[5] == "players who noticed: refused 0 · cut 0 · lost 0 · repeated 0"
    assert lines[7] == "wait to join: p50 0 ms, p99 0 ms, at most 12 ms"
    assert lines[8] == "hops per client: 0.98 on average, 1 at most"


def test_the_text_counts_the_rooms_handed_off_and_names_the_reasons_of_refusals():
    refusals = (HandOffRefusal("den", "the state does not fit"), HandOffRefusal("den", "draining"))
    one = NodeReport("game-1", "1", 0, DrainFinished(rooms_handed_off=1), refusals)
    two = NodeReport("game-2", "1", 3, DrainFinished(rooms_handed_off=2, rooms_cut=1))
    lines = report_text(report(one, two)).splitlines()
    assert lines[4:8] == [
        "new nodes: game-3",
        "3 rooms were handed off: the players went on at another game node.",
        "hand-offs that were refused:",
        "    game-1: den: the state does not fit",
    ]
    assert lines[8] == "    game-1: den: draining"
    assert "1 room was handed off: the" in report_text(report(GOOD, one))


def test_a_decoded_report_equals_the_encoded_one():
    rolled = report(players=msgspec.structs.replace(UNDISTURBED, troubles=("bot-1: no",)))
    refusals = (HandOffRefusal("den", "draining"),)
    rolled = msgspec.structs.replace(rolled, nodes=(NodeReport("a", "1", 0, None, refusals),))
    assert decode_reply(encode(rolled)) == rolled
