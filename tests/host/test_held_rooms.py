"""Held rooms, adopted or frozen, and the requests of their players; and rooms that have moved."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Away, Back, Joined, Left, Room, Said, room
from lastcall.events import Alarm, Draining
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import KindName, RoomId
from lastcall.limits import Limits
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from lastcall.wire.images import Image, SeatImage, encode_image
from tests.harness.counts import players_in
from tests.host.host_harness import EAST, NORTH, SOUTH, HostHarness, echo, open_host
from tests.host.moving import THERE, Log, logging_kind, move, on_the_wire, renew, two_hosts
from tests.wire.image_samples import ANN

PLAIN = logging_kind()[0]
EMPTY = Image(
    v=1,
    room=RoomId("game-1.abc"),
    kind=KindName("logging"),
    epoch=1,
    options=b"{}",
    state=msgspec.msgpack.encode(Log()),
)


def asked(harness: HostHarness, item: nodes.Up, link: Any = NORTH) -> list[Any]:
    """The items that the host sends at once for ``item``."""
    before = len(harness.sent)
    harness.host.handle(link, item)
    return [sent for _, sent in harness.sent[before:]]


# A room moves


async def test_a_room_moves_with_its_state_its_messages_its_players_and_its_epoch(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann, bob = first.join(kind, name="Ann"), first.join(kind, link=SOUTH)
        first.say(ann, 1, "one")
        first.say(bob, 1, ["to", ann.player, "psst"])
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        await wait_all_tasks_blocked()
        moved = nodes.Moved(ann.room, 1, THERE.incarnation, THERE.name)
        assert [first.all_of(nodes.Moved, link) for link in (NORTH, SOUTH)] == [[moved], [moved]]
        again = renew(second, ann, seen=1)
        assert (again.session, again.secret, again.n, again.epoch) == (1, ann.secret, 1, 1)
        assert second.replayed() == [(2, "psst")]
        assert renew(second, bob, seen=1).complete
        assert second.replayed() == []
        second.say(again, 2, "two")
        await trio.sleep(5)
        message = nodes.Message(ann.room, 1, 3, b'"two"')
        assert second.all_of(nodes.Message) == [message]
        assert seen[2:] == [
            *(Said(ann.player, "one"), Said(bob.player, ["to", ann.player, "psst"])),
            Said(ann.player, "two"),
        ]
        live = second.host.find(ann.room)
        assert live is not None
        assert live.state.author_state == Log(["one", "two"])
        assert live.state.table is not None
        assert live.state.table.moves == 1
        assert live.state.table.name_of(ann.player) == "Ann"


async def test_renewals_within_2_s_cost_the_room_no_event_and_later_ones_away_and_back(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann, bob, cat = (first.join(kind) for _ in range(3))
        for seat in (ann, bob, cat):
            first.confirm(seat)
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        await trio.sleep(1.9)
        assert isinstance(renew(second, ann), nodes.Resumed)
        await trio.sleep(0.2)
        assert seen[3:] == [Away(bob.player), Away(cat.player)]
        assert isinstance(renew(second, bob), nodes.Resumed)
        await trio.sleep(28)
        assert seen[5:] == [Back(bob.player), Left(cat.player)]


@pytest.mark.parametrize(("drains", "kept"), [(False, 30), (True, 5)])
async def test_a_kind_that_keeps_no_seat_waits_for_the_renewals_of_a_room_that_has_moved(
    autojump_clock: MockClock, *, drains: bool, kept: float
) -> None:
    kind, seen = logging_kind(resume_seconds=0)
    async with two_hosts(kind) as (first, second):
        ann, bob = first.join(kind), first.join(kind)
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        if drains:
            second.host.drain(trio.current_time() + 60)
        await trio.sleep(kept - 0.1)
        assert isinstance(renew(second, ann), nodes.Resumed)
        await trio.sleep(0.2)
        assert Left(bob.player) in seen
        second.lose(ann)
        await wait_all_tasks_blocked()
        assert seen[-1] == Left(ann.player)


async def test_the_options_of_a_started_room_move_with_it() -> None:
    @room("optional", seats=2, state=Log, options=dict[str, int])
    async def optional(table: Room[Log]) -> Any:
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(table.options)

    async with two_hosts(optional) as (first, second):
        ann = first.join(optional, options=b'{"width":7}')
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        again = renew(second, ann)
        second.say(again, 1, "?")
        await wait_all_tasks_blocked()
        assert second.messages() == [{"width": 7}]


async def test_a_room_that_has_moved_takes_players_where_it_is_and_none_where_it_was() -> None:
    kind, _ = logging_kind(seats=3)
    async with two_hosts(kind) as (first, second):
        ann = first.join(kind, key="a")
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        assert second.host.running.open_rooms.seats() == {kind.name: 2}
        assert second.join(kind).room == ann.room
        assert second.join(kind, key="a").player == ann.player
        assert first.join(kind).room != ann.room


async def test_a_room_can_come_back_to_the_host_where_it_was_first() -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann = first.join(kind, key="a")
        first.say(ann, 1, "one")
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        second.say(renew(second, ann), 2, "two")
        await wait_all_tasks_blocked()
        await move(second, first, ann.room)
        assert renew(first, ann).epoch == 2
        first.say(ann, 3, "three")
        await wait_all_tasks_blocked()
        assert first.messages() == ["one", "three"]
        assert first.join(kind, key="a").player == ann.player
        assert second.join(kind, key="a").name == THERE.name


async def test_alarms_of_a_room_that_has_moved_ring_late_and_once(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann = first.join(kind)
        first.say(ann, 1, ["alarm", "bell", 1])
        first.say(ann, 2, ["every", "tick", 2])
        await trio.sleep(0.5)
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        await trio.sleep(1)
        assert not any(isinstance(event, Alarm) for event in seen)
        first.host.moves.moved(ann.room, THERE)
        assert second.host.moves.release(ann.room)
        await wait_all_tasks_blocked()
        assert [event for event in seen if isinstance(event, Alarm)] == [Alarm("bell")]
        await trio.sleep(0.6)
        assert [event for event in seen if isinstance(event, Alarm)][1:] == [Alarm("tick")]


async def test_a_player_who_was_kicked_learns_it_where_the_room_is_now() -> None:
    @room("strict", seats=2, state=Log)
    async def strict(table: Room[Log]) -> Any:
        async for event in table:
            if isinstance(event, Said):
                table.kick(event.player, ban=60)

    async with two_hosts(strict) as (first, second):
        ann, bob = first.join(strict, key="a"), first.join(strict)
        first.say(ann, 1, "!")
        await wait_all_tasks_blocked()
        await move(first, second, bob.room)
        answer = asked(second, nodes.Resume(3, ann.room, ann.player, ann.secret, 0))
        assert [type(item) for item in answer] == [nodes.Resumed, nodes.Out]
        assert answer[1].reason == "kicked"
        assert second.join(strict, room=bob.room, key="a").code == "locked"


# Requests wait


async def test_requests_for_a_frozen_room_wait_and_are_applied_in_order_when_it_thaws(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann, bob, cat = (harness.join(kind, key=key) for key in "abc")
        for seat in (ann, bob, cat):
            harness.confirm(seat)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        for item in (
            nodes.Absent(ann.room, ann.player, 1),
            nodes.Resume(3, ann.room, ann.player, ann.secret, 0),
            nodes.Leave(bob.room, bob.player, 1),
            nodes.Join(4, KindName(""), room=ann.room),
            nodes.Join(5, kind.name, key="c"),
            nodes.Renew(6, cat.room, cat.player, cat.secret, 0, session=1),
        ):
            assert asked(harness, item, EAST if isinstance(item, nodes.Resume) else NORTH) == []
        before = len(harness.sent)
        harness.host.moves.thaw(image)
        await wait_all_tasks_blocked()
        answers = [
            (type(item).__name__, getattr(item, "call", 0), link)
            for link, item in harness.sent[before:]
        ]
        assert answers == [
            ("Resumed", 3, EAST),
            ("Out", 0, NORTH),
            ("Seated", 4, NORTH),
            ("Out", 0, NORTH),
            ("Seated", 5, NORTH),
            ("Refused", 6, EAST),
        ]
        assert [type(event).__name__ for event in seen[3:]] == ["Left", "Joined"]


async def test_a_player_who_missed_too_much_while_a_room_was_held_gets_its_picture() -> None:
    @room("pictured", seats=2, state=Log, history_messages=1)
    async def pictured(table: Room[Log]) -> Any:
        table.state_for = lambda _player: table.state.said
        async for event in table:
            if isinstance(event, Said):
                table.state.said.append(event.input)
                table.broadcast(event.input)

    async with open_host(pictured) as harness:
        ann = harness.join(pictured)
        for n in (1, 2, 3):
            harness.say(ann, n, n)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        assert asked(harness, nodes.Resume(3, ann.room, ann.player, ann.secret, 0), SOUTH) == []
        harness.host.moves.thaw(image)
        await wait_all_tasks_blocked()
        [again] = harness.all_of(nodes.Resumed)
        assert (again.complete, again.state) == (False, b"[1,2,3]")


async def test_requests_for_a_room_that_runs_again_wait_for_its_first_rest_in_their_order(
    autojump_clock: MockClock, schedule: int
) -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann, bob = first.join(kind), first.join(kind)
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        held = nodes.Renew(3, ann.room, ann.player, ann.secret, 0, session=1)
        assert asked(second, held) == []
        assert second.host.moves.release(ann.room)
        assert asked(second, replace(held, call=4, player=bob.player, secret=bob.secret)) == []
        assert asked(second, replace(held, call=5)) == []
        assert [item.code for item in asked(second, nodes.Cancel(5))] == [nodes.CANCELLED]
        assert asked(second, replace(held, call=6), SOUTH) == []
        second.host.drop_link(SOUTH)
        again = await second.host.moves.freeze(ann.room)
        assert again is not None
        assert [item.call for item in second.all_of(nodes.Resumed)] == [3, 4]
        assert second.host.running.held._waiting == 0
        assert [seat.away_seconds for seat in again.seats] == [None, None]


@pytest.mark.parametrize(("seconds", "answered_at"), [(0.3, 0.3), (5, 1)])
async def test_requests_wait_1_s_at_the_most_for_a_room_that_does_not_rest(
    seconds: float, answered_at: float, autojump_clock: MockClock
) -> None:
    @room("slow", seats=2, state=Log)
    async def slow(table: Room[Log]) -> Any:
        if table.moves:
            await trio.sleep(seconds)
        async for _ in table:
            pass

    async with two_hosts(slow) as (first, second):
        ann = first.join(slow)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        held = nodes.Renew(3, ann.room, ann.player, ann.secret, 0, session=1)
        assert asked(second, held) == []
        assert second.host.moves.release(ann.room)
        await second.host.moves.waking.wait(ann.room)
        assert trio.current_time() - began == pytest.approx(answered_at)
        assert [item.call for item in second.all_of(nodes.Resumed)] == [3]


async def test_a_request_for_a_room_that_ends_before_it_rests_is_answered_with_its_end() -> None:
    @room("brief", seats=2, state=Log)
    async def brief(table: Room[Log]) -> Any:
        if table.moves:
            return "over"
        async for _ in table:
            pass
        raise AssertionError

    async with two_hosts(brief) as (first, second):
        ann = first.join(brief)
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        assert asked(second, nodes.Renew(3, ann.room, ann.player, ann.secret, 0, session=1)) == []
        assert second.host.moves.release(ann.room)
        await wait_all_tasks_blocked()
        resumed, out = (item for _, item in second.sent)
        assert isinstance(resumed, nodes.Resumed)
        assert (resumed.call, out.reason, out.result) == (3, "finished", b'"over"')


async def test_inputs_for_a_frozen_room_are_wanted_again_when_it_thaws() -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind, link=SOUTH)
        harness.say(ann, 1, "one")
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        harness.say(ann, 2, "two")
        harness.say(ann, 3, "three")
        assert seen[2:] == [Said(ann.player, "one")]
        harness.host.moves.thaw(image)
        assert harness.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 2)]
        harness.say(ann, 4, "four")
        for n, said in ((2, "two"), (3, "three"), (4, "four")):
            harness.say(ann, n, said)
        harness.say(bob, 1, "bob")
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.BadInput) == []
        said = [event.input for event in seen if isinstance(event, Said)]
        assert said == ["one", "two", "three", "four", "bob"]


async def test_an_input_by_a_link_that_does_not_hold_the_seat_is_not_wanted_again() -> None:
    kind, _ = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        harness.say(ann, 1, "one", link=SOUTH)
        harness.host.moves.thaw(image)
        assert harness.all_of(nodes.Wanted) == []


async def test_requests_for_an_adopted_room_wait_until_it_is_released(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann = first.join(kind, key="a")
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        await trio.sleep(5)
        assert asked(second, nodes.Renew(3, ann.room, ann.player, ann.secret, 0, session=1)) == []
        assert asked(second, nodes.Join(4, kind.name, key="a"), SOUTH) == []
        assert len(seen) == 1
        assert second.host.moves.release(ann.room)
        assert second.all_of(nodes.Resumed) == []
        await wait_all_tasks_blocked()
        assert [item.call for item in second.all_of(nodes.Resumed)] == [3]
        assert [item.call for item in second.all_of(nodes.Seated)] == [4]
        await trio.sleep(5)
        assert seen == [Joined(ann.player)]


async def test_requests_for_a_withdrawn_room_are_answered_as_if_it_never_was_there() -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann = first.join(kind, key="a")
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        second.host.handle(NORTH, nodes.Renew(3, ann.room, ann.player, ann.secret, 0, session=1))
        second.host.handle(NORTH, nodes.Join(4, kind.name, key="a", seated_only=True))
        second.host.moves.withdraw(ann.room)
        codes = [(item.call, item.code) for item in second.all_of(nodes.Refused)]
        assert codes == [(3, nodes.NO_SUCH_PLACE), (4, nodes.NO_SUCH_PLACE)]
        assert second.host.running.by_key == {}
        held = second.host.running.held
        assert (held.by_id, held.waking, len(held.moved)) == ({}, {}, 0)
        assert second.host.moves.adopt(image) is None
        assert not second.host.moves.release(RoomId("game-1.other"))


async def test_a_request_that_waits_can_be_cancelled() -> None:
    kind, _ = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        resume = nodes.Resume(3, ann.room, ann.player, ann.secret, 0)
        assert asked(harness, resume, SOUTH) == []
        assert asked(harness, nodes.Cancel(3), NORTH) == []
        [refused] = asked(harness, nodes.Cancel(3), SOUTH)
        assert (refused.call, refused.code) == (3, nodes.CANCELLED)
        harness.host.moves.thaw(image)
        assert harness.all_of(nodes.Resumed) == []


async def test_a_request_that_waits_for_a_takeover_waits_on_in_the_frozen_room(
    autojump_clock: MockClock,
) -> None:
    kind, _ = logging_kind()
    async with open_host(kind, takeover_seconds=0.5) as harness:
        ann = harness.join(kind, key="a")
        await wait_all_tasks_blocked()
        assert asked(harness, nodes.Join(3, kind.name, key="a"), SOUTH) == []
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        await trio.sleep(3)
        assert len(harness.all_of(nodes.Seated)) == 1
        harness.host.moves.thaw(image)
        await trio.sleep(0.6)
        assert [item.call for item in harness.all_of(nodes.Seated, SOUTH)] == [3]


async def test_requests_beyond_the_bound_are_refused_for_now() -> None:
    kind, _ = logging_kind()
    async with open_host(kind) as harness:
        harness.host.running.held._requests_max = 2
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        for call in (1, 2):
            assert asked(harness, nodes.Join(call, KindName(""), room=ann.room)) == []
        [refused] = asked(harness, nodes.Join(3, KindName(""), room=ann.room))
        assert refused.code == "no_game_node"
        assert asked(harness, nodes.Absent(ann.room, ann.player, 1)) == []
        [_] = asked(harness, nodes.Cancel(1))
        assert asked(harness, nodes.Join(4, KindName(""), room=ann.room)) == []
        harness.host.drop_link(NORTH)
        harness.host.moves.thaw(image)
        assert harness.host.running.held._waiting == 0


async def test_players_of_a_link_that_is_lost_while_their_room_is_held_are_away_when_it_thaws(
    autojump_clock: MockClock, schedule: int
) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind, link=SOUTH)
        for seat in (ann, bob):
            harness.confirm(seat)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        harness.host.handle(SOUTH, nodes.Join(3, KindName(""), room=ann.room))
        harness.host.drop_link(SOUTH)
        harness.host.moves.thaw(image)
        await trio.sleep(3)
        assert seen[2:] == [Away(bob.player)]
        harness.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert [to for to, item in harness.sent if isinstance(item, nodes.Message)] == [NORTH]


async def test_a_link_that_is_lost_is_lost_for_rooms_that_freeze_and_thaw_while_it_is_taken_down(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind(seats=800)
    async with open_host(kind) as harness:
        seats = [harness.join(kind) for _ in range(800)]
        for seat in seats:
            harness.confirm(seat)
        await wait_all_tasks_blocked()
        harness.host.drop_link(NORTH)  # 64 players at once, and the others a few turns later
        image = await harness.host.moves.freeze(seats[0].room)
        assert image is not None
        assert sum(seat.away_seconds is None for seat in image.seats) == 800 - 64
        harness.host.moves.thaw(image)
        live = harness.host.find(seats[0].room)
        assert live is not None
        assert len(live.state.roster.links) == 1
        await trio.sleep(3)
        assert live.state.roster.links == {}
        assert {event.player for event in seen if isinstance(event, Away)} == {
            seat.player for seat in seats
        }


# Rooms that have moved


async def test_whoever_asks_for_a_room_that_has_moved_is_told_where_it_is(
    autojump_clock: MockClock,
) -> None:
    kind, _ = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind, key="a")
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        waiting = nodes.Resume(3, ann.room, ann.player, ann.secret, 0)
        assert asked(harness, waiting, EAST) == []
        harness.host.moves.moved(ann.room, THERE)
        [(link, refused)] = [sent for sent in harness.sent if isinstance(sent[1], nodes.Refused)]
        assert (link, refused.call) == (EAST, 3)
        for request in (
            nodes.Resume(5, ann.room, ann.player, "guess", 0),
            nodes.Renew(5, ann.room, ann.player, ann.secret, 0, session=1),
            nodes.Join(5, KindName(""), room=ann.room),
            nodes.Join(5, kind.name, key="a"),
        ):
            [refused] = asked(harness, request, SOUTH)
            place = (refused.call, refused.code, refused.to, refused.name)
            assert place == (5, nodes.MOVED, THERE.incarnation, THERE.name)
        assert asked(harness, nodes.Absent(ann.room, ann.player, 1)) == []
        assert asked(harness, nodes.Confirm(ann.room, ann.player, 1)) == []
        assert asked(harness, nodes.Say(ann.room, ann.player, 1, 1, b"1")) == []
        assert harness.host.moves.adopt(replace(EMPTY, room=ann.room)) == (
            f"the room {ann.room} has moved on to game-2"
        )


async def test_a_player_who_leaves_a_room_that_is_moving_leaves_it_where_it_is_then() -> None:
    kind, seen = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann, bob = first.join(kind), first.join(kind)
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        first.leave(ann)
        first.host.moves.moved(ann.room, THERE)
        first.leave(bob)
        assert second.host.moves.release(ann.room)
        for seat in (ann, bob):  # their node says it again
            second.leave(seat, link=EAST)
        await wait_all_tasks_blocked()
        assert seen[2:] == [Left(ann.player), Left(bob.player)]


async def test_moved_rooms_and_their_keys_are_forgotten_beyond_a_bound() -> None:
    kind, _ = logging_kind(seats=1)
    async with open_host(kind) as harness:
        harness.host.running.held.moved._max = 5
        for number in range(5):
            seat = harness.join(kind, key=f"k{number}")
            await wait_all_tasks_blocked()
            await harness.host.moves.freeze(seat.room)
            harness.host.moves.moved(seat.room, THERE)
        assert len(harness.host.running.held.moved) == 2
        assert sorted(harness.host.running.by_key) == [(kind.name, "k3"), (kind.name, "k4")]


async def test_only_a_frozen_room_thaws_or_has_moved_and_only_an_adopted_one_is_released() -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second):
        ann = first.join(kind)
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert second.host.moves.adopt(image) is None
        first.host.moves.withdraw(ann.room)
        assert not first.host.moves.release(ann.room)
        second.host.moves.thaw(image)
        second.host.moves.moved(ann.room, THERE)
        assert (first.host.find(ann.room), second.host.find(ann.room)) == (None, None)
        assert second.host.moves.release(ann.room)
        assert not second.host.moves.release(ann.room)
        first.host.moves.thaw(image)
        assert first.host.find(ann.room) is not None


# Adoption


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"kind": "chess"}, "no kind 'chess' that can move"),
        ({"kind": "echo"}, "no kind 'echo' that can move"),
        ({"v": 2}, "version 2"),
        ({"state": b"\x81\xa4said\x07"}, "the state does not fit"),
        ({"options": b"7"}, "options"),
        ({"seats": (SeatImage(player=ANN, secret="0"),) * 2}, "two seats"),  # noqa: S106
        ({"seats": tuple(SeatImage(player=str(n), secret="0") for n in range(9))}, "9 players"),  # type: ignore[arg-type]  # noqa: S106
        ({"open_seconds": float("nan")}, "a time is nan"),
        ({"state": b"\xc1" * 5000}, "images of 4000 bytes"),
    ],
)
async def test_an_image_that_this_host_cannot_run_is_refused_and_changes_nothing(
    wrong: dict[str, Any], reason: str
) -> None:
    async with open_host(PLAIN, echo, policy=RoomPolicy(adopted_bytes=4000)) as harness:
        changes = harness.changes
        refusal = harness.host.moves.adopt(replace(EMPTY, **wrong))
        assert refusal is not None
        assert reason in refusal
        held = harness.host.running.held
        assert (held.by_id, held.waking, len(held.moved)) == ({}, {}, 0)
        assert harness.host.running.by_key == {}
        assert harness.changes == changes
        assert not harness.host.moves.release(EMPTY.room)


async def test_a_host_adopts_a_room_once() -> None:
    async with open_host(PLAIN) as harness:
        assert harness.host.moves.adopt(EMPTY) is None
        again = f"the room {EMPTY.room} is here already"
        assert harness.host.moves.adopt(EMPTY) == again
        assert harness.host.moves.release(EMPTY.room)
        assert harness.host.moves.adopt(replace(EMPTY, epoch=7)) == again


async def test_adopted_rooms_count_for_the_limit_of_rooms_and_of_bytes() -> None:
    size = len(encode_image(EMPTY))
    policy = RoomPolicy(limits=Limits(rooms=2), adopted_bytes=2 * size)
    async with open_host(PLAIN, policy=policy) as harness:
        images = [replace(EMPTY, room=RoomId(f"game-1.{number:03}")) for number in range(3)]
        assert [harness.host.moves.adopt(image) for image in images] == [
            *(None, None),
            "this node runs 2 rooms, its limit",
        ]
        assert harness.join(PLAIN).code == "full"
        harness.host.moves.withdraw(images[0].room)
        assert harness.host.moves.adopt(replace(images[0], state=images[0].state + b"")) is None
        harness.host.moves.withdraw(images[1].room)
        assert isinstance(harness.join(PLAIN), nodes.Seated)
    async with open_host(PLAIN, policy=replace(policy, limits=Limits())) as harness:
        assert [harness.host.moves.adopt(image) for image in images] == [
            *(None, None),
            f"this node holds images of {2 * size} bytes, its limit",
        ]
        assert harness.host.moves.release(images[0].room)
        assert harness.host.moves.adopt(images[2]) is None


async def test_a_host_whose_doors_are_closed_adopts_no_room_but_runs_one_that_it_holds() -> None:
    async with open_host(PLAIN) as harness:
        assert harness.host.moves.adopt(EMPTY) is None
        harness.host.matchmaker.doors_open = False
        other = replace(EMPTY, room=RoomId("game-1.other"))
        assert harness.host.moves.adopt(other) == "this node opens no rooms"
        assert harness.host.moves.release(EMPTY.room)


async def test_a_host_whose_work_is_over_releases_nothing() -> None:
    async with trio.open_nursery() as work:
        harness = HostHarness(work, PLAIN)
        assert harness.host.moves.adopt(EMPTY) is None
        work.cancel_scope.cancel()
    assert not harness.host.moves.release(EMPTY.room)


async def test_an_adopted_room_does_not_keep_its_node_up_and_does_not_count_as_running() -> None:
    async with open_host(PLAIN) as harness:
        seats = (SeatImage(player=ANN, secret="0"),)  # noqa: S106
        assert harness.host.moves.adopt(replace(EMPTY, seats=seats)) is None
        await harness.host.wait_empty()
        assert (harness.host.rooms, players_in(harness.host)) == (0, 0)
        assert why_not_empty(harness.host.running) == []
        assert harness.host.moves.release(EMPTY.room)
        assert (harness.host.rooms, players_in(harness.host)) == (1, 1)


async def test_a_room_that_is_released_while_its_node_drains_is_told_so(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        seats = (SeatImage(player=ANN, secret="0"),)  # noqa: S106
        image = replace(EMPTY, seats=seats, started=True)
        assert harness.host.moves.adopt(image) is None
        harness.host.drain(trio.current_time() + 9)
        assert harness.host.moves.release(EMPTY.room)
        await wait_all_tasks_blocked()
        assert seen == [Draining(9)]
        await trio.sleep(6)
        assert harness.host.rooms == 0


# Takeovers around a move


async def test_a_late_resume_of_an_older_socket_does_not_take_the_place_before_the_renewal(
    autojump_clock: MockClock,
) -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind, takeover_seconds=0.5) as (first, second):
        old = first.join(kind)
        first.confirm(old)
        new = first.resume(old, link=SOUTH)
        await wait_all_tasks_blocked()
        await move(first, second, old.room)
        late = nodes.Resume(3, old.room, old.player, old.secret, 0)
        assert asked(second, late, NORTH) == []
        assert isinstance(renew(second, new), nodes.Resumed)
        second.confirm(new)
        await trio.sleep(1)
        [refused] = second.all_of(nodes.Refused)
        assert (refused.call, refused.code) == (3, nodes.NO_SUCH_PLACE)


async def test_a_player_between_two_sockets_finds_their_place_where_the_room_is_now(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with two_hosts(kind, takeover_seconds=0.5) as (first, second):
        ann = first.join(kind)
        first.confirm(ann)
        first.lose(ann)
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        refused = first.resume(ann, link=SOUTH)
        assert (refused.code, refused.to) == (nodes.MOVED, THERE.incarnation)
        again = second.resume(ann, link=SOUTH)
        assert (again.session, again.epoch) == (2, 1)
        await trio.sleep(5)
        assert seen == [Joined(ann.player)]


async def test_a_former_ticket_finds_the_place_where_the_room_is_now() -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second):
        ticket = "game-0.old/pold/00"
        ann = first.join(kind, former=(ticket,), key="a")
        await wait_all_tasks_blocked()
        await move(first, second, ann.room)
        old = nodes.Resume(3, RoomId("game-0.old"), "pold", "00", 5)  # type: ignore[arg-type]
        [refused] = asked(first, old, SOUTH)
        assert refused.code == nodes.MOVED
        [seated] = asked(second, old, SOUTH)
        assert (seated.player, seated.room) == (ann.player, ann.room)
