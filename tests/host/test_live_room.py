"""One room: its messages and inputs, players who leave, and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Joined, Left, Room, Said, room
from lastcall.host.occupancy import why_not_empty
from lastcall.ids import PlayerId, RoomId
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.harness.counts import players_in
from tests.host.host_harness import NORTH, SOUTH, HostHarness, echo, open_host, spinning

# Messages and inputs


@room("deaf", seats=4)
async def deaf(table: Room) -> Any:
    """Reads no event for 10 s, and then broadcasts each input."""
    await trio.sleep(10)
    async for event in table:
        if isinstance(event, Said):
            table.broadcast(event.input)


async def test_a_message_is_sent_once_on_each_link_that_has_players() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        harness.join(echo)
        harness.join(echo, link=SOUTH)
        harness.say(ann, 1, "hi")
        await wait_all_tasks_blocked()
        hi = nodes.Message(ann.room, 0, 1, b'"hi"')
        assert harness.all_of(nodes.Message, NORTH) == [hi]
        assert harness.all_of(nodes.Message, SOUTH) == [hi]


async def test_a_private_message_has_a_seq_and_goes_to_one_player() -> None:
    async with open_host(echo) as harness:
        harness.join(echo, link=SOUTH)
        ann = harness.join(echo)
        harness.say(ann, 1, "whisper")
        harness.say(ann, 2, "all")
        await wait_all_tasks_blocked()
        sent = [(m.seq, m.to) for m in harness.all_of(nodes.Message, NORTH)]
        assert sent == [(1, [ann.player]), (2, None)]
        assert [m.seq for m in harness.all_of(nodes.Message, SOUTH)] == [2]
        assert harness.join(echo).seq == 2


async def test_seated_is_sent_before_the_first_message_after_the_join() -> None:
    @room("greeting", seats=2)
    async def greeting(table: Room) -> Any:
        async for _ in table:
            table.broadcast("welcome")

    async with open_host(greeting) as harness:
        harness.join(greeting)
        await wait_all_tasks_blocked()
        assert [type(item) for _, item in harness.sent] == [nodes.Seated, nodes.Message]


async def test_a_room_gets_joined_before_a_players_inputs_and_left_after_them() -> None:
    seen: list[object] = []

    @room("watching", seats=2)
    async def watching(table: Room) -> Any:
        async for event in table:
            seen.append(event)  # noqa: PERF401 - read while the room runs

    async with open_host(watching) as harness:
        ann = harness.join(watching)
        harness.say(ann, 1, {"x": 1})
        harness.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert seen == [Joined(ann.player), Said(ann.player, {"x": 1}), Left(ann.player)]


async def test_the_acks_of_one_request_are_one_item_with_the_last_number_of_each_player() -> None:
    async with open_host(echo) as harness:
        ann, bob = harness.join(echo), harness.join(echo)
        for n in (1, 2, 3):
            harness.say(ann, n, n)
        harness.say(bob, 1, 1)
        harness.host.flush_acks()
        harness.host.flush_acks()
        acks = [(ann.room, ann.player, 3), (bob.room, bob.player, 1)]
        assert harness.all_of(nodes.Acks) == [nodes.Acks(acks)]


async def test_a_repeated_input_is_acked_again_but_not_delivered_again() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        harness.say(ann, 1, "once")
        harness.host.flush_acks()
        harness.say(ann, 1, "once")
        await wait_all_tasks_blocked()
        assert harness.messages() == ["once"]
        assert harness.acked() == [(ann.room, ann.player, 1)] * 2


async def test_an_input_after_a_gap_is_reported_and_not_accepted() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        harness.say(ann, 2, "two")
        await wait_all_tasks_blocked()
        [bad] = harness.all_of(nodes.BadInput)
        assert (bad.player, bad.n, bad.code) == (ann.player, 2, ErrorCode.BAD_FRAME)
        assert harness.acked() == []
        assert harness.messages() == []


async def test_a_late_input_of_an_old_session_is_dropped_silently() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo, key="k")
        again = harness.join(echo, key="k")
        harness.say(again, 1, "new", session=ann.session)
        harness.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert (harness.messages(), harness.acked(), players_in(harness.host)) == ([], [], 1)
        assert harness.all_of(nodes.BadInput) == []


async def test_items_about_unknown_players_or_rooms_are_dropped_silently() -> None:
    async with open_host(echo) as harness:
        unknown_player, unknown_room = PlayerId("p"), RoomId("game-1.x")
        ann = harness.join(echo)
        before = list(harness.sent)
        for room_id in (unknown_room, ann.room):
            harness.host.handle(NORTH, nodes.Say(room_id, unknown_player, 1, 1, b"1"))
            harness.host.handle(NORTH, nodes.Leave(room_id, unknown_player, 1))
            harness.host.handle(NORTH, nodes.Absent(room_id, unknown_player, 1))
        harness.host.handle(NORTH, nodes.Unknown())
        harness.host.flush_acks()
        assert harness.sent == before


async def test_a_full_inbox_blocks_the_player_and_notifies_them_when_there_is_room(
    autojump_clock: MockClock,
) -> None:
    async with open_host(deaf, policy=RoomPolicy(inbox_events=4)) as harness:
        ann = harness.join(deaf)  # the first of the four events is `Joined`
        for n in range(1, 9):
            harness.say(ann, n, n)
        assert harness.acked() == [(ann.room, ann.player, 3)]
        assert harness.all_of(nodes.BadInput) == []
        assert harness.all_of(nodes.Wanted) == []
        await trio.sleep(11)
        assert harness.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 4)]
        harness.say(ann, 9, 9)  # sent before `Wanted` arrived: not a gap
        for n in range(4, 10):
            harness.say(ann, n, n)
            await wait_all_tasks_blocked()
        assert harness.all_of(nodes.BadInput) == []
        assert harness.messages() == list(range(1, 10))


async def test_a_player_over_their_share_is_blocked_while_inputs_of_others_are_accepted(
    autojump_clock: MockClock,
) -> None:
    async with open_host(deaf) as harness:  # the inbox holds 256 events, 64 of one player
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
        messages = harness.messages()
        assert [n for name, n in messages if name == "ann"] == list(range(1, 101))
        assert messages.index(["bob", 1]) == 64


async def test_a_player_over_their_share_is_notified_when_half_of_it_is_read() -> None:
    @room("counting", seats=2)
    async def counting(table: Room) -> Any:
        async for event in table:
            if isinstance(event, Said):
                notified_before_input.append(len(harness.all_of(nodes.Wanted)))  # noqa: PERF401

    notified_before_input: list[int] = []
    async with open_host(counting, policy=RoomPolicy(inbox_events=64)) as harness:
        ann = harness.join(counting)
        for n in range(1, 18):  # the share is 16
            harness.say(ann, n, n)
        await wait_all_tasks_blocked()
        assert notified_before_input == [0] * 7 + [1] * 9
        assert harness.all_of(nodes.Wanted) == [nodes.Wanted(ann.room, ann.player, 17)]


async def test_a_message_over_the_limit_raises_in_the_room_and_is_not_sent() -> None:
    @room("loud", seats=1)
    async def loud(table: Room) -> Any:
        with pytest.raises(Exception, match=r"102 bytes.*100 bytes"):
            table.broadcast("x" * 100)
        table.broadcast("x" * 98)

    async with open_host(loud, policy=RoomPolicy(message_bytes=100)) as harness:
        harness.join(loud)
        await wait_all_tasks_blocked()
        assert [len(m.body) for m in harness.all_of(nodes.Message)] == [100]
        assert harness.host.running.ends[EndReason.FINISHED] == 1


# Players who leave


async def test_a_player_who_leaves_gets_out_and_the_room_gets_left() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        harness.host.handle(NORTH, nodes.Leave(ann.room, ann.player, ann.session))
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "left")]
        assert harness.host.running.ends[EndReason.FINISHED] == 1
        assert harness.host.rooms == 0


async def test_a_kicked_player_gets_out_and_no_further_messages() -> None:
    async with open_host(echo) as harness:
        ann, bob = harness.join(echo, link=SOUTH), harness.join(echo)
        harness.say(ann, 1, "kick")
        harness.say(bob, 1, "peace")
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Out) == [nodes.Out(ann.room, ann.player, "kicked")]
        assert (harness.messages(NORTH), harness.messages(SOUTH)) == (["peace"], [])


async def test_a_lost_link_gets_no_more_items_and_its_players_are_away() -> None:
    async with open_host(echo) as harness:
        ann = harness.join(echo)
        harness.join(echo, link=SOUTH)
        alone = harness.join(echo, link=SOUTH, new=True)
        harness.say(alone, 1, "acked to nobody")
        harness.host.drop_link(SOUTH)
        harness.say(ann, 1, "alone?")
        await wait_all_tasks_blocked()
        assert players_in(harness.host) == 3
        assert why_not_empty(harness.host.running) == [
            f"echo {ann.room}, 0 s old, 2 players, 1 of them away",
            f"echo {alone.room}, 0 s old, 1 player, 1 of them away",
        ]
        assert harness.acked() == [(ann.room, ann.player, 1)]
        assert harness.messages(SOUTH) == []


# The end of a room


async def test_the_result_of_a_room_is_sent_on_each_link() -> None:
    async with open_host(echo) as harness:
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

    async with open_host(botted) as harness:
        ann = harness.join(botted)
        await wait_all_tasks_blocked()
        assert harness.ends() == [(ann.room, "finished")]


async def raises_group() -> None:
    raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])


async def returns_a_value_that_json_cannot_encode() -> object:
    return object()


async def returns_too_many_bytes() -> str:
    return "x" * 300_000


async def returns_a_list_that_contains_itself() -> object:
    result: list[Any] = []
    result.append(result)
    return result


async def exits() -> None:
    raise SystemExit(0)


async def is_interrupted() -> None:
    raise KeyboardInterrupt


async def is_interrupted_in_a_bot() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(is_interrupted)


async def raises_generator_exit() -> None:
    raise GeneratorExit


async def raises_stop_async_iteration() -> None:
    raise StopAsyncIteration


async def raises_in_a_bot() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_group)


@pytest.mark.parametrize(
    "crash",
    [
        raises_group,
        returns_a_value_that_json_cannot_encode,
        returns_too_many_bytes,
        returns_a_list_that_contains_itself,
        exits,
        is_interrupted,
        is_interrupted_in_a_bot,
        raises_generator_exit,
        raises_stop_async_iteration,
        raises_in_a_bot,
    ],
)
async def test_any_crash_ends_only_its_own_room_and_is_logged(
    crash: Callable[[], Awaitable[object]],
) -> None:
    @room("crashing", seats=2)
    async def crashing(table: Room) -> object:
        return await crash()

    async with open_host(crashing, echo) as harness:
        ann, bob = harness.join(echo), harness.join(crashing)
        with capture_logs() as logs:
            await wait_all_tasks_blocked()
        harness.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert harness.all_of(nodes.Ended) == [nodes.Ended(bob.room, 0, "crashed")]
        assert harness.messages() == ["still here"]
        assert harness.host.running.ends[EndReason.CRASHED] == 1
        [log] = logs
        assert (log["event"], log["room"], log["kind"]) == ("room.crashed", bob.room, "crashing")
        assert isinstance(log["exc_info"], BaseException)


async def test_a_room_that_never_waits_does_not_block_the_others(autojump_clock: MockClock) -> None:
    async with open_host(spinning, echo) as harness:
        harness.join(spinning)
        ann = harness.join(echo)
        harness.say(ann, 1, "hi")
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert harness.messages() == ["hi"]


async def test_a_join_while_a_room_is_ending_gets_another_room() -> None:
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
    async with open_host(closing) as harness:
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


async def test_a_room_that_cancels_its_nursery_is_finished_without_a_result(
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

    async with open_host(timed) as harness:
        ann = harness.join(timed)
        with capture_logs() as logs:
            await harness.host.wait_empty()
        assert trio.current_time() == 3
        assert harness.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "finished", b"null"))
        assert logs == []


async def test_a_room_that_cancels_its_nursery_and_returns_keeps_its_result() -> None:
    @room("returning", seats=1)
    async def returning(table: Room) -> Any:
        table.nursery.cancel_scope.cancel()
        return "done"

    async with open_host(returning) as harness:
        ann = harness.join(returning)
        await harness.host.wait_empty()
        assert harness.sent[-1] == (NORTH, nodes.Ended(ann.room, 0, "finished", b'"done"'))


async def test_a_room_that_raises_an_old_cancellation_again_ends_alone() -> None:
    @room("stale", seats=1)
    async def stale(table: Room) -> Any:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                old = cancelled
        raise old

    async with open_host(stale, echo) as harness:
        ann, bob = harness.join(echo), harness.join(stale)
        await wait_all_tasks_blocked()
        harness.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        assert (harness.messages(), harness.ends()) == (["still here"], [(bob.room, "crashed")])


async def test_a_cut_while_the_room_cancels_its_nursery_counts_as_cut() -> None:
    @room("both", seats=1)
    async def both(table: Room) -> Any:
        table.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await may_end.wait()
        await trio.sleep_forever()

    may_end = trio.Event()
    async with open_host(both) as harness:
        ann = harness.join(both)
        await wait_all_tasks_blocked()
        harness.host.cut()
        may_end.set()
        await harness.host.wait_empty()
        assert harness.ends() == [(ann.room, "cut")]


async def test_rooms_are_cut_when_the_hosts_nursery_is_cancelled() -> None:
    async with trio.open_nursery() as work:
        harness = HostHarness(work, echo)
        ann = harness.join(echo)
        await wait_all_tasks_blocked()
        work.cancel_scope.cancel()
    assert harness.ends() == [(ann.room, "cut")]
    assert harness.host.rooms == 0
