"""One room: the talk in it, who goes, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Joined, Left, Room, Said, room
from lastcall.ids import PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.host.host_harness import NORTH, SOUTH, HostHarness, echo, opened, spinning

# Talk


@room("deaf", seats=4)
async def deaf(table: Room) -> Any:
    """Reads nothing for 10 s, and then everything."""
    await trio.sleep(10)
    async for event in table:
        if isinstance(event, Said):
            table.broadcast(event.input)


async def test_a_message_goes_once_to_each_link_that_has_players() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo)
        harness.join(echo)
        harness.join(echo, link=SOUTH)
        harness.say(ann, 1, "hi")
        await wait_all_tasks_blocked()
        hi = nodes.Message(ann.room, 0, 1, b'"hi"')
        assert harness.all_of(nodes.Message, NORTH) == [hi]
        assert harness.all_of(nodes.Message, SOUTH) == [hi]


async def test_a_private_message_takes_a_seq_and_goes_to_one() -> None:
    async with opened(echo) as harness:
        harness.join(echo, link=SOUTH)
        ann = harness.join(echo)
        harness.say(ann, 1, "whisper")
        harness.say(ann, 2, "all")
        await wait_all_tasks_blocked()
        sent = [(m.seq, m.to) for m in harness.all_of(nodes.Message, NORTH)]
        assert sent == [(1, [ann.player]), (2, None)]
        assert [m.seq for m in harness.all_of(nodes.Message, SOUTH)] == [2]
        assert harness.join(echo).seq == 2


async def test_a_seat_is_told_before_the_first_message_that_follows() -> None:
    @room("greeting", seats=2)
    async def greeting(table: Room) -> Any:
        async for _ in table:
            table.broadcast("welcome")

    async with opened(greeting) as harness:
        harness.join(greeting)
        await wait_all_tasks_blocked()
        assert [type(item) for _, item in harness.sent] == [nodes.Seated, nodes.Message]


async def test_a_room_hears_that_players_come_before_what_they_say() -> None:
    seen: list[object] = []

    @room("watching", seats=2)
    async def watching(table: Room) -> Any:
        async for event in table:
            seen.append(event)  # noqa: PERF401 - it is looked at while the room runs

    async with opened(watching) as harness:
        ann = harness.join(watching)
        harness.say(ann, 1, {"x": 1})
        harness.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert seen == [Joined(ann.player), Said(ann.player, {"x": 1}), Left(ann.player)]


async def test_acks_of_one_request_leave_as_one_item_with_the_last_number_each() -> None:
    async with opened(echo) as harness:
        ann, bob = harness.join(echo), harness.join(echo)
        for n in (1, 2, 3):
            harness.say(ann, n, n)
        harness.say(bob, 1, 1)
        harness.host.flush_acks()
        harness.host.flush_acks()
        acks = [(ann.room, ann.player, 3), (bob.room, bob.player, 1)]
        assert harness.all_of(nodes.Acks) == [nodes.Acks(acks)]


async def test_a_repeat_is_acked_again_and_not_heard_again() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo)
        harness.say(ann, 1, "once")
        harness.host.flush_acks()
        harness.say(ann, 1, "once")
        await wait_all_tasks_blocked()
        assert harness.said() == ["once"]
        assert harness.acked() == [(ann.room, ann.player, 1)] * 2


async def test_a_gap_is_told_and_not_had() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo)
        harness.say(ann, 2, "two")
        await wait_all_tasks_blocked()
        [bad] = harness.all_of(nodes.BadInput)
        assert (bad.player, bad.n, bad.code) == (ann.player, 2, ErrorCode.BAD_FRAME)
        assert harness.acked() == []
        assert harness.said() == []


async def test_a_late_input_of_an_old_session_is_dropped_in_silence() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo, key="k")
        again = harness.join(echo, key="k")
        harness.say(again, 1, "new", session=ann.session)
        harness.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert (harness.said(), harness.acked(), harness.host.players) == ([], [], 1)
        assert harness.all_of(nodes.BadInput) == []


async def test_what_is_about_nobody_here_is_dropped_in_silence() -> None:
    async with opened(echo) as harness:
        nobody, nowhere = PlayerId("p"), RoomId("game-1.x")
        ann = harness.join(echo)
        before = list(harness.sent)
        for place in (nowhere, ann.room):
            harness.host.handle(NORTH, nodes.Say(place, nobody, 1, 1, b"1"))
            harness.host.handle(NORTH, nodes.Leave(place, nobody, 1))
            harness.host.handle(NORTH, nodes.Absent(place, nobody, 1))
        harness.host.handle(NORTH, nodes.Unknown())
        harness.host.flush_acks()
        assert harness.sent == before


async def test_a_full_inbox_holds_the_player_back_and_calls_him_when_there_is_room(
    autojump_clock: MockClock,
) -> None:
    async with opened(deaf, policy=RoomPolicy(inbox_events=4)) as harness:
        ann = harness.join(deaf)  # the first of four events is that ann has joined
        for n in range(1, 9):
            harness.say(ann, n, n)
        assert harness.acked() == [(ann.room, ann.player, 3)]
        assert harness.all_of(nodes.BadInput) == []
        assert harness.all_of(nodes.Wanted) == []
        await trio.sleep(11)
        assert harness.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 4)]
        harness.say(ann, 9, 9)  # said before the call came: not a gap
        for n in range(4, 10):
            harness.say(ann, n, n)
            await wait_all_tasks_blocked()
        assert harness.all_of(nodes.BadInput) == []
        assert harness.said() == list(range(1, 10))


async def test_a_player_over_his_share_is_held_while_others_are_heard(
    autojump_clock: MockClock,
) -> None:
    async with opened(deaf) as harness:  # 256 events, of which 64 may be of one player
        ann, bob = harness.join(deaf), harness.join(deaf)
        for n in range(1, 101):
            harness.say(ann, n, ["ann", n])
        harness.say(bob, 1, ["bob", 1])
        assert harness.acked() == [(ann.room, ann.player, 64), (bob.room, bob.player, 1)]
        await trio.sleep(11)
        assert harness.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 65)]
        for n in range(65, 101):
            harness.say(ann, n, ["ann", n])
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.BadInput) == []
        said = harness.said()
        assert [n for who, n in said if who == "ann"] == list(range(1, 101))
        assert said.index(["bob", 1]) == 64


async def test_a_player_over_his_share_is_called_when_half_of_it_is_read() -> None:
    @room("counting", seats=2)
    async def counting(table: Room) -> Any:
        async for event in table:
            if isinstance(event, Said):
                calls_before_input.append(len(harness.all_of(nodes.Wanted)))  # noqa: PERF401

    calls_before_input: list[int] = []
    async with opened(counting, policy=RoomPolicy(inbox_events=64)) as harness:
        ann = harness.join(counting)
        for n in range(1, 18):  # the share is 16
            harness.say(ann, n, n)
        await wait_all_tasks_blocked()
        assert calls_before_input == [0] * 7 + [1] * 9
        assert harness.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 17)]


async def test_a_message_over_the_limit_is_the_authors_error_and_is_not_sent() -> None:
    @room("loud", seats=1)
    async def loud(table: Room) -> Any:
        with pytest.raises(Exception, match=r"102 bytes.*100 bytes"):
            table.broadcast("x" * 100)
        table.broadcast("x" * 98)

    async with opened(loud, policy=RoomPolicy(message_bytes=100)) as harness:
        harness.join(loud)
        await wait_all_tasks_blocked()
        assert [len(m.body) for m in harness.all_of(nodes.Message)] == [100]
        assert harness.host.running.ends[EndReason.FINISHED] == 1


# Going


async def test_who_leaves_is_told_and_the_room_sees_him_go() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo)
        harness.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "left")]
        assert harness.host.running.ends[EndReason.FINISHED] == 1
        assert harness.host.rooms == 0


async def test_who_is_kicked_is_told_and_hears_nothing_more() -> None:
    async with opened(echo) as harness:
        ann, bob = harness.join(echo, link=SOUTH), harness.join(echo)
        harness.say(ann, 1, "kick")
        harness.say(bob, 1, "peace")
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "kicked")]
        assert (harness.said(NORTH), harness.said(SOUTH)) == (["peace"], [])


async def test_a_link_that_is_gone_is_told_nothing_more_and_its_players_are_away() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo)
        harness.join(echo, link=SOUTH)
        alone = harness.join(echo, link=SOUTH, new=True)
        harness.say(alone, 1, "acked to nobody")
        harness.host.drop_link(SOUTH)
        harness.say(ann, 1, "alone?")
        await wait_all_tasks_blocked()
        assert harness.host.players == 3
        assert harness.host.why() == [
            f"echo {ann.room}, 0 s old, 2 players, 1 of them away",
            f"echo {alone.room}, 0 s old, 1 player, 1 of them away",
        ]
        assert harness.acked() == [(ann.room, ann.player, 1)]
        assert harness.said(SOUTH) == []


# Ends


async def test_a_room_that_returns_tells_its_result_to_every_link() -> None:
    async with opened(echo) as harness:
        ann = harness.join(echo)
        harness.join(echo, link=SOUTH)
        harness.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        ended = nodes.Ended(ann.room, 0, "finished", b'{"said":"end"}')
        assert harness.sent[-2:] == [(NORTH, ended), (SOUTH, ended)]
        assert harness.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM


async def test_the_tasks_of_a_room_end_with_its_function() -> None:
    async def bot() -> None:
        await trio.sleep_forever()

    @room("botted", seats=1)
    async def botted(table: Room) -> int:
        table.nursery.start_soon(bot)
        return 1

    async with opened(botted) as harness:
        ann = harness.join(botted)
        await wait_all_tasks_blocked()
        assert harness.ends() == [(ann.room, "finished")]


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

    async with opened(crashing, echo) as harness:
        ann, bob = harness.join(echo), harness.join(crashing)
        with capture_logs() as logs:
            await wait_all_tasks_blocked()
        harness.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Ended) == [nodes.Ended(bob.room, 0, "crashed")]
        assert harness.said() == ["still here"]
        assert harness.host.running.ends[EndReason.CRASHED] == 1
        [log] = logs
        assert (log["event"], log["room"], log["kind"]) == ("room.crashed", bob.room, "crashing")
        assert isinstance(log["exc_info"], BaseException)


async def test_a_room_that_never_waits_leaves_the_others_alone(autojump_clock: MockClock) -> None:
    async with opened(spinning, echo) as harness:
        harness.join(spinning)
        ann = harness.join(echo)
        harness.say(ann, 1, "hi")
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert harness.said() == ["hi"]


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
    async with opened(closing) as harness:
        ann = harness.join(closing)
        await wait_all_tasks_blocked()
        harness.say(ann, 1, "end")
        await wait_all_tasks_blocked()
        assert harness.ends() == []
        assert harness.host.running.open_rooms.seats() == {"closing": 0}
        assert harness.join(room=ann.room).code == ErrorCode.NO_SUCH_ROOM
        assert harness.join(closing).room != ann.room
        may_end.set()
        await wait_all_tasks_blocked()
        assert harness.ends() == [(ann.room, "finished")]


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

    async with opened(timed) as harness:
        ann = harness.join(timed)
        with capture_logs() as logs:
            await harness.host.wait_empty()
        assert trio.current_time() == 3
        assert harness.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "finished", b"null"))
        assert logs == []


async def test_a_room_that_cancels_its_nursery_and_returns_has_its_result() -> None:
    @room("last_words", seats=1)
    async def last_words(table: Room) -> Any:
        table.nursery.cancel_scope.cancel()
        return "done"

    async with opened(last_words) as harness:
        ann = harness.join(last_words)
        await harness.host.wait_empty()
        assert harness.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "finished", b'"done"'))


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

    async with opened(stale, echo) as harness:
        ann, bob = harness.join(echo), harness.join(stale)
        await wait_all_tasks_blocked()
        harness.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert (harness.said(), harness.ends()) == (["still here"], [(bob.room, "crashed")])


async def test_a_cut_while_the_nursery_is_cancelled_is_a_cut() -> None:
    @room("both", seats=1)
    async def both(table: Room) -> Any:
        table.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await may_end.wait()
        await trio.sleep_forever()

    may_end = trio.Event()
    async with opened(both) as harness:
        ann = harness.join(both)
        await wait_all_tasks_blocked()
        harness.host.cut()
        may_end.set()
        await harness.host.wait_empty()
        assert harness.ends() == [(ann.room, "cut")]


async def test_rooms_are_cut_when_the_work_itself_is_cancelled() -> None:
    async with trio.open_nursery() as work:
        harness = HostHarness(work, echo)
        ann = harness.join(echo)
        await wait_all_tasks_blocked()
        work.cancel_scope.cancel()
    assert harness.ends() == [(ann.room, "cut")]
    assert harness.host.rooms == 0
