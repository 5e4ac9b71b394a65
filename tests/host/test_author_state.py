"""A room's state: fresh, changed, encoded and read again; and what it may do wrong."""

from __future__ import annotations

import enum
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from lastcall import Kind, Room, Said, room
from lastcall.errors import BadRooms, StateFailed, StateUnreadable
from lastcall.host.author_states import resting_place
from lastcall.host.codec import KindCodec
from lastcall.policy import RoomPolicy
from lastcall.testing import Table, play


class Mark(enum.Enum):
    X = "x"
    O = "o"  # noqa: E741


class Board(msgspec.Struct):
    cells: list[Mark | None] = []
    turn: str | None = None
    scores: dict[str, int] = {}


class LargerBoard(Board):
    more: int = 1


class Size(msgspec.Struct):
    width: int = 3


class Wheel(msgspec.Struct):
    spokes: list[trio.Event] = []


def sized(options: Size) -> Board:
    return Board(cells=[None] * options.width)


def anything(options: Size) -> Any:
    return options


def nothing(options: Size) -> None: ...


def unknown(options: Size) -> Unknown: ...  # type: ignore[name-defined]  # noqa: F821


def codec(state: Any, **settings: Any) -> KindCodec:
    async def function(table: Room) -> None: ...

    return KindCodec(room("kept", seats=2, state=state)(function), **settings)


BOARDS = st.builds(
    Board,
    cells=st.lists(st.one_of(st.none(), st.sampled_from(Mark))),
    turn=st.one_of(st.none(), st.text()),
    scores=st.dictionaries(st.text(), st.integers(-(2**63), 2**63)),
)


@given(BOARDS)
def test_a_state_that_is_encoded_and_read_is_the_same(board: Board) -> None:
    kept = codec(Board)
    assert kept.read_state(kept.encode_state(board)) == board


def test_a_fresh_state_is_made_of_the_type_or_by_the_function_of_the_options() -> None:
    assert codec(Board).fresh_state(Size()) == Board()
    assert codec(dict[str, int]).fresh_state(Size()) == {}
    assert codec(sized).fresh_state(Size(2)) == Board([None, None])
    kept = codec(sized)
    assert kept.read_state(kept.encode_state(Board([Mark.X]))) == Board([Mark.X])


def test_a_kind_without_a_state_encodes_none_and_reads_none_of_another_node() -> None:
    plain = codec(None)
    assert plain.encode_state(plain.fresh_state({})) == b""
    assert plain.read_state(b"") is msgspec.UNSET
    with pytest.raises(StateUnreadable, match="'kept' has no state here"):
        plain.read_state(b"\x80")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (trio.Event, "state: "),
        (Wheel, "state: "),
        (Path, "state: Path cannot be encoded: make it a msgspec.Struct"),
        (dict[str, list[Path]], "state: Path cannot be encoded"),
        (anything, "state: anything does not say which type it returns"),
        (nothing, "state: nothing does not say which type it returns"),
        (unknown, "state: the type that unknown returns: name 'Unknown' is not defined"),
    ],
)
def test_a_type_that_cannot_be_encoded_is_refused_when_the_kind_is_loaded(
    state: Any, says: str
) -> None:
    with pytest.raises(BadRooms) as caught:
        codec(state)
    assert str(caught.value).startswith(says)


RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


@pytest.mark.parametrize(
    ("state", "value", "says"),
    [
        (Board, {"cells": []}, "has the type dict; its kind says Board$"),
        (Board, LargerBoard(), "has the type LargerBoard"),
        (Board, None, "has the type NoneType"),
        (dict[str, int], defaultdict(int), "has the type defaultdict; its kind says dict$"),
        (Board, Board(scores={"a": 2**70}), "cannot be encoded: OverflowError"),
        (Board, Board(turn="half \ud83d"), "cannot be encoded: UnicodeEncodeError"),
        (list, RECURSIVE, "cannot be encoded: RecursionError"),
        (dict, {"a": Path()}, "cannot be encoded: TypeError"),
        (dict, {"a": "x" * 262_144}, "is 262152 bytes long; the limit is 262144 bytes"),
    ],
)
def test_a_state_that_does_not_encode_is_an_error_of_its_room(
    state: Any, value: Any, says: str
) -> None:
    with pytest.raises(StateFailed, match=says):
        codec(state).encode_state(value)


def test_a_state_that_is_as_large_as_the_limit_is_encoded() -> None:
    assert len(codec(list, state_bytes=5).encode_state([1, 2, 3, 4])) == 5
    with pytest.raises(StateFailed, match="6 bytes long; the limit is 5"):
        codec(list, state_bytes=5).encode_state([1, 2, 3, 4, 5])


class Picky(msgspec.Struct):
    turn: str | None = None

    def __post_init__(self) -> None:
        if self.turn == "harm":
            raise SystemExit(1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x80\x80",
        b"\x91" * 100_000,
        msgspec.msgpack.encode({"turn": 4}),
        msgspec.msgpack.encode({"turn": "harm"}),
    ],
)
def test_a_state_of_other_code_that_does_not_fit_is_unreadable(data: bytes) -> None:
    with pytest.raises(StateUnreadable):
        codec(Picky).read_state(data)


def test_a_later_field_of_a_state_gets_its_default_and_an_unknown_one_is_ignored() -> None:
    assert codec(Picky).read_state(codec(Board).encode_state(Board(turn="ann"))) == Picky("ann")


@room("kept", seats=2, state=Board, options=Size)
async def kept(table: Room[Board]) -> Any:
    """Changes its state as its players say."""
    async for event in table:
        match event:
            case Said(_, ["turn", turn]):
                table.state.turn = turn
            case Said(_, ["become", other]):
                table.state = other
            case Said(_, "end"):
                return table.state
    raise AssertionError


def encoded(table: Table) -> bytes | None:
    """The room's state, as its image would have it."""
    live = table.host.find(table.room)
    assert live is not None
    return table.host.running.author_states.encode(live.state)


async def test_a_room_has_a_fresh_state_which_it_changes_or_replaces() -> None:
    async with play(kept) as table:
        ann = table.join()
        await table.messages()
        assert encoded(table) == msgspec.msgpack.encode(Board())
        table.say(ann, ["turn", ann])
        await table.messages()
        assert encoded(table) == msgspec.msgpack.encode(Board(turn=ann))
        table.say(ann, "end")
        assert await table.ended() == {"cells": [], "turn": ann, "scores": {}}


async def test_each_room_has_a_state_of_its_own() -> None:
    states: list[Board] = []

    @room("own", seats=1, state=Board)
    async def own(table: Room[Board]) -> None:
        states.append(table.state)
        table.state.cells.append(Mark.X)
        await trio.sleep_forever()

    async with play(own) as one, play(own) as other:
        one.join()
        other.join()
        await wait_all_tasks_blocked()
    assert states == [Board([Mark.X]), Board([Mark.X])]
    assert states[0] is not states[1]


async def test_a_failing_state_is_logged_once_with_its_place_and_the_room_runs_on() -> None:
    async with play(kept) as table:
        ann = table.join()
        table.say(ann, ["turn", 2**70])
        await table.messages()
        with capture_logs() as logs:
            assert encoded(table) is None
            table.say(ann, ["turn", -(2**70)])
            await table.messages()
            assert encoded(table) is None
            table.say(ann, ["turn", "bob"])
            await table.messages()
            assert encoded(table) == msgspec.msgpack.encode(Board(turn="bob"))
            table.say(ann, ["become", [1]])
            await table.messages()
            assert encoded(table) is None
        line = kept.function.__code__.co_firstlineno + 3  # of its `async for`
        for log in logs:
            assert (log["event"], log["kind"], log["room"]) == (
                "room.state_failed",
                "kept",
                table.room,
            )
            assert (log["file"], log["line"]) == (__file__, line)
        assert [log["error"].partition(":")[0] for log in logs] == [
            "the state cannot be encoded",
            "the state has the type list; its kind says Board",
        ]
        assert table.reason is None


async def test_a_room_that_fails_and_succeeds_by_turns_writes_five_lines_at_once() -> None:
    async with play(kept) as table:
        ann = table.join()
        with capture_logs() as logs:
            for turn in [2**70, "bob"] * 20:
                table.say(ann, ["turn", turn])
                await table.messages()
                encoded(table)
        assert len(logs) == 5


async def test_the_resting_place_is_that_of_the_task_which_reads_the_events() -> None:
    async def listen(table: Room) -> None:
        async for _ in table:
            pass

    @room("listening", seats=1)
    async def listening(table: Room) -> None:
        table.nursery.start_soon(listen, table)
        await trio.sleep_forever()

    @room("deaf", seats=1)
    async def deaf(table: Room) -> None:
        await trio.sleep_forever()

    async with play(listening) as one, play(deaf) as other:
        places = []
        for table in (one, other):
            table.join()
            await wait_all_tasks_blocked()
            live = table.host.find(table.room)
            assert live is not None
            places.append(resting_place(live.state.inbox))
        assert places == [(__file__, listen.__code__.co_firstlineno + 1), ("", 0)]


async def test_the_resting_place_of_a_commit_is_the_line_of_the_commit() -> None:
    places: list[tuple[str, int]] = []

    @room("committing", seats=1)
    async def committing(table: Room) -> None:
        live = harness.host.find(table.id)
        assert live is not None
        live.state.inbox.on_rest = lambda: places.append(resting_place(live.state.inbox))
        await table.commit()
        async for _ in table:
            await table.commit()

    async with play(committing) as harness:
        harness.join()
        await wait_all_tasks_blocked()
    line = committing.function.__code__.co_firstlineno + 5
    assert places == [(__file__, line), (__file__, line + 2), (__file__, line + 1)]


async def test_a_room_without_a_state_says_so_when_it_asks_for_one() -> None:
    async def reads(table: Room) -> None:
        table.state.turn = "ann"

    async def writes(table: Room) -> None:
        table.state = Board()

    for function in (reads, writes):
        async with play(room("plain", seats=1)(function)) as table:
            table.join()
            with pytest.raises(StateFailed, match=r"'plain' have no state: @room\(.*state=Board"):
                await table.ended()


async def test_a_state_that_raises_when_it_is_made_crashes_its_room_alone() -> None:
    def broken(options: Size) -> Board:
        raise KeyError(options.width)

    broken.__annotations__["return"] = Board
    crashing: Kind = room("broken", seats=1, state=broken, options=Size)(kept.function)
    async with play(crashing) as table:
        table.join()
        with pytest.raises(KeyError):
            await table.ended()


async def test_a_room_has_moved_0_times_and_a_commit_lets_others_run() -> None:
    @room("committing", seats=1)
    async def committing(table: Room) -> int:
        with assert_checkpoints():
            await table.commit()
        return table.moves

    async with play(committing) as table:
        table.join()
        assert await table.ended() == 0


async def test_the_policy_bounds_the_state_of_a_room() -> None:
    async with play(kept, policy=RoomPolicy(state_bytes=40)) as table:
        ann = table.join()
        table.say(ann, ["turn", "x" * 40])
        await table.messages()
        with capture_logs() as logs:
            assert encoded(table) is None
        assert "the limit is 40 bytes" in logs[0]["error"]
