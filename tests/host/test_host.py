"""The host: joins, items from the wire, empty rooms and the drain."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import trio
import trio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Draining, Left, Room, room
from lastcall.host.host import Host
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import NodeName
from lastcall.limits import Limits
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.harness.counts import players_in
from tests.host.host_harness import NORTH, SOUTH, echo, huge, open_host, spinning, typed

# Joins


async def test_two_players_who_join_a_kind_share_a_room_and_the_third_opens_another() -> None:
    @room("pair", seats=2)
    async def pair(table: Room) -> Any:
        await trio.sleep_forever()

    async with open_host(pair) as harness:
        ann, bob = harness.join(pair, name="ann"), harness.join(pair, link=SOUTH, name="bob")
        cid = harness.join(pair)
        assert ann.room == bob.room != cid.room
        assert bob.players == [nodes.Player(ann.player, "ann"), nodes.Player(bob.player, "bob")]
        assert (harness.host.rooms, players_in(harness.host)) == (2, 3)
        assert harness.host.running.open_rooms.seats() == {"pair": 1}


async def test_a_join_with_new_opens_a_room_even_if_another_is_open() -> None:
    async with open_host(echo) as harness:
        ann, bob = harness.join(echo), harness.join(echo, new=True)
        assert ann.room != bob.room


async def test_each_seat_has_its_own_secret() -> None:
    async with open_host(echo) as harness:
        ann, bob = harness.join(echo), harness.join(echo)
        assert len(ann.secret) == 32
        assert ann.secret != bob.secret
        assert (ann.session, ann.epoch, ann.seq) == (1, 0, 0)


@pytest.mark.parametrize(
    ("join", "code"),
    [
        ({"kind": "chess"}, ErrorCode.NO_SUCH_KIND),
        ({"kind": ""}, ErrorCode.NO_SUCH_KIND),
        ({"room": "game-1.nowhere"}, ErrorCode.NO_SUCH_ROOM),
        ({"kind": "typed", "options": b'{"width":"wide"}'}, ErrorCode.BAD_INPUT),
        ({"kind": "typed", "options": b"\xff"}, ErrorCode.BAD_INPUT),
        ({"kind": "typed", "options": b'{"x":' + b"[" * 100_000}, ErrorCode.BAD_INPUT),
    ],
)
async def test_an_impossible_join_is_refused_and_opens_no_room(
    join: dict[str, Any], code: ErrorCode
) -> None:
    async with open_host(typed) as harness:
        assert harness.join(**join).code == code
        assert harness.host.rooms == 0


async def test_a_join_by_room_id_is_refused_if_the_room_is_full_or_locked() -> None:
    async with open_host(echo, spinning) as harness:
        alone = harness.join(spinning)
        assert harness.join(room=alone.room).code == ErrorCode.FULL
        ann = harness.join(echo)
        harness.say(ann, 1, "lock")
        for _ in range(5):  # one of the rooms never waits, so it is never quiet
            await trio.lowlevel.checkpoint()
        assert harness.join(room=ann.room).code == ErrorCode.LOCKED
        assert harness.host.running.open_rooms.seats()[echo.name] == 0
        assert harness.join(echo).room != ann.room


async def test_at_the_limit_of_rooms_no_room_opens_but_open_rooms_accept_joins() -> None:
    async with open_host(echo, policy=RoomPolicy(limits=Limits(rooms=1))) as harness:
        ann = harness.join(echo)
        assert harness.join(echo, new=True).code == ErrorCode.FULL
        assert harness.join(echo).room == ann.room


async def test_inputs_of_the_old_socket_are_not_acked_to_the_new_one() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, key="k")
        harness.say(ann, 1, "hi")
        again = harness.join(echo, key="k")
        assert (again.session, harness.acked()) == (2, [])


async def test_a_repeated_key_gives_the_same_place_with_the_next_session() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, new=True, key="k")
        again = harness.join(echo, new=True, key="k", link=SOUTH)
        assert (again.room, again.player, again.secret) == (ann.room, ann.player, ann.secret)
        assert again.session == ann.session + 1
        taken_over = nodes.Out(ann.room, ann.player, nodes.TAKEN_OVER, session=ann.session)
        assert harness.all_of(nodes.Out, NORTH) == [taken_over]
        harness.host.handle(NORTH, nodes.Absent(ann.room, ann.player, ann.session))
        harness.say(again, 1, "hi")
        await wait_all_tasks_blocked()
        assert players_in(harness.host) == 1
        assert (harness.messages(NORTH), harness.messages(SOUTH)) == ([], ["hi"])


async def test_a_key_is_free_again_when_its_player_has_left() -> None:
    async with open_host(echo) as harness:
        harness.join(echo)
        ann = harness.join(echo, key="k")
        harness.leave(ann)
        again = harness.join(echo, key="k", new=True)
        assert again.player != ann.player
        assert again.room != ann.room


async def test_the_key_of_a_join_by_room_id_also_finds_the_place_by_kind() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        bob = harness.join(room=ann.room, key="k")
        assert harness.join(echo, new=True, key="k").player == bob.player


async def test_the_keys_of_an_ended_room_are_forgotten() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, key="k")
        harness.say(ann, 1, "end")
        await harness.host.wait_empty()
        assert len(harness.host.running.by_key) == 0


async def test_a_room_that_has_not_started_is_filled_before_a_fuller_one() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        harness.join(room=ann.room)
        bob = harness.join(echo, new=True)
        assert harness.join(echo).room == bob.room


async def test_a_change_of_the_free_seats_is_reported() -> None:
    async with open_host(echo) as harness:
        assert harness.host.running.open_rooms.seats() == {"echo": 0}
        ann = harness.join(echo)
        assert harness.host.running.open_rooms.seats() == {"echo": 3}
        before = harness.changes
        harness.leave(ann)
        assert harness.host.running.open_rooms.seats() == {"echo": 4}
        assert harness.changes > before


async def test_the_player_list_of_a_large_room_has_64_entries_including_the_player() -> None:
    async with open_host(huge) as harness:
        seats = [harness.join(huge, name=f"n{n}", key=f"k{n}") for n in range(100)]
        first = [nodes.Player(seat.player, f"n{n}") for n, seat in enumerate(seats)]
        assert seats[63].players == first[:64]
        assert seats[64].players == [*first[:63], first[64]]
        assert seats[99].players == [*first[:63], first[99]]
        assert harness.join(huge, key="k80").players == [*first[:63], first[80]]
        assert harness.join(huge, key="k7").players == first[:64]


async def test_2500_joins_of_one_room_send_less_than_5_mib() -> None:
    async with open_host(huge) as harness:
        for _ in range(2500):
            harness.join(huge)
        assert sum(len(nodes.encode(item)) for _, item in harness.sent) < 5 * 2**20


async def test_a_rooms_options_are_kept_until_it_has_started() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, options=b'{"pad":1}')
        [live] = harness.host.running.by_id.values()
        assert live.state.raw_options == b'{"pad":1}'
        harness.join(room=ann.room)
        assert live.state.raw_options == b""


# Items from the wire

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
NAMES = st.sampled_from(["", "echo", "typed", "mute"]) | TEXT
BODIES = st.binary(max_size=30) | st.sampled_from(
    [b"{}", b'{"cell":1}', b"[" * 100_000, b'"' + b"x" * 300_000 + b'"', b'"end"', b'"crash"']
)
NUMBERS = st.integers(0, 3) | st.integers(-(2**63), 2**64 - 1)
RAW_UP = st.one_of(
    st.builds(
        lambda **fields: {"t": "join", **fields},
        call=NUMBERS,
        kind=NAMES,
        room=st.sampled_from([0, 1, 2, ""]) | TEXT,
        new=st.booleans(),
        options=BODIES,
        name=TEXT,
        key=st.sampled_from(["", "k", "l"]) | TEXT,
    ),
    st.builds(
        lambda **fields: fields,
        t=st.sampled_from(
            ["say", "leave", "absent", "confirm", "resume", "of a later version"],
        ),
        call=NUMBERS,
        secret=st.sampled_from([0, 1, 2]) | TEXT,
        seen=NUMBERS,
        room=st.sampled_from([0, 1, 2]) | TEXT,
        player=st.sampled_from([0, 1, 2]) | TEXT,
        session=NUMBERS,
        n=NUMBERS,
        body=BODIES,
    ),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(RAW_UP, max_size=30))
def test_no_item_from_the_wire_makes_the_host_raise(up: list[dict[str, Any]]) -> None:
    """A generated number in ``room``, ``player`` or ``secret`` selects that of a real seat."""

    async def play() -> None:
        @room("mute", seats=1, inputs=None)
        async def mute(table: Room) -> Any:
            await trio.sleep_forever()

        async with open_host(echo, typed, mute) as harness:
            for fields in up:
                seats = harness.all_of(nodes.Seated)
                for field in ("room", "player", "secret"):
                    if isinstance(number := fields.get(field), int):
                        fields[field] = getattr(seats[number], field) if number < len(seats) else ""
                [item] = nodes.decode_up([msgspec.Raw(msgspec.msgpack.encode(fields))])
                harness.host.handle(NORTH, item)
                await trio.lowlevel.checkpoint()
            harness.host.flush_acks()
            for _, down in harness.sent:
                nodes.encode(down)
            assert len(harness.host.running.by_key) <= players_in(harness.host)

    with capture_logs():
        trio.run(play)


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xff", b"caf\xc3"])
async def test_a_join_whose_name_is_not_valid_utf8_is_ignored(text: bytes) -> None:
    raw = nodes.encode(nodes.Join(7, echo.name, name="N" * len(text)))
    [item] = nodes.decode_up([msgspec.Raw(raw.replace(b"N" * len(text), text))])
    async with open_host(echo) as harness:
        harness.host.handle(NORTH, item)
        assert (harness.sent, harness.host.rooms) == ([], 0)


async def test_the_keys_of_players_who_left_are_forgotten_in_each_room() -> None:
    async with open_host(huge) as harness:
        first, second = harness.join(huge, new=True), harness.join(huge, new=True)
        seats = [
            harness.join(room=place.room, key=f"k{n}")
            for n in range(50)
            for place in ((first, second) if n % 2 else (second, first))
        ]
        assert len(harness.host.running.by_key) == 50
        for seat in (first, second, *seats):
            harness.leave(seat)
        assert len(harness.host.running.by_key) == 0


# The drain


async def test_closed_doors_refuse_joins_by_kind_but_admit_joins_by_room_id() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, key="k")
        harness.host.matchmaker.doors_open = False
        assert harness.join(echo).code == "draining"
        assert harness.join(echo, new=True).code == "draining"
        assert harness.join(room=ann.room).room == ann.room
        assert harness.join(echo, key="k").player == ann.player
        harness.host.matchmaker.doors_open = True
        assert harness.join(echo).room == ann.room


async def test_each_room_gets_draining_with_the_seconds_left_even_one_opened_later(
    autojump_clock: MockClock,
) -> None:
    @room("listening", seats=1)
    async def listening(table: Room) -> Any:
        seconds: list[Any] = [table.seconds_left]
        async for event in table:
            if isinstance(event, Draining):
                await trio.sleep(1)
                return [*seconds, event.seconds, table.seconds_left]
        raise AssertionError

    async with open_host(listening) as harness:
        harness.join(listening)
        await trio.sleep(3)
        harness.host.drain(trio.current_time() + 20)
        await trio.sleep(5)
        harness.join(listening)
        await harness.host.wait_empty()
        results = [msgspec.json.decode(item.result) for item in harness.all_of(nodes.Ended)]
        assert results == [[None, 20, 19], [15, 15, 14]]


async def test_a_drain_tells_1_000_rooms_in_small_batches_and_none_that_was_frozen_meanwhile(
    autojump_clock: MockClock,
) -> None:
    told: list[str] = []

    @room("listening", seats=1, state=int)
    async def listening(table: Room[int]) -> None:
        async for event in table:
            told.extend([table.id] * isinstance(event, Draining))

    async with open_host(listening) as harness:
        rooms = [harness.join(listening, new=True).room for _ in range(1_000)]
        await wait_all_tasks_blocked()
        harness.host.drain(trio.current_time() + 20)
        image = await harness.host.moves.freeze(rooms[-1])
        assert image is not None
        batches = [len(told)]
        while len(told) < 999:
            await trio.lowlevel.checkpoint()
            batches.append(len(told))
        assert max(after - before for before, after in pairwise(batches)) <= 2 * 64
        await wait_all_tasks_blocked()
        assert sorted(told) == sorted(rooms[:-1])
        harness.host.moves.thaw(image)
        await wait_all_tasks_blocked()
        assert told[-1] == rooms[-1]


async def test_a_drain_waits_29_s_for_a_room_that_ends_in_29_s(autojump_clock: MockClock) -> None:
    @room("slow", seats=1)
    async def slow(table: Room) -> Any:
        await trio.sleep(29)

    async with open_host(slow) as harness:
        harness.join(slow)
        start = trio.current_time()
        harness.host.drain(start + 30)
        await harness.host.wait_empty()
        assert trio.current_time() - start == 29
        assert harness.host.running.ends[EndReason.FINISHED] == 1


async def test_a_cut_runs_the_rooms_finally_block_before_the_players_get_the_end() -> None:
    @room("careful", seats=1)
    async def careful(table: Room) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            table.broadcast("goodbye")

    async with open_host(careful) as harness:
        ann = harness.join(careful)
        await wait_all_tasks_blocked()
        harness.host.cut()
        assert harness.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM
        await harness.host.wait_empty()
        assert harness.messages() == ["goodbye"]
        assert harness.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "cut"))
        assert harness.host.running.ends == {"finished": 0, "cut": 1, "crashed": 0, "abandoned": 0}


async def test_a_room_abandoned_before_the_cut_counts_as_abandoned() -> None:
    @room("dawdling", seats=1)
    async def dawdling(_table: Room) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()

    async with open_host(dawdling) as harness:
        ann = harness.join(dawdling)
        await wait_all_tasks_blocked()
        harness.host.drain(trio.current_time() + 30)
        harness.leave(ann)
        harness.host.cut()
        await harness.host.wait_empty()
        assert harness.host.running.ends == {"finished": 0, "cut": 0, "crashed": 0, "abandoned": 1}


async def test_a_room_that_raises_when_cut_counts_as_cut_and_its_error_is_logged() -> None:
    @room("clumsy", seats=1)
    async def clumsy(table: Room) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the farewell")

    async with open_host(clumsy) as harness:
        harness.join(clumsy)
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            harness.host.cut()
            await harness.host.wait_empty()
        assert harness.host.running.ends[EndReason.CUT] == 1
        assert [log["event"] for log in logs] == ["room.crashed"]


async def test_a_draining_room_whose_last_player_has_left_is_abandoned() -> None:
    @room("stubborn", seats=2)
    async def stubborn(table: Room) -> Any:
        await trio.sleep_forever()

    async with open_host(stubborn) as harness:
        ann, empty = harness.join(stubborn), harness.join(stubborn, new=True)
        harness.leave(empty)
        await wait_all_tasks_blocked()
        assert harness.host.rooms == 2  # outside a drain, its author decides
        harness.host.drain(trio.current_time() + 30)
        await wait_all_tasks_blocked()
        assert harness.host.rooms == 1
        harness.leave(ann)
        await harness.host.wait_empty()
        assert harness.host.running.ends[EndReason.ABANDONED] == 2


async def test_a_regrouped_room_lists_its_players_in_items_of_64_kib() -> None:
    async with open_host(huge) as harness:
        options = b'{"pad":"' + b"x" * 1000 + b'"}'
        seats = [
            harness.join(huge, name="\U0001f600" * 128, key=f"{n:0128}", options=options)
            for n in range(300)
        ]
        far = harness.join(huge, link=SOUTH, name="far")
        harness.host.drain(trio.current_time() + 30)
        north, south = harness.all_of(nodes.Regroup, NORTH), harness.all_of(nodes.Regroup, SOUTH)
        assert [player for item in north for player, _, _ in item.players] == [
            s.player for s in seats
        ]
        assert len(north) == 4
        assert max(len(nodes.encode(item)) for item in north) < 70_000
        assert {item.options for item in (*north, *south)} == {options}
        assert [item.players for item in south] == [[(far.player, "far", "")]]


async def test_locking_does_not_extend_the_60_s_of_an_empty_room(
    autojump_clock: MockClock,
) -> None:
    @room("fickle", seats=2)
    async def fickle(table: Room) -> None:
        async for event in table:
            if isinstance(event, Left):
                await trio.sleep(30)
                table.lock()

    async with open_host(fickle) as harness:
        harness.leave(harness.join(fickle))
        await trio.sleep(59.5)
        assert harness.host.rooms == 1
        await trio.sleep(2)
        assert harness.host.rooms == 0


async def test_a_room_that_stays_empty_for_60_s_is_abandoned(autojump_clock: MockClock) -> None:
    async with open_host(huge) as harness:
        ann, bob = harness.join(huge), harness.join(huge, new=True)
        await trio.sleep(100)
        assert harness.host.rooms == 2
        harness.leave(ann)
        await trio.sleep(59.5)
        assert harness.host.rooms == 2
        await trio.sleep(2)
        assert harness.host.running.ends[EndReason.ABANDONED] == 1
        assert harness.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM
        assert harness.join(room=bob.room).room == bob.room


async def test_a_join_within_60_s_keeps_an_empty_room_and_restarts_its_60_s(
    autojump_clock: MockClock,
) -> None:
    async with open_host(huge) as harness:
        ann = harness.join(huge)
        harness.leave(ann)
        await trio.sleep(40)
        again = harness.join(room=ann.room)
        await trio.sleep(100)
        assert harness.host.rooms == 1
        harness.leave(again)
        await trio.sleep(59.5)
        assert harness.host.rooms == 1
        await trio.sleep(2)
        assert harness.host.rooms == 0


async def test_rooms_that_one_player_opened_and_left_are_freed_after_the_empty_seconds(
    autojump_clock: MockClock,
) -> None:
    policy = RoomPolicy(limits=Limits(rooms=50), empty_seconds=5)
    async with open_host(huge, policy=policy) as harness:
        for _ in range(50):
            seat = harness.join(huge, new=True)
            harness.leave(seat)
        assert harness.join(huge, new=True).code == ErrorCode.FULL
        await trio.sleep(7)
        assert harness.host.rooms == 0
        harness.host.running.abandon_empty(trio.current_time())  # raises if an ended room is listed
        assert harness.join(huge, new=True).room


async def test_an_empty_room_that_is_already_ending_is_not_abandoned(
    autojump_clock: MockClock,
) -> None:
    @room("winding", seats=1)
    async def winding(table: Room) -> str:
        async def wind_down() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(90)

        table.nursery.start_soon(wind_down)
        async for event in table:
            if isinstance(event, Left):
                break
        return "wound down"

    async with open_host(winding) as harness:
        ann = harness.join(winding)
        await wait_all_tasks_blocked()
        harness.leave(ann)
        await harness.host.wait_empty()
        assert trio.current_time() == 90
        assert harness.host.running.ends[EndReason.FINISHED] == 1


async def test_a_draining_room_that_returns_when_the_last_player_leaves_is_finished() -> None:
    async with open_host(echo) as harness:
        ann, bob = harness.join(echo), harness.join(echo)
        await wait_all_tasks_blocked()
        harness.host.drain(trio.current_time() + 30)
        await wait_all_tasks_blocked()
        for seat in (ann, bob):
            harness.leave(seat)
        await harness.host.wait_empty()
        assert harness.host.running.ends[EndReason.FINISHED] == 1


async def test_why_lists_each_room_oldest_first(autojump_clock: MockClock) -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        await trio.sleep(12)
        bob = harness.join(echo, new=True)
        harness.join(room=bob.room)
        assert why_not_empty(harness.host.running) == [
            f"echo {ann.room}, 12 s old, 1 player",
            f"echo {bob.room}, 0 s old, 2 players",
        ]


async def test_a_host_without_rooms_is_empty_at_once() -> None:
    async with open_host(echo) as harness:
        with trio.fail_after(0.1):
            await harness.host.wait_empty()


async def test_a_host_that_does_not_serve_yet_refuses_joins_as_draining() -> None:
    sent: list[nodes.Down] = []
    host = Host(
        kinds={echo.name: echo},
        node=NodeName("game-1"),
        rng=random.Random(1),
        outbox=lambda _, item: sent.append(item),
    )
    host.handle(NORTH, nodes.Join(1, echo.name))
    assert [item.code for item in sent if isinstance(item, nodes.Refused)] == ["draining"]
