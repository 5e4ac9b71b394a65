from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from rooms import Draining, Joined, Kind, Left, Room, Said, room
from rooms.ids import KindName, LinkId, NodeName, PlayerId, RoomId
from rooms.policy import RoomPolicy
from rooms.reasons import EndReason, ErrorCode
from rooms.runtime.host import Host
from rooms.wire import nodes

NORTH, SOUTH = LinkId(1), LinkId(2)


class Move(msgspec.Struct):
    cell: int


class Size(msgspec.Struct):
    width: int = 3


@room("echo", seats=4, starts=2)
async def echo(table: Room) -> dict[str, Any]:
    """Repeats what is said; ends on `end`, crashes on `crash`, exits on `exit`."""
    async for event in table:
        match event:
            case Said(_, "end"):
                return {"said": "end"}
            case Said(_, "crash"):
                raise RuntimeError("as told")
            case Said(_, "exit"):
                raise SystemExit(1)
            case Said(player, "whisper"):
                table.send(player, "psst")
            case Said(player, "kick"):
                table.kick(player)
            case Said(_, "lock"):
                table.lock()
            case Said(_, said):
                table.broadcast(said)
            case Left() if not table.players:
                return {"said": "all left"}
    raise AssertionError


@room("typed", seats=2, inputs=Move, options=Size)
async def typed(table: Room) -> Any:
    """Hears only moves."""
    async for event in table:
        if isinstance(event, Said):
            table.broadcast(event.input.cell * table.options.width)


@room("deaf", seats=4)
async def deaf(table: Room) -> Any:
    """Reads nothing for 10 s, and then everything."""
    await trio.sleep(10)
    async for event in table:
        if isinstance(event, Said):
            table.broadcast(event.input)


@room("spinning", seats=1)
async def spinning(table: Room) -> Any:
    """Never waits for anything, but lets others run."""
    while True:
        await trio.lowlevel.checkpoint()


class House:
    """A host with two links, and what came out of it."""

    def __init__(self, work: trio.Nursery, *kinds: Kind, policy: RoomPolicy | None = None) -> None:
        self.sent: list[tuple[LinkId, nodes.Down]] = []
        self.changes = 0
        self.host = Host(
            kinds={kind.name: kind for kind in kinds},
            node=NodeName("game-1"),
            rng=random.Random(1),
            outbox=lambda link, item: self.sent.append((link, item)),
            policy=policy,
            on_change=self._changed,
        )
        self.host.serve(work)

    def _changed(self) -> None:
        self.changes += 1

    def join(self, kind: Kind | str = "", *, link: LinkId = NORTH, **fields: Any) -> Any:
        """Joins and returns the answer: Seated or Refused."""
        name = kind.name if isinstance(kind, Kind) else KindName(kind)
        before = len(self.sent)
        self.host.handle(link, nodes.Join(7, name, **fields))
        answers = [
            item
            for to, item in self.sent[before:]
            if to == link and isinstance(item, nodes.Seated | nodes.Refused)
        ]
        assert [answer.call for answer in answers] == [7]
        return answers[0]

    def say(self, seat: nodes.Seated, n: int, body: object, session: int | None = None) -> None:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        item = nodes.Say(seat.room, seat.player, session or seat.session, n, raw)
        self.host.handle(NORTH, item)

    def all_of(self, kind: type[Any], link: LinkId | None = None) -> list[Any]:
        return [item for to, item in self.sent if isinstance(item, kind) and link in (None, to)]

    def said(self, link: LinkId = NORTH) -> list[Any]:
        return [msgspec.json.decode(m.body) for m in self.all_of(nodes.Message, link)]

    def ends(self) -> list[tuple[RoomId, str]]:
        return [(item.room, item.reason) for item in self.all_of(nodes.Ended)]

    def acked(self) -> list[tuple[RoomId, PlayerId, int]]:
        self.host.flush_acks()
        return [ack for item in self.all_of(nodes.Acks) for ack in item.acks]


@asynccontextmanager
async def opened(*kinds: Kind, policy: RoomPolicy | None = None) -> AsyncIterator[House]:
    async with trio.open_nursery() as work:
        yield House(work, *kinds, policy=policy)
        work.cancel_scope.cancel()


# Joins


async def test_two_who_join_a_kind_meet_in_one_room_and_the_third_opens_another() -> None:
    @room("pair", seats=2)
    async def pair(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(pair) as house:
        ann, bob = house.join(pair, name="ann"), house.join(pair, link=SOUTH, name="bob")
        cid = house.join(pair)
        assert ann.room == bob.room != cid.room
        assert bob.players == [nodes.Player(ann.player, "ann"), nodes.Player(bob.player, "bob")]
        assert (house.host.rooms, house.host.players) == (2, 3)
        assert house.host.seats() == {"pair": 1}


async def test_a_join_that_wants_a_new_room_gets_one_beside_an_open_one() -> None:
    async with opened(echo) as house:
        ann, bob = house.join(echo), house.join(echo, new=True)
        assert ann.room != bob.room


async def test_what_a_seat_bears_lets_nobody_guess_another_ones() -> None:
    async with opened(echo) as house:
        ann, bob = house.join(echo), house.join(echo)
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
async def test_a_join_that_cannot_be_is_refused_and_opens_nothing(
    join: dict[str, Any], code: ErrorCode
) -> None:
    async with opened(typed) as house:
        assert house.join(**join).code == code
        assert house.host.rooms == 0


async def test_a_room_by_name_says_full_and_locked() -> None:
    async with opened(echo, spinning) as house:
        alone = house.join(spinning)
        assert house.join(room=alone.room).code == ErrorCode.FULL
        ann = house.join(echo)
        house.say(ann, 1, "lock")
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert house.join(room=ann.room).code == ErrorCode.LOCKED
        assert house.host.seats()[echo.name] == 0
        assert house.join(echo).room != ann.room


async def test_the_limit_of_rooms_refuses_a_new_one_and_still_fills_those_there_are() -> None:
    async with opened(echo, policy=RoomPolicy(max_rooms=1)) as house:
        ann = house.join(echo)
        assert house.join(echo, new=True).code == ErrorCode.FULL
        assert house.join(echo).room == ann.room


async def test_the_same_key_again_gives_the_same_place_with_a_raised_session() -> None:
    async with opened(echo) as house:
        ann = house.join(echo, new=True, key="k")
        again = house.join(echo, new=True, key="k", link=SOUTH)
        assert (again.room, again.player, again.secret) == (ann.room, ann.player, ann.secret)
        assert again.session == ann.session + 1
        assert house.all_of(nodes.Out, NORTH) == [nodes.Out(ann.room, ann.player, "left")]
        house.host.handle(NORTH, nodes.Absent(ann.room, ann.player, ann.session))
        house.say(again, 1, "hi")
        await wait_all_tasks_blocked()
        assert house.host.players == 1
        assert (house.said(NORTH), house.said(SOUTH)) == ([], ["hi"])


async def test_a_key_is_free_again_when_its_place_is_given_up() -> None:
    async with opened(echo) as house:
        house.join(echo)
        ann = house.join(echo, key="k")
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        again = house.join(echo, key="k", new=True)
        assert again.player != ann.player
        assert again.room != ann.room


async def test_a_key_given_to_a_room_by_name_finds_the_place_by_kind_too() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        bob = house.join(room=ann.room, key="k")
        assert house.join(echo, new=True, key="k").player == bob.player


async def test_nothing_is_kept_of_the_keys_of_a_room_that_is_over() -> None:
    async with opened(echo) as house:
        ann = house.join(echo, key="k")
        house.say(ann, 1, "end")
        await house.host.wait_empty()
        assert house.host._keys == {}


async def test_a_room_that_waits_for_its_start_is_filled_before_a_fuller_one() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.join(room=ann.room)
        bob = house.join(echo, new=True)
        assert house.join(echo).room == bob.room


async def test_seats_are_told_anew_when_they_change() -> None:
    async with opened(echo) as house:
        assert house.host.seats() == {"echo": 0}
        ann = house.join(echo)
        assert house.host.seats() == {"echo": 3}
        before = house.changes
        house.host.handle(NORTH, nodes.Absent(ann.room, ann.player, ann.session))
        assert house.host.seats() == {"echo": 4}
        assert house.changes > before


@room("hall", seats=10_000, starts=10_000)
async def hall(table: Room) -> Any:
    """Many, who wait for more."""
    await trio.sleep_forever()


async def test_of_a_full_hall_a_player_is_told_64_the_first_ones_and_himself() -> None:
    async with opened(hall) as house:
        seats = [house.join(hall, name=f"n{n}", key=f"k{n}") for n in range(100)]
        first = [nodes.Player(seat.player, f"n{n}") for n, seat in enumerate(seats)]
        assert seats[63].players == first[:64]
        assert seats[64].players == [*first[:63], first[64]]
        assert seats[99].players == [*first[:63], first[99]]
        assert house.join(hall, key="k80").players == [*first[:63], first[80]]
        assert house.join(hall, key="k7").players == first[:64]


async def test_2500_joins_of_one_room_say_little() -> None:
    async with opened(hall) as house:
        for _ in range(2500):
            house.join(hall)
        assert sum(len(nodes.encode(item)) for _, item in house.sent) < 5 * 2**20


async def test_a_rooms_options_are_kept_until_it_has_started() -> None:
    async with opened(echo) as house:
        ann = house.join(echo, options=b'{"pad":1}')
        [live] = house.host._rooms.values()
        assert live.raw_options == b'{"pad":1}'
        house.join(room=ann.room)
        assert live.raw_options == b""


# What comes from the wire

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
        t=st.sampled_from(["say", "leave", "absent", "of a later version"]),
        room=st.sampled_from([0, 1, 2]) | TEXT,
        player=st.sampled_from([0, 1, 2]) | TEXT,
        session=NUMBERS,
        n=NUMBERS,
        body=BODIES,
    ),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(RAW_UP, max_size=30))
def test_nothing_that_comes_from_the_wire_makes_a_host_raise(up: list[dict[str, Any]]) -> None:
    """Rooms and players given as numbers stand for those that there are."""

    async def play() -> None:
        @room("mute", seats=1, inputs=None)
        async def mute(table: Room) -> Any:
            await trio.sleep_forever()

        async with opened(echo, typed, mute) as house:
            for fields in up:
                seats = house.all_of(nodes.Seated)
                for field in ("room", "player"):
                    if isinstance(number := fields.get(field), int):
                        fields[field] = getattr(seats[number], field) if number < len(seats) else ""
                [item] = nodes.decode_up([msgspec.Raw(msgspec.msgpack.encode(fields))])
                house.host.handle(NORTH, item)
                await trio.lowlevel.checkpoint()
            house.host.flush_acks()
            for _, down in house.sent:
                nodes.encode(down)
            assert len(house.host._keys) <= house.host.players

    with capture_logs():
        trio.run(play)


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xff", b"caf\xc3"])
async def test_a_join_whose_name_is_no_text_is_not_heard(text: bytes) -> None:
    raw = nodes.encode(nodes.Join(7, echo.name, name="N" * len(text)))
    [item] = nodes.decode_up([msgspec.Raw(raw.replace(b"N" * len(text), text))])
    async with opened(echo) as house:
        house.host.handle(NORTH, item)
        assert (house.sent, house.host.rooms) == ([], 0)


async def test_the_keys_of_those_who_left_are_forgotten_wherever_they_sat() -> None:
    async with opened(hall) as house:
        first, second = house.join(hall, new=True), house.join(hall, new=True)
        seats = [
            house.join(room=place.room, key=f"k{n}")
            for n in range(50)
            for place in ((first, second) if n % 2 else (second, first))
        ]
        assert len(house.host._keys) == 50
        for seat in (first, second, *seats):
            house.host.handle(NORTH, nodes.Leave(seat.room, seat.player, seat.session))
        assert house.host._keys == {}


@pytest.mark.parametrize("error", [KeyError("a secret"), SystemExit(1), ValueError("\ud800")])
async def test_options_whose_type_raises_anything_refuse_the_join(error: BaseException) -> None:
    class Picky(msgspec.Struct):
        def __post_init__(self) -> None:
            raise error

    @room("picky", seats=1, options=Picky)
    async def picky(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(picky) as house:
        refused = house.join(picky)
        assert refused.code == "bad_input"
        assert "secret" not in refused.message
        assert nodes.encode(refused)
        assert house.host.rooms == 0


# Talk


async def test_a_message_goes_once_to_each_link_that_has_players() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.join(echo)
        house.join(echo, link=SOUTH)
        house.say(ann, 1, "hi")
        await wait_all_tasks_blocked()
        hi = nodes.Message(ann.room, 0, 1, b'"hi"')
        assert house.all_of(nodes.Message, NORTH) == [hi]
        assert house.all_of(nodes.Message, SOUTH) == [hi]


async def test_a_private_message_takes_a_seq_and_goes_to_one() -> None:
    async with opened(echo) as house:
        house.join(echo, link=SOUTH)
        ann = house.join(echo)
        house.say(ann, 1, "whisper")
        house.say(ann, 2, "all")
        await wait_all_tasks_blocked()
        sent = [(m.seq, m.to) for m in house.all_of(nodes.Message, NORTH)]
        assert sent == [(1, [ann.player]), (2, None)]
        assert [m.seq for m in house.all_of(nodes.Message, SOUTH)] == [2]
        assert house.join(echo).seq == 2


async def test_a_seat_is_told_before_the_first_message_that_follows() -> None:
    @room("greeting", seats=2)
    async def greeting(table: Room) -> Any:
        async for _ in table:
            table.broadcast("welcome")

    async with opened(greeting) as house:
        house.join(greeting)
        await wait_all_tasks_blocked()
        assert [type(item) for _, item in house.sent] == [nodes.Seated, nodes.Message]


async def test_acks_of_one_request_leave_as_one_item_with_the_last_number_each() -> None:
    async with opened(echo) as house:
        ann, bob = house.join(echo), house.join(echo)
        for n in (1, 2, 3):
            house.say(ann, n, n)
        house.say(bob, 1, 1)
        house.host.flush_acks()
        house.host.flush_acks()
        acks = [(ann.room, ann.player, 3), (bob.room, bob.player, 1)]
        assert house.all_of(nodes.Acks) == [nodes.Acks(acks)]


async def test_a_repeat_is_acked_again_and_not_heard_again() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.say(ann, 1, "once")
        house.host.flush_acks()
        house.say(ann, 1, "once")
        await wait_all_tasks_blocked()
        assert house.said() == ["once"]
        assert house.acked() == [(ann.room, ann.player, 1)] * 2


async def test_a_gap_is_told_and_not_had() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.say(ann, 2, "two")
        await wait_all_tasks_blocked()
        [bad] = house.all_of(nodes.BadInput)
        assert (bad.player, bad.n, bad.code) == (ann.player, 2, ErrorCode.BAD_FRAME)
        assert house.acked() == []
        assert house.said() == []


async def test_a_late_input_of_an_old_session_is_dropped_in_silence() -> None:
    async with opened(echo) as house:
        ann = house.join(echo, key="k")
        again = house.join(echo, key="k")
        house.say(again, 1, "new", session=ann.session)
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert (house.said(), house.acked(), house.host.players) == ([], [], 1)
        assert house.all_of(nodes.BadInput) == []


async def test_what_is_about_nobody_here_is_dropped_in_silence() -> None:
    async with opened(echo) as house:
        nobody, nowhere = PlayerId("p"), RoomId("game-1.x")
        ann = house.join(echo)
        before = list(house.sent)
        for place in (nowhere, ann.room):
            house.host.handle(NORTH, nodes.Say(place, nobody, 1, 1, b"1"))
            house.host.handle(NORTH, nodes.Leave(place, nobody, 1))
            house.host.handle(NORTH, nodes.Absent(place, nobody, 1))
        house.host.handle(NORTH, nodes.Unknown())
        house.host.flush_acks()
        assert house.sent == before


async def test_a_kind_without_inputs_refuses_each_one_and_its_inbox_stays_empty() -> None:
    @room("mute", seats=2, inputs=None)
    async def mute(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(mute, policy=RoomPolicy(inbox_events=1)) as house:
        ann = house.join(mute)  # fills the inbox, which nobody reads
        for n in range(1, 401):
            house.say(ann, n, None)
        bad = house.all_of(nodes.BadInput)
        assert [item.n for item in bad] == list(range(1, 401))
        assert {(item.code, item.message) for item in bad} == {
            ("bad_input", "this kind takes no inputs")
        }
        assert house.acked() == [(ann.room, ann.player, 400)]


@pytest.mark.parametrize("body", [b'{"cell":"x"}', b"{", b"\xff\xff", b"[" * 100_000, b""])
async def test_a_bad_input_is_told_to_its_sender_and_counts_as_had(body: bytes) -> None:
    async with opened(typed) as house:
        ann = house.join(typed, options=b'{"width":10}')
        house.say(ann, 1, body)
        house.say(ann, 2, {"cell": 4})
        await wait_all_tasks_blocked()
        [bad] = house.all_of(nodes.BadInput)
        assert (bad.room, bad.player, bad.n, bad.code) == (ann.room, ann.player, 1, "bad_input")
        assert house.acked() == [(ann.room, ann.player, 2)]
        assert house.said() == [40]


async def test_an_author_whose_types_raise_what_they_like_refuses_the_input() -> None:
    class Picky(msgspec.Struct):
        cell: int

        def __post_init__(self) -> None:
            raise KeyError("a secret of the author")

    @room("picky", seats=1, inputs=Picky)
    async def picky(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(picky) as house:
        house.say(house.join(picky), 1, {"cell": 1})
        [bad] = house.all_of(nodes.BadInput)
        assert bad.code == "bad_input"
        assert "secret" not in bad.message


async def test_a_full_inbox_holds_the_player_back_and_calls_him_when_there_is_room(
    autojump_clock: MockClock,
) -> None:
    async with opened(deaf, policy=RoomPolicy(inbox_events=4)) as house:
        ann = house.join(deaf)  # the first of four events is that ann has joined
        for n in range(1, 9):
            house.say(ann, n, n)
        assert house.acked() == [(ann.room, ann.player, 3)]
        assert house.all_of(nodes.BadInput) == []
        assert house.all_of(nodes.Wanted) == []
        await trio.sleep(11)
        assert house.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 4)]
        house.say(ann, 9, 9)  # said before the call came: not a gap
        for n in range(4, 10):
            house.say(ann, n, n)
            await wait_all_tasks_blocked()
        assert house.all_of(nodes.BadInput) == []
        assert house.said() == list(range(1, 10))


async def test_a_player_over_his_share_is_held_while_others_are_heard(
    autojump_clock: MockClock,
) -> None:
    async with opened(deaf) as house:  # 256 events, of which 64 may be of one player
        ann, bob = house.join(deaf), house.join(deaf)
        for n in range(1, 101):
            house.say(ann, n, ["ann", n])
        house.say(bob, 1, ["bob", 1])
        assert house.acked() == [(ann.room, ann.player, 64), (bob.room, bob.player, 1)]
        await trio.sleep(11)
        assert house.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 65)]
        for n in range(65, 101):
            house.say(ann, n, ["ann", n])
        await wait_all_tasks_blocked()
        assert house.all_of(nodes.BadInput) == []
        said = house.said()
        assert [n for who, n in said if who == "ann"] == list(range(1, 101))
        assert said.index(["bob", 1]) == 64


async def test_a_player_over_his_share_is_called_when_half_of_it_is_read() -> None:
    @room("counting", seats=2)
    async def counting(table: Room) -> Any:
        async for event in table:
            if isinstance(event, Said):
                calls_before_input.append(len(house.all_of(nodes.Wanted)))  # noqa: PERF401

    calls_before_input: list[int] = []
    async with opened(counting, policy=RoomPolicy(inbox_events=64)) as house:
        ann = house.join(counting)
        for n in range(1, 18):  # the share is 16
            house.say(ann, n, n)
        await wait_all_tasks_blocked()
        assert calls_before_input == [0] * 7 + [1] * 9
        assert house.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 17)]


async def test_a_message_over_the_limit_is_the_authors_error_and_is_not_sent() -> None:
    @room("loud", seats=1)
    async def loud(table: Room) -> Any:
        with pytest.raises(Exception, match=r"102 bytes.*100 bytes"):
            table.broadcast("x" * 100)
        table.broadcast("x" * 98)

    async with opened(loud, policy=RoomPolicy(message_bytes=100)) as house:
        house.join(loud)
        await wait_all_tasks_blocked()
        assert [len(m.body) for m in house.all_of(nodes.Message)] == [100]
        assert house.host.ends[EndReason.FINISHED] == 1


# Going


async def test_who_leaves_is_told_and_the_room_sees_him_go() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert house.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "left")]
        assert house.host.ends[EndReason.FINISHED] == 1
        assert house.host.rooms == 0


async def test_who_is_kicked_is_told_and_hears_nothing_more() -> None:
    async with opened(echo) as house:
        ann, bob = house.join(echo, link=SOUTH), house.join(echo)
        house.say(ann, 1, "kick")
        house.say(bob, 1, "peace")
        await wait_all_tasks_blocked()
        assert house.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "kicked")]
        assert (house.said(NORTH), house.said(SOUTH)) == (["peace"], [])


async def test_a_link_that_is_gone_takes_its_players_along_and_no_others() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.join(echo, link=SOUTH)
        alone = house.join(echo, link=SOUTH, new=True)
        house.say(alone, 1, "acked to nobody")
        house.host.drop_link(SOUTH)
        house.say(ann, 1, "alone?")
        await wait_all_tasks_blocked()
        assert house.host.players == 1
        assert house.host.why() == [f"echo {ann.room}, 0 s old, 1 player"]
        assert house.acked() == [(ann.room, ann.player, 1)]
        assert house.said(SOUTH) == []


# Ends


async def test_a_room_that_returns_tells_its_result_to_every_link() -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        house.join(echo, link=SOUTH)
        house.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        ended = nodes.Ended(ann.room, 0, "finished", b'{"said":"end"}')
        assert house.sent[-2:] == [(NORTH, ended), (SOUTH, ended)]
        assert house.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM


async def test_the_tasks_of_a_room_end_with_its_function() -> None:
    async def bot() -> None:
        await trio.sleep_forever()

    @room("botted", seats=1)
    async def botted(table: Room) -> int:
        table.nursery.start_soon(bot)
        return 1

    async with opened(botted) as house:
        ann = house.join(botted)
        await wait_all_tasks_blocked()
        assert house.ends() == [(ann.room, "finished")]


async def raises_group() -> None:
    raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])


async def returns_what_json_cannot_hold() -> object:
    return object()


async def returns_too_much() -> str:
    return "x" * 300_000


async def returns_a_circle() -> object:
    circle: list[Any] = []
    circle.append(circle)
    return circle


async def exits() -> None:
    raise SystemExit(0)


async def is_interrupted() -> None:
    raise KeyboardInterrupt


async def is_interrupted_in_a_bot() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(is_interrupted)


async def raises_generator_exit() -> None:
    raise GeneratorExit


async def raises_stop() -> None:
    raise StopAsyncIteration


async def raises_in_a_bot() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_group)


@pytest.mark.parametrize(
    "crash",
    [
        raises_group,
        returns_what_json_cannot_hold,
        returns_too_much,
        returns_a_circle,
        exits,
        is_interrupted,
        is_interrupted_in_a_bot,
        raises_generator_exit,
        raises_stop,
        raises_in_a_bot,
    ],
)
async def test_a_crash_of_any_kind_ends_its_room_alone_and_is_logged(
    crash: Callable[[], Awaitable[object]],
) -> None:
    @room("crashing", seats=2)
    async def crashing(table: Room) -> object:
        return await crash()

    async with opened(crashing, echo) as house:
        ann, bob = house.join(echo), house.join(crashing)
        with capture_logs() as logs:
            await wait_all_tasks_blocked()
        house.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert house.all_of(nodes.Ended) == [nodes.Ended(bob.room, 0, "crashed")]
        assert house.said() == ["still here"]
        assert house.host.ends[EndReason.CRASHED] == 1
        [log] = logs
        assert (log["event"], log["room"], log["kind"]) == ("room.crashed", bob.room, "crashing")
        assert isinstance(log["exc_info"], BaseException)


async def test_a_room_that_never_waits_leaves_the_others_alone(autojump_clock: MockClock) -> None:
    async with opened(spinning, echo) as house:
        house.join(spinning)
        ann = house.join(echo)
        house.say(ann, 1, "hi")
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert house.said() == ["hi"]


async def test_who_joins_while_a_room_is_ending_gets_another_one() -> None:
    @room("closing", seats=4)
    async def closing(table: Room) -> Any:
        async def linger() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await may_end.wait()

        table.nursery.start_soon(linger)
        async for event in table:
            if isinstance(event, Said):
                break

    may_end = trio.Event()
    async with opened(closing) as house:
        ann = house.join(closing)
        await wait_all_tasks_blocked()
        house.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        assert house.ends() == []
        assert house.host.seats() == {"closing": 0}
        assert house.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM
        assert house.join(closing).room != ann.room
        may_end.set()
        await wait_all_tasks_blocked()
        assert house.ends() == [(ann.room, "finished")]


async def test_a_room_whose_nursery_is_cancelled_is_finished_without_a_result(
    autojump_clock: MockClock,
) -> None:
    @room("timed", seats=1)
    async def timed(table: Room) -> Any:
        async def alarm() -> None:
            await trio.sleep(3)
            table.nursery.cancel_scope.cancel()

        table.nursery.start_soon(alarm)
        async for _ in table:
            pass

    async with opened(timed) as house:
        ann = house.join(timed)
        with capture_logs() as logs:
            await house.host.wait_empty()
        assert trio.current_time() == 3
        assert house.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "finished", b"null"))
        assert logs == []


async def test_a_room_that_cancels_its_nursery_and_returns_has_its_result() -> None:
    @room("last_words", seats=1)
    async def last_words(table: Room) -> Any:
        table.nursery.cancel_scope.cancel()
        return "done"

    async with opened(last_words) as house:
        ann = house.join(last_words)
        await house.host.wait_empty()
        assert house.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "finished", b'"done"'))


async def test_a_cancellation_of_before_that_a_room_raises_again_ends_it_alone() -> None:
    @room("stale", seats=1)
    async def stale(table: Room) -> Any:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                before = cancelled
        raise before

    async with opened(stale, echo) as house:
        ann, bob = house.join(echo), house.join(stale)
        await wait_all_tasks_blocked()
        house.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert (house.said(), house.ends()) == (["still here"], [(bob.room, "finished")])


async def test_a_cut_while_the_nursery_is_cancelled_is_a_cut() -> None:
    @room("both", seats=1)
    async def both(table: Room) -> Any:
        table.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await may_end.wait()
        await trio.sleep_forever()

    may_end = trio.Event()
    async with opened(both) as house:
        ann = house.join(both)
        await wait_all_tasks_blocked()
        house.host.cut()
        may_end.set()
        await house.host.wait_empty()
        assert house.ends() == [(ann.room, "cut")]


async def test_rooms_are_cut_when_the_work_itself_is_cancelled() -> None:
    async with trio.open_nursery() as work:
        house = House(work, echo)
        ann = house.join(echo)
        await wait_all_tasks_blocked()
        work.cancel_scope.cancel()
    assert house.ends() == [(ann.room, "cut")]
    assert house.host.rooms == 0


# The drain


async def test_closed_doors_send_joins_by_kind_elsewhere_and_admit_those_that_name_a_room() -> None:
    async with opened(echo) as house:
        ann = house.join(echo, key="k")
        house.host.close_doors()
        assert house.join(echo).code == "draining"
        assert house.join(echo, new=True).code == "draining"
        assert house.join(room=ann.room).room == ann.room
        assert house.join(echo, key="k").player == ann.player
        house.host.open_doors()
        assert house.join(echo).room == ann.room


async def test_every_room_hears_the_seconds_left_also_one_that_is_opened_later(
    autojump_clock: MockClock,
) -> None:
    @room("listening", seats=1)
    async def listening(table: Room) -> Any:
        heard: list[Any] = [table.seconds_left]
        async for event in table:
            if isinstance(event, Draining):
                await trio.sleep(1)
                return [*heard, event.seconds, table.seconds_left]
        raise AssertionError

    async with opened(listening) as house:
        house.join(listening)
        await trio.sleep(3)
        house.host.drain(trio.current_time() + 20)
        await trio.sleep(5)
        house.join(listening)
        await house.host.wait_empty()
        results = [msgspec.json.decode(item.result) for item in house.all_of(nodes.Ended)]
        assert results == [[None, 20, 19], [15, 15, 14]]


async def test_a_room_that_ends_in_29_s_is_waited_for_29_s(autojump_clock: MockClock) -> None:
    @room("slow", seats=1)
    async def slow(table: Room) -> Any:
        await trio.sleep(29)

    async with opened(slow) as house:
        house.join(slow)
        start = trio.current_time()
        house.host.drain(start + 30)
        await house.host.wait_empty()
        assert trio.current_time() - start == 29
        assert house.host.ends[EndReason.FINISHED] == 1


async def test_a_cut_runs_the_rooms_finally_before_the_players_are_told() -> None:
    @room("careful", seats=1)
    async def careful(table: Room) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            table.broadcast("goodbye")

    async with opened(careful) as house:
        ann = house.join(careful)
        await wait_all_tasks_blocked()
        house.host.cut()
        assert house.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM
        await house.host.wait_empty()
        assert house.said() == ["goodbye"]
        assert house.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "cut"))
        assert house.host.ends == {"finished": 0, "cut": 1, "crashed": 0, "abandoned": 0}


async def test_a_room_that_raises_when_it_is_cut_is_cut_and_its_error_logged() -> None:
    @room("clumsy", seats=1)
    async def clumsy(table: Room) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the farewell")

    async with opened(clumsy) as house:
        house.join(clumsy)
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            house.host.cut()
            await house.host.wait_empty()
        assert house.host.ends[EndReason.CUT] == 1
        assert [log["event"] for log in logs] == ["room.crashed"]


async def test_a_draining_room_whose_last_player_has_gone_is_given_up() -> None:
    @room("stubborn", seats=2)
    async def stubborn(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(stubborn) as house:
        ann, empty = house.join(stubborn), house.join(stubborn, new=True)
        house.host.handle(NORTH, nodes.Absent(empty.room, empty.player, empty.session))
        await wait_all_tasks_blocked()
        assert house.host.rooms == 2  # while serving, that is for its author to decide
        house.host.drain(trio.current_time() + 30)
        await wait_all_tasks_blocked()
        assert house.host.rooms == 1
        house.host.handle(NORTH, nodes.Absent(ann.room, ann.player, ann.session))
        await house.host.wait_empty()
        assert house.host.ends[EndReason.ABANDONED] == 2


async def test_a_room_that_is_regrouped_names_its_players_in_items_of_64_kib() -> None:
    async with opened(hall) as house:
        options = b'{"pad":"' + b"x" * 1000 + b'"}'
        seats = [
            house.join(hall, name="\U0001f600" * 128, key=f"{n:0128}", options=options)
            for n in range(300)
        ]
        far = house.join(hall, link=SOUTH, name="far")
        house.host.drain(trio.current_time() + 30)
        north, south = house.all_of(nodes.Regroup, NORTH), house.all_of(nodes.Regroup, SOUTH)
        assert [who for item in north for who, _, _ in item.players] == [s.player for s in seats]
        assert len(north) == 3
        assert max(len(nodes.encode(item)) for item in north) < 70_000
        assert {item.options for item in (*north, *south)} == {options}
        assert [item.players for item in south] == [[(far.player, "far", "")]]


async def test_a_room_that_stays_empty_for_60_s_is_given_up(autojump_clock: MockClock) -> None:
    async with opened(hall) as house, trio.open_nursery() as services:
        services.start_soon(house.host.watch)
        ann, bob = house.join(hall), house.join(hall, new=True)
        await trio.sleep(100)
        assert house.host.rooms == 2
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await trio.sleep(59.5)
        assert house.host.rooms == 2
        await trio.sleep(2)
        assert house.host.ends[EndReason.ABANDONED] == 1
        assert house.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM
        assert house.join(room=bob.room).room == bob.room
        services.cancel_scope.cancel()


async def test_who_comes_back_in_time_keeps_the_room_and_its_minute_begins_anew(
    autojump_clock: MockClock,
) -> None:
    async with opened(hall) as house, trio.open_nursery() as services:
        services.start_soon(house.host.watch)
        ann = house.join(hall)
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await trio.sleep(40)
        again = house.join(room=ann.room)
        await trio.sleep(100)
        assert house.host.rooms == 1
        house.host.handle(NORTH, nodes.Absent(again.room, again.player, again.session))
        await trio.sleep(59.5)
        assert house.host.rooms == 1
        await trio.sleep(2)
        assert house.host.rooms == 0
        services.cancel_scope.cancel()


async def test_one_player_who_opens_and_leaves_rooms_does_not_hold_all_of_them(
    autojump_clock: MockClock,
) -> None:
    policy = RoomPolicy(max_rooms=50, empty_seconds=5)
    async with opened(hall, policy=policy) as house, trio.open_nursery() as services:
        services.start_soon(house.host.watch)
        for _ in range(50):
            seat = house.join(hall, new=True)
            house.host.handle(NORTH, nodes.Leave(seat.room, seat.player, seat.session))
        assert house.join(hall, new=True).code == ErrorCode.FULL
        await trio.sleep(7)
        assert house.host.rooms == 0
        assert house.host._empty == {}
        assert house.join(hall, new=True).room
        services.cancel_scope.cancel()


async def test_a_room_that_is_ending_by_itself_is_not_given_up(autojump_clock: MockClock) -> None:
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

    async with opened(winding) as house, trio.open_nursery() as services:
        services.start_soon(house.host.watch)
        ann = house.join(winding)
        await wait_all_tasks_blocked()
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await house.host.wait_empty()
        assert trio.current_time() == 90
        assert house.host.ends[EndReason.FINISHED] == 1
        services.cancel_scope.cancel()


async def test_a_draining_room_that_ends_by_itself_when_the_last_leaves_is_finished() -> None:
    async with opened(echo) as house:
        ann, bob = house.join(echo), house.join(echo)
        await wait_all_tasks_blocked()
        house.host.drain(trio.current_time() + 30)
        await wait_all_tasks_blocked()
        for seat in (ann, bob):
            house.host.handle(NORTH, nodes.Leave(seat.room, seat.player, seat.session))
        await house.host.wait_empty()
        assert house.host.ends[EndReason.FINISHED] == 1


async def test_why_names_every_room_the_oldest_first(autojump_clock: MockClock) -> None:
    async with opened(echo) as house:
        ann = house.join(echo)
        await trio.sleep(12)
        bob = house.join(echo, new=True)
        house.join(room=bob.room)
        assert house.host.why() == [
            f"echo {ann.room}, 12 s old, 1 player",
            f"echo {bob.room}, 0 s old, 2 players",
        ]


async def test_a_host_without_rooms_is_empty_at_once() -> None:
    async with opened(echo) as house:
        with trio.fail_after(0.1):
            await house.host.wait_empty()


async def test_a_host_that_does_not_serve_yet_sends_joins_elsewhere() -> None:
    sent: list[nodes.Down] = []
    host = Host(
        kinds={echo.name: echo},
        node=NodeName("game-1"),
        rng=random.Random(1),
        outbox=lambda _, item: sent.append(item),
    )
    host.handle(NORTH, nodes.Join(1, echo.name))
    assert [item.code for item in sent if isinstance(item, nodes.Refused)] == ["draining"]


async def test_a_room_hears_that_players_come_before_what_they_say() -> None:
    seen: list[object] = []

    @room("watching", seats=2)
    async def watching(table: Room) -> Any:
        async for event in table:
            seen.append(event)  # noqa: PERF401 - it is looked at while the room runs

    async with opened(watching) as house:
        ann = house.join(watching)
        house.say(ann, 1, {"x": 1})
        house.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert seen == [Joined(ann.player), Said(ann.player, {"x": 1}), Left(ann.player)]
