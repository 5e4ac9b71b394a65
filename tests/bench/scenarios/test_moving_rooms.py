import math
import random

import pytest
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import Crowd
from lastcall.bench.bots.place import SALT_BITS
from lastcall.bench.scenarios.hand_off import HandOffSettings, measure_hand_off
from lastcall.bench.scenarios.kill_game import KillGameSettings, measure_kill_game
from lastcall.bench.scenarios.silences import longest_silence, loop_held, silences

SAID = [1.0, 1.25, 1.5, 1.75]


def test_a_player_who_hears_all_after_the_same_time_notices_no_silence() -> None:
    heard = [(said, said + 0.5) for said in SAID]

    assert longest_silence(heard, 0.0) == 0


def test_a_silence_is_what_a_pause_between_messages_has_more_than_the_pause_between_inputs() -> (
    None
):
    heard = list(zip(SAID, [1.0, 1.25, 2.5, 2.5], strict=True))

    assert longest_silence(heard, 0.0) == 1.0


def test_two_inputs_that_the_room_took_in_another_order_were_said_at_once() -> None:
    heard = [(1.0, 1.5), (0.5, 1.75)]

    assert longest_silence(heard, 0.0) == 0.25


@pytest.mark.parametrize(
    ("begin", "end", "silence"),
    [(0.0, 2.0, 0.0), (1.5, 2.5, 1.0), (2.5, 9.0, 0.0)],
    ids=["before its end", "within", "after"],
)
def test_a_silence_counts_where_it_ends(begin: float, end: float, silence: float) -> None:
    heard = list(zip(SAID, [1.0, 1.25, 2.5, 2.75], strict=True))

    assert longest_silence(heard, begin, end) == silence


def test_messages_are_compared_with_the_inputs_of_those_who_said_them() -> None:
    room = [Bot(Crowd.__new__(Crowd), [], 0, random.Random(0)) for _ in range(2)]
    for name, bot in zip(("ann", "bob"), room, strict=True):
        bot.place.ledger.player = name
    room[0].place.said_at, room[1].place.said_at = [1.0, 2.0], [1.5]
    place = room[1].place
    for number, (speaker, n) in enumerate([("ann", 1), ("bob", 1), ("ann", 2)]):
        place.ledger.hear(2 * number, speaker, n << SALT_BITS)
        place.ledger.hear_whisper(2 * number + 1, speaker, n << SALT_BITS)
    place.heard_at = [1.0, 1.5, 4.0]

    assert silences([room], 0.0) == [0.0, 2.0]


def metrics(*counts: int) -> str:
    bounds = ("0.01", "0.05", "+Inf")
    name = "lastcall_loop_lag_seconds"
    return f"# TYPE {name} histogram\n" + "".join(
        f'{name}_bucket{{le="{bound}"}} {count}\n'
        for bound, count in zip(bounds, counts, strict=True)
    )


def test_a_loop_was_held_for_as_long_as_the_highest_bucket_that_has_grown() -> None:
    before = metrics(5, 7, 8)

    assert loop_held(before, metrics(9, 11, 12)) == 0.01
    assert loop_held(before, metrics(5, 9, 10)) == 0.05
    assert loop_held(before, metrics(6, 8, 10)) == math.inf


@pytest.mark.e2e
async def test_a_small_hand_off_moves_all_rooms_and_loses_nothing() -> None:
    settings = HandOffSettings(
        rooms=6, apis=2, warm_seconds=0.5, calm_seconds=1, after_seconds=1, every_ms=200
    )

    report = await measure_hand_off(settings, Progress(disable=True))

    figures = {figure.name: figure for figure in report.figures}
    assert report.failure == ""
    assert figures["rooms handed off"].value == 6
    assert figures["exit code"].value == 0
    assert figures["sockets lost"].value == 0
    assert figures["inputs"].value > 100
    assert figures["silence, max"].value > 0


@pytest.mark.e2e
async def test_a_killed_node_loses_no_message_of_rooms_that_survive() -> None:
    settings = KillGameSettings(rooms=9, warm_seconds=0.5, calm_seconds=1, after_seconds=5)

    report = await measure_kill_game(settings, Progress(disable=True))

    figures = {figure.name: figure for figure in report.figures}
    assert report.failure == ""
    assert figures["rooms on the node that was killed"].value > 0
    assert figures["sockets lost"].value == 0
    assert figures["silence of their players, max"].value > 0
