"""The lines of a node that ``lastcall up`` shows: no warning is lost, and no flood buries it."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import memory_stream_pair

from lastcall.local.output import LINE_BYTES_MAX, NodeOutput, readable

NODE = "game-1"


def event(level, name, **fields):
    """A line of the node's log."""
    return json.dumps({"at": "…", "level": level, "event": name, "node": NODE, **fields})


def shown_lines(*lines):
    """Returns the lines that the operator sees when a node writes these lines."""
    shown = []
    output = NodeOutput(NODE, shown.append, lambda _event, _line: None)
    for line in lines:
        output.add(line.encode(), now=0.0)
    return shown


class Terminal:
    """A node whose output is read, and what the operator sees of it, with the times."""

    def __init__(self, nursery):
        self.shown = []
        self._pipe, theirs = memory_stream_pair()
        output = NodeOutput(NODE, self._show, lambda _event, _line: None)
        nursery.start_soon(output.read, theirs)

    def _show(self, text):
        self.shown.append((trio.current_time(), text))

    async def write(self, *lines):
        await self._pipe.send_all("".join(f"{line}\n" for line in lines).encode())
        await trio.testing.wait_all_tasks_blocked()

    async def end(self):
        await self._pipe.aclose()
        await trio.testing.wait_all_tasks_blocked()


def test_warnings_and_errors_are_shown_with_the_node_s_name_and_other_events_are_not():
    assert shown_lines(
        event("debug", "client.closed"),
        event("info", "link.up"),
        event("warning", "room.slow_step", kind="dice", room="game-1.x", seconds=0.061),
        event("warning", "the deck is short", logger="mine.rooms"),
        event("warning", "rooms.py:3: UserWarning: careful\n  warn()\n", logger="py.warnings"),
        event("error", "room.crashed", kind="dice", traceback="line 7\nboom\n"),
        event("critical", "drain.overrun", grace_seconds=25),
    ) == [
        "game-1: warning: room.slow_step kind=dice room=game-1.x seconds=0.061",
        "game-1: warning: the deck is short logger=mine.rooms",
        "game-1: warning: rooms.py:3: UserWarning: careful\n      warn()\n     logger=py.warnings",
        "game-1: error: room.crashed kind=dice\n    line 7\n    boom",
        "game-1: critical: drain.overrun grace_seconds=25",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "hello from a room",
        '{"event":"mine","level":"info"}',
        '{"event":"node.ready"}',
        '{"event":7}',
        '{"event":"deep","in":' + "[" * 5_000 + "]" * 5_000 + "}",
        "\x00\ufffd",
    ],
)
def test_what_a_room_prints_is_shown_whatever_it_looks_like(text):
    (shown,) = shown_lines(text)
    assert shown.startswith(f"game-1: {text[:1_000]}")
    assert readable(text, NODE)


def test_a_usage_error_is_not_shown_unless_other_lines_follow_it():
    refusal = "Error: cannot import 'mine'"
    assert shown_lines(refusal) == []
    assert shown_lines(refusal, "and goes on") == [
        f"game-1: {refusal}",
        "game-1: and goes on",
    ]


def test_a_long_line_loses_its_middle_and_keeps_its_end():
    (shown,) = shown_lines("a" * 1_000 + "b" * 7_000 + "c" * 4_000)
    begin, note, end = shown.removeprefix("game-1: ").split(" … ")
    assert (begin, end) == ("a" * 1_000, "c" * 4_000)
    assert note == "(7000 characters are not shown)"


async def test_three_equal_lines_in_10_s_are_shown_and_then_the_number_of_the_others(
    nursery, autojump_clock
):
    terminal = Terminal(nursery)
    slow = event("warning", "room.slow_step", kind="dice", room="game-1.x", seconds=0.06)
    await terminal.write(*[slow] * 100, event("warning", "room.slow_step", kind="cards"))
    assert [at for at, _ in terminal.shown] == [0] * 4
    await trio.sleep(9)
    await terminal.write(slow)
    assert len(terminal.shown) == 4
    await trio.sleep(2)
    [*_, last] = terminal.shown
    assert last == (
        10,
        "game-1: 98 more warnings within 10 s are not shown: room.slow_step dice (98)",
    )
    await terminal.write(slow)
    assert [at for at, _ in terminal.shown[5:]] == [11], "another period has begun"


async def test_a_flood_of_different_lines_is_cut_to_60_and_all_of_it_is_counted(
    nursery, autojump_clock
):
    terminal = Terminal(nursery)
    await terminal.write(*(f"round {number}" for number in range(1_000)))
    assert len(terminal.shown) == 60
    await trio.sleep(10.1)
    assert terminal.shown[60:] == [
        (10, "game-1: 940 more lines within 10 s are not shown: others (940)")
    ]


async def test_in_an_endless_flood_no_more_than_61_lines_are_shown_in_10_s(nursery, autojump_clock):
    terminal = Terminal(nursery)
    for second in range(100):
        await terminal.write(*(f"round {second}.{number}" for number in range(50)))
        await trio.sleep(1)
    await terminal.end()
    for start in range(0, 90, 5):
        times = [at for at, _ in terminal.shown if start <= at < start + 10]
        assert len(times) <= 61
    counted = sum(int(text.split()[1]) for _, text in terminal.shown if "not shown" in text)
    printed = sum("not shown" not in text for _, text in terminal.shown)
    assert counted + printed == 100 * 50


def test_no_flood_hides_what_is_more_urgent():
    """A room's prints, an author's warnings and errors, and Lastcall's have limits of their own."""
    numbers = range(100)
    shown = shown_lines(
        *(f"round {number}" for number in numbers),
        *(event("warning", f"card {number}", logger="mine") for number in numbers),
        *(event("error", f"player {number}", logger="mine") for number in numbers),
        *(event("warning", "room.slow_step", kind=f"kind-{number}") for number in numbers),
        event("error", "room.crashed"),
    )
    assert len(shown) == 60 + 20 + 20 + 20 + 1
    assert shown[-2].startswith("game-1: warning: room.slow_step kind=kind-19")
    assert shown[-1] == "game-1: error: room.crashed"


async def test_the_number_is_shown_at_once_when_the_node_ends(nursery, autojump_clock):
    terminal = Terminal(nursery)
    await terminal.write(*["trouble"] * 100)
    await terminal.end()
    assert terminal.shown[3:] == [
        (0, "game-1: 97 more lines within 10 s are not shown: trouble (97)")
    ]


async def test_lines_are_found_in_chunks_of_any_size(nursery, autojump_clock):
    terminal = Terminal(nursery)
    long = "x" * (LINE_BYTES_MAX + 1)
    text = f"first\n\nsecond\n{long}".encode()
    for at in range(0, len(text), 40_000):
        await terminal._pipe.send_all(text[at : at + 40_000])
    await terminal._pipe.send_all(b"\nlast, without a newline")
    await terminal.end()
    shown = [text.removeprefix("game-1: ") for _, text in terminal.shown]
    assert shown[:2] == ["first", "second"]
    assert shown[2].startswith("xxx")
    assert shown[3:] == ["last, without a newline"]
