"""A room comes to rest, is frozen in silence, and goes on from its image as if nothing was."""

from __future__ import annotations

from typing import Any

import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Away, Back, Joined, Left, Room, Said, room
from lastcall.events import Alarm, Draining
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import RoomId
from lastcall.reasons import EndReason
from lastcall.wire import nodes
from tests.harness.counts import players_in
from tests.host.host_harness import EAST, NORTH, SOUTH, HostHarness, open_host, recording_kind
from tests.host.moving import Log, logging_kind, on_the_wire, two_hosts


async def thawed(harness: HostHarness, room_id: RoomId) -> None:
    image = await harness.host.moves.freeze(room_id)
    assert image is not None
    harness.host.moves.thaw(image)
    await wait_all_tasks_blocked()


async def test_a_thawed_room_goes_on_as_if_nothing_was(autojump_clock: MockClock) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind, link=SOUTH)
        harness.say(ann, 1, "one")
        await wait_all_tasks_blocked()
        before = len(harness.sent)
        await thawed(harness, ann.room)
        assert harness.sent[before:] == []
        harness.say(bob, 1, "two")
        harness.say(ann, 2, "three")
        await trio.sleep(10)
        assert seen == [
            *(Joined(seat.player) for seat in (ann, bob)),
            *(Said(ann.player, "one"), Said(bob.player, "two"), Said(ann.player, "three")),
        ]
        for link in (NORTH, SOUTH):
            assert [m.seq for m in harness.all_of(nodes.Message, link)] == [1, 2, 3]
        assert set(harness.acked()) == {(ann.room, ann.player, 2), (ann.room, bob.player, 1)}
        live = harness.host.find(ann.room)
        assert live is not None
        assert live.state.author_state == Log(["one", "two", "three"])


async def test_the_function_is_called_again_with_the_same_epoch_when_a_room_thaws() -> None:
    calls: list[int] = []

    @room("calls", seats=2, state=Log)
    async def calls_kind(table: Room[Log]) -> Any:
        calls.append(table.moves)
        async for _ in table:
            pass

    async with open_host(calls_kind) as harness:
        ann = harness.join(calls_kind)
        await wait_all_tasks_blocked()
        await thawed(harness, ann.room)
        await thawed(harness, ann.room)
        assert calls == [0, 0, 0]


async def test_a_room_that_waits_for_an_event_under_a_time_limit_is_at_rest(
    autojump_clock: MockClock,
) -> None:
    @room("limited", seats=2, state=Log)
    async def limited(table: Room[Log]) -> Any:
        while True:
            with trio.move_on_after(5):
                await anext(table)

    async with open_host(limited) as harness:
        ann = harness.join(limited)
        await trio.sleep(7)
        started = trio.current_time()
        assert await harness.host.moves.freeze(ann.room) is not None
        assert trio.current_time() == started


async def test_a_room_that_rests_after_900_ms_is_frozen_then_and_its_image_has_that_step(
    autojump_clock: MockClock,
) -> None:
    @room("slow", seats=2, state=Log)
    async def slow(table: Room[Log]) -> Any:
        async for event in table:
            await trio.sleep(0.9)
            table.state.said.append(type(event).__name__)
            table.broadcast("done")

    async with open_host(slow) as harness:
        ann = harness.join(slow)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert trio.current_time() == 0.9
        assert image is not None
        assert image.history.seq == 1
        assert b"Joined" in image.state
        assert harness.messages() == ["done"]


async def test_a_room_that_does_not_rest_within_1_s_runs_on(autojump_clock: MockClock) -> None:
    @room("busy", seats=2, state=Log)
    async def busy(table: Room[Log]) -> Any:
        await trio.sleep(3)
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(event.input)

    async with open_host(busy) as harness:
        ann = harness.join(busy)
        assert await harness.host.moves.freeze(ann.room) is None
        assert trio.current_time() == 1
        harness.say(ann, 1, "hi")
        await trio.sleep(3)
        assert harness.messages() == ["hi"]
        assert await harness.host.moves.freeze(ann.room) is not None


async def test_a_room_that_waits_for_something_else_is_not_at_rest_though_its_reader_waits(
    autojump_clock: MockClock,
) -> None:
    @room("reading", seats=2, state=Log)
    async def reading(table: Room[Log]) -> Any:
        async def read() -> None:
            async for _ in table:
                pass

        table.nursery.start_soon(read)
        await trio.sleep_forever()

    async with open_host(reading) as harness:
        ann = harness.join(reading)
        await wait_all_tasks_blocked()
        assert await harness.host.moves.freeze(ann.room) is None


async def test_a_room_is_at_rest_at_a_commit_and_the_events_after_it_are_in_the_image(
    autojump_clock: MockClock,
) -> None:
    read: list[Any] = []

    @room("long", seats=2, state=Log)
    async def long_steps(table: Room[Log]) -> Any:
        async for event in table:
            read.append(event)
            for _ in range(30 if isinstance(event, Said) else 0):
                await trio.sleep(0.2)
                table.state.said.append(event.input)
                await table.commit()

    async with two_hosts(long_steps) as (first, second):
        ann = first.join(long_steps)
        first.say(ann, 1, "a")
        first.say(ann, 2, "b")
        await trio.sleep(0.7)
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert trio.current_time() == 0.8
        assert [event.input for event in image.events] == [b'"b"']
        assert image.seats[0].last_n == 2
        assert image.state == b"\x81\xa4said\x94" + b"\xa1a" * 4
        assert second.host.moves.adopt(image) is None
        assert second.host.moves.release(ann.room)
        await wait_all_tasks_blocked()
        assert read[-1] == Said(ann.player, "b")


async def test_a_kind_without_a_state_is_never_frozen() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        assert await harness.host.moves.freeze(ann.room) is None
        assert harness.host.moves.movable("deadline", "at_once", "never") != []
        assert harness.host.moves.movable("deadline", "at_once") == []
        assert await harness.host.moves.freeze(RoomId("game-9.no")) is None


async def test_a_room_whose_state_fails_is_not_frozen_and_the_event_says_where_it_rests() -> None:
    @room("odd", seats=2, state=Log)
    async def odd(table: Room[Log]) -> Any:
        table.state = {"not": "a Log"}  # type: ignore[assignment]
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(event.input)

    async with open_host(odd) as harness:
        ann = harness.join(odd)
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            assert await harness.host.moves.freeze(ann.room) is None
        assert [log["event"] for log in logs] == ["room.state_failed"]
        assert (logs[0]["kind"], logs[0]["room"]) == ("odd", ann.room)
        assert logs[0]["file"] == __file__
        assert logs[0]["line"] == odd.function.__code__.co_firstlineno + 3
        assert "the type dict" in logs[0]["error"]
        harness.say(ann, 1, "hi")
        await wait_all_tasks_blocked()
        assert harness.messages() == ["hi"]


async def test_a_state_that_cannot_be_read_again_is_not_frozen() -> None:
    @room("wrong", seats=2, state=Log)
    async def wrong(table: Room[Log]) -> Any:
        table.state.said = 7  # type: ignore[assignment]
        async for _ in table:
            pass

    async with open_host(wrong) as harness:
        ann = harness.join(wrong)
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            assert await harness.host.moves.freeze(ann.room) is None
        assert [log["event"] for log in logs] == ["room.state_failed"]
        assert harness.host.find(ann.room) is not None


async def test_finally_blocks_of_a_frozen_room_say_nothing_and_change_nothing(
    autojump_clock: MockClock,
) -> None:
    players: list[Any] = []

    @room("last-words", seats=3, state=Log)
    async def last_words(table: Room[Log]) -> Any:
        try:
            async for _ in table:
                pass
        finally:
            players.extend(table.players)
            table.broadcast("to all")
            table.send(table.players[0], "to one")
            table.alarm("bell", after=0.1)
            table.kick(table.players[0])
            table.state.said.append("late")
            table.unlock()

    async with open_host(last_words) as harness:
        ann, bob = harness.join(last_words), harness.join(last_words, link=SOUTH)
        await wait_all_tasks_blocked()
        before = len(harness.sent)
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        await trio.sleep(1)
        assert players == [ann.player, bob.player]
        assert harness.sent[before:] == []
        assert harness.host.running.open_rooms.seats() == {last_words.name: 0}
        assert len(harness.host.running.alarms) == 0
        harness.host.moves.thaw(image)
        live = harness.host.find(ann.room)
        assert live is not None
        assert live.state.author_state == Log()
        assert live.state.roster.players == (ann.player, bob.player)
        assert live.state.history.seq == 0


async def test_a_task_that_does_not_end_is_left_behind_after_1_s_and_heard_by_nobody(
    autojump_clock: MockClock,
) -> None:
    @room("stubborn", seats=2, state=Log)
    async def stubborn(table: Room[Log]) -> Any:
        async def shielded() -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
                table.broadcast("from the dead")
                table.lock()

        table.nursery.start_soon(shielded)
        async for event in table:
            if isinstance(event, Said):
                table.broadcast(event.input)

    async with open_host(stubborn) as harness:
        ann = harness.join(stubborn)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert trio.current_time() == 1
        assert image is not None
        harness.host.moves.thaw(image)
        await trio.sleep(4.5)
        harness.say(ann, 1, "alive")
        await wait_all_tasks_blocked()
        assert [m.body for m in harness.all_of(nodes.Message)] == [b'"alive"']
        assert harness.host.running.open_rooms.seats() == {stubborn.name: 1}


async def test_a_crash_in_a_finally_block_of_a_frozen_room_is_logged_and_ends_nothing() -> None:
    @room("fails-late", seats=2, state=Log)
    async def fails_late(table: Room[Log]) -> Any:
        try:
            async for _ in table:
                pass
        finally:
            raise RuntimeError("late")

    async with open_host(fails_late) as harness:
        ann = harness.join(fails_late)
        await wait_all_tasks_blocked()
        with capture_logs() as logs:
            image = await harness.host.moves.freeze(ann.room)
        assert [log["event"] for log in logs] == ["room.crashed"]
        assert image is not None
        assert harness.ends() == []
        assert harness.host.running.ends[EndReason.CRASHED] == 0


async def test_a_room_that_is_over_in_the_turn_in_which_it_would_rest_has_ended(
    autojump_clock: MockClock,
) -> None:
    @room("ending", seats=2, state=Log)
    async def ending(table: Room[Log]) -> Any:
        rest = trio.Event()

        async def timer() -> None:
            await trio.sleep(0.5)
            rest.set()
            table.nursery.cancel_scope.cancel()

        table.nursery.start_soon(timer)
        await rest.wait()
        async for _ in table:
            pass

    async with open_host(ending) as harness:
        ann = harness.join(ending)
        await wait_all_tasks_blocked()
        assert await harness.host.moves.freeze(ann.room) is None
        await wait_all_tasks_blocked()
        assert harness.ends() == [(ann.room, "finished")]


async def test_a_room_that_is_cut_while_it_comes_to_rest_is_cut(autojump_clock: MockClock) -> None:
    @room("resting-late", seats=2, state=Log)
    async def resting_late(table: Room[Log]) -> Any:
        try:
            await trio.sleep(0.5)
        finally:
            with trio.move_on_after(2, shield=True):
                async for _ in table:
                    pass

    async with open_host(resting_late) as harness, trio.open_nursery() as nursery:
        ann = harness.join(resting_late)
        images: list[Any] = []

        async def freeze() -> None:
            images.append(await harness.host.moves.freeze(ann.room))

        nursery.start_soon(freeze)
        await wait_all_tasks_blocked()
        harness.host.cut()
        await trio.sleep(3)
        assert images == [None]
        assert harness.ends() == [(ann.room, "cut")]


async def test_a_freeze_that_is_cancelled_leaves_the_room_running(schedule: object) -> None:
    kind, _ = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            harness.say(ann, 1, "a")  # so that the room does not rest at once
            await harness.host.moves.freeze(ann.room)
        await wait_all_tasks_blocked()
        harness.say(ann, 2, "b")
        await wait_all_tasks_blocked()
        assert harness.messages() == ["a", "b"]
        assert harness.host.find(ann.room) is not None


async def test_a_room_that_is_being_frozen_is_not_frozen_twice(autojump_clock: MockClock) -> None:
    @room("busy2", seats=2, state=Log)
    async def busy(table: Room[Log]) -> Any:
        await trio.sleep(0.5)
        async for _ in table:
            pass

    images: list[Any] = []
    async with open_host(busy) as harness, trio.open_nursery() as nursery:
        ann = harness.join(busy)

        async def freeze() -> None:
            images.append(await harness.host.moves.freeze(ann.room))

        for _ in range(3):
            nursery.start_soon(freeze)
        await trio.sleep(1)
        assert sum(image is not None for image in images) == 1
        assert len(images) == 3


# The host around a frozen room


async def test_a_frozen_room_is_out_of_everything_that_the_running_ones_keep(
    autojump_clock: MockClock,
) -> None:
    kind, _ = logging_kind(seats=4)
    async with open_host(kind, takeover_seconds=0.5) as harness:
        running = harness.host.running
        ann, bob = harness.join(kind, key="a", address="192.0.2.1"), harness.join(kind, link=SOUTH)
        harness.say(ann, 1, ["alarm", "bell", 60])
        harness.lose(bob)
        harness.host.handle(EAST, nodes.Join(8, kind.name, key="a"))
        await wait_all_tasks_blocked()
        assert (len(running.disconnects), len(running.alarms), len(running.takeovers)) == (1, 1, 1)
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        assert (len(running.disconnects), len(running.alarms), len(running.takeovers)) == (0, 0, 0)
        assert running.by_id == {}
        assert running.acks.by_link == {}
        assert running.open_rooms.seats() == {kind.name: 0}
        assert len(running.limits.seats) == 0
        assert running._empty_since == {}
        await trio.sleep(100)
        assert harness.ends() == []
        assert [len(held.requests) for held in running.held.by_id.values()] == [1]
        harness.host.moves.thaw(image)
        await harness.host.moves.waking.wait(ann.room)
        assert running.open_rooms.seats() == {kind.name: 2}
        assert len(running.limits.seats) == 1
        assert len(running.takeovers) == 1


async def test_a_frozen_room_keeps_its_node_up_and_is_counted_until_it_has_moved(
    autojump_clock: MockClock,
) -> None:
    kind, _ = logging_kind()
    async with two_hosts(kind) as (first, second), trio.open_nursery() as nursery:
        ann = first.join(kind)
        emptied: list[float] = []

        async def wait() -> None:
            await first.host.wait_empty()
            emptied.append(trio.current_time())

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        image = on_the_wire(await first.host.moves.freeze(ann.room))
        assert (first.host.rooms, players_in(first.host)) == (1, 1)
        assert why_not_empty(first.host.running) == ["1 room(s) on the way to other nodes"]
        await trio.sleep(3)
        assert emptied == []
        assert second.host.moves.adopt(image) is None
        assert (second.host.rooms, why_not_empty(second.host.running)) == (0, [])
        await second.host.wait_empty()
        first.host.moves.moved(ann.room, nodes.Whereabouts(5, "game-2", 1))  # type: ignore[arg-type]
        await wait_all_tasks_blocked()
        assert emptied == [3]
        assert (first.host.rooms, players_in(first.host)) == (0, 0)


async def test_an_input_that_is_accepted_in_the_same_request_is_not_lost() -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        harness.say(ann, 1, "a")
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        assert image.seats[0].last_n == 1
        assert b"\xa1a" in image.state
        assert seen == [Joined(ann.player), Said(ann.player, "a")]


# Alarms, and players who are away


async def test_alarms_of_a_thawed_room_ring_late_and_not_twice(autojump_clock: MockClock) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        harness.say(ann, 1, ["alarm", "bell", 1])
        harness.say(ann, 2, ["every", "tick", 4])
        await wait_all_tasks_blocked()
        await trio.sleep(0.5)
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        await trio.sleep(2)
        rings = [event for event in seen if isinstance(event, Alarm)]
        assert rings == []
        harness.host.moves.thaw(image)
        await wait_all_tasks_blocked()
        assert [event for event in seen if isinstance(event, Alarm)] == [Alarm("bell")]
        await trio.sleep(1.75)
        assert [event for event in seen if isinstance(event, Alarm)][1:] == [Alarm("tick")]
        await trio.sleep(8)
        assert seen.count(Alarm("bell")) == 1
        assert seen.count(Alarm("tick")) == 3


async def test_a_player_who_is_away_when_the_room_freezes_is_back_or_leaves_at_their_time(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann, bob = harness.join(kind), harness.join(kind, link=SOUTH)
        for seat in (ann, bob):
            harness.confirm(seat)
            harness.lose(seat)
        await trio.sleep(3)
        assert seen[2:] == [Away(ann.player), Away(bob.player)]
        await thawed(harness, ann.room)
        await trio.sleep(7)
        assert isinstance(harness.resume(ann), nodes.Resumed)
        await trio.sleep(19.9)
        assert seen[4:] == [Back(ann.player)]
        await trio.sleep(0.2)
        assert seen[5:] == [Left(bob.player)]


async def test_a_room_that_thaws_while_its_node_drains_is_told_the_seconds_that_are_left(
    autojump_clock: MockClock,
) -> None:
    kind, seen = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        harness.host.drain(trio.current_time() + 20)
        await trio.sleep(5)
        harness.host.moves.thaw(image)
        await wait_all_tasks_blocked()
        assert seen == [Joined(ann.player), Draining(15)]


async def test_a_room_that_thaws_after_the_cut_is_cut(autojump_clock: MockClock) -> None:
    kind, _ = logging_kind()
    async with open_host(kind) as harness:
        ann = harness.join(kind)
        await wait_all_tasks_blocked()
        image = await harness.host.moves.freeze(ann.room)
        assert image is not None
        harness.host.cut()
        harness.host.moves.thaw(image)
        await wait_all_tasks_blocked()
        assert harness.ends() == [(ann.room, "cut")]
        await harness.host.wait_empty()
