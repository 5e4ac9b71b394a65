"""A surviving room: when it makes a step, what is in it, and when the players hear its words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import structlog
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Alarm, Joined, Room, Said, room
from lastcall.errors import ImageRefused
from lastcall.events import Event
from lastcall.game.examples.tictactoe import tictactoe
from lastcall.host.words import WAITING_BYTES
from lastcall.ids import Incarnation, KindName, NodeName
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes
from lastcall.wire.images import EndImage, for_another_node
from lastcall.wire.steps import RoomStep
from tests.host.host_harness import NORTH, SOUTH
from tests.host.standbys import (
    LateProtector,
    PromptProtector,
    ProtectedHarness,
    own_capture,
    protected_host,
)

THERE = nodes.Whereabouts(Incarnation(5), NodeName("game-2"), 1)
PLACES = nodes.Seated | nodes.Resumed


class Log(msgspec.Struct):
    said: list[Any] = []
    broken: bool = False


class Unsendable(msgspec.Struct):
    said: list[Any] = []
    it: Any = None


@room("log", seats=8, state=Log, survives=True)
async def log(table: Room[Log]) -> Any:  # noqa: C901 - a table
    async for event in table:
        if isinstance(event, Alarm):
            table.broadcast(event.name)
        if not isinstance(event, Said):
            continue
        table.state.said.append(event.input)
        match event.input:
            case "end":
                return table.state.said
            case ["sleep", seconds]:
                await trio.sleep(seconds)
                table.broadcast("slept")
            case ["speak", seconds]:
                table.broadcast("before")
                await trio.sleep(seconds)
                table.broadcast("after")
            case ["commit", seconds]:
                table.broadcast("before")
                await table.commit()
                await trio.sleep(seconds)
                table.broadcast("after")
            case ["alarm", seconds]:
                table.alarm("bell", after=seconds)
            case ["task", seconds]:
                table.nursery.start_soon(speak_later, table, seconds)
            case ["long", size]:
                table.broadcast("x" * size)
            case said:
                table.broadcast(said)
    raise AssertionError


async def speak_later(table: Room[Log], seconds: float) -> None:
    await trio.sleep(seconds)
    table.state.said.append("later")
    table.broadcast("later")


@pytest.fixture
async def late() -> AsyncIterator[ProtectedHarness]:
    async with protected_host(log, protector=LateProtector()) as harness:
        yield harness


@asynccontextmanager
async def standby_of(harness: ProtectedHarness) -> AsyncIterator[ProtectedHarness]:
    """Another node, on which the room was promoted from the copy."""
    copy = harness.protector.copy
    assert copy is not None
    image = copy.image()
    async with protected_host(log, protector=LateProtector()) as other:
        assert other.host.moves.promote(for_another_node(image, image.epoch + 1)) is None
        yield other


async def seat(harness: ProtectedHarness, **fields: Any) -> Any:
    """A player who has a seat, and has heard so."""
    harness.request(NORTH, nodes.Join(7, KindName("log"), **fields))
    await settle(harness)
    seated = harness.all_of(nodes.Seated)[-1]
    harness.request(NORTH, nodes.Confirm(seated.room, seated.player, seated.session))
    await settle(harness)
    return seated


async def settle(harness: ProtectedHarness) -> None:
    await wait_all_tasks_blocked()
    harness.protector.confirm()


async def say(harness: ProtectedHarness, seated: Any, n: int, body: Any) -> None:
    """Says an input; the room takes it, and the standby has not answered yet."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    harness.request(NORTH, nodes.Say(seated.room, seated.player, seated.session, n, raw))
    await wait_all_tasks_blocked()


def acks(harness: ProtectedHarness) -> list[int]:
    return [n for item in harness.all_of(nodes.Acks) for _, _, n in item.acks]


def copied_state(harness: ProtectedHarness) -> list[Any]:
    assert harness.protector.copy is not None
    return msgspec.msgpack.decode(harness.protector.copy.image().state, type=Log).said


async def test_a_message_and_an_ack_leave_when_the_standby_has_their_step(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "hi")
    assert (late.messages(), acks(late), copied_state(late)) == ([], [], [])
    late.protector.confirm()
    assert (late.messages(), acks(late), copied_state(late)) == (["hi"], [1], ["hi"])


async def test_the_usual_step_is_the_state_the_message_and_the_input(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "hi")
    state = msgspec.msgpack.encode(Log(["hi"]))
    assert late.protector.steps[-1] == RoomStep(
        state=state, said=((1, b'"hi"', None),), done={ann.player: 1}
    )


async def test_inputs_of_one_turn_are_one_step(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    before = late.protector.n
    for n in range(1, 11):
        late.host.handle(NORTH, nodes.Say(ann.room, ann.player, 1, n, b"1"))
    late.host.flush_acks()
    await wait_all_tasks_blocked()
    assert late.protector.n == before + 1
    late.protector.confirm()
    assert (len(late.messages()), acks(late)) == (10, [10])


async def test_64_inputs_are_a_step_before_others_run(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await seat(late), await seat(late)
    before = late.protector.n
    for player in (ann, bob):
        for n in range(1, 61):
            late.host.handle(NORTH, nodes.Say(ann.room, player.player, 1, n, b"1"))
    await wait_all_tasks_blocked()
    assert [len(step.said) for step in late.protector.steps[before:]] == [64, 56]


async def test_a_request_that_changes_nothing_is_no_step(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    before = late.protector.n
    await say(late, ann, 3, "too early")
    assert late.protector.n == before
    assert [item.code for item in late.all_of(nodes.BadInput)] == [ErrorCode.BAD_FRAME]


async def test_the_answer_to_a_join_waits_for_its_step(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    late.request(SOUTH, nodes.Join(8, log.name, room=ann.room))
    assert late.all_of(nodes.Seated, SOUTH) == []
    late.protector.confirm(1)
    (bob,) = late.all_of(nodes.Seated, SOUTH)
    assert late.protector.copy is not None
    image = late.protector.copy.image()
    assert [each.player for each in image.seats] == [ann.player, bob.player]
    assert [(each.what, each.player) for each in image.events] == [("joined", bob.player)]
    assert bob.survives


async def test_a_join_in_the_middle_of_a_silent_step_does_not_wait_for_the_rest(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["sleep", 9])
    late.request(SOUTH, nodes.Join(8, log.name, room=ann.room))
    late.protector.confirm()
    assert len(late.all_of(nodes.Seated, SOUTH)) == 1
    assert copied_state(late) == [], "the state in mid-step stays here"
    assert late.protector.copy is not None
    assert late.protector.copy.image().seats[0].last_n == 0


async def test_a_join_after_a_word_of_an_open_step_waits_for_the_rest(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["speak", 3])
    late.request(SOUTH, nodes.Join(8, log.name, room=ann.room))
    late.protector.confirm()
    assert late.all_of(nodes.Seated, SOUTH) == []
    await trio.sleep(3.5)
    late.protector.confirm()
    assert [item.seq for item in late.all_of(nodes.Seated, SOUTH)] == [1]
    assert late.messages(SOUTH) == ["after"]


async def test_a_commit_in_the_middle_of_a_step_counts_the_event_as_done(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["commit", 9])
    late.protector.confirm()
    assert (late.messages(), acks(late)) == (["before"], [1])
    await trio.sleep(10)
    late.protector.confirm()
    assert late.messages() == ["before", "after"]


async def test_an_input_that_waits_does_not_travel_and_is_not_acked(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["sleep", 9])
    await say(late, ann, 2, "waits")
    late.request(NORTH, nodes.Absent(ann.room, ann.player, 1))
    late.protector.confirm()
    assert late.protector.copy is not None
    image = late.protector.copy.image()
    assert (image.events, image.seats[0].last_n, acks(late)) == ((), 0, [])
    late.request(SOUTH, nodes.Resume(9, ann.room, ann.player, ann.secret, 0))
    late.protector.confirm()
    assert late.all_of(nodes.Resumed)[0].n == 0, "both will be said again"
    await trio.sleep(10)
    late.protector.confirm()
    assert late.all_of(nodes.Acks, SOUTH)[-1].acks == [(ann.room, ann.player, 2)]


async def test_the_inputs_of_a_player_who_left_travel_since_nobody_says_them_again(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann, bob = await seat(late), await seat(late)
    await say(late, ann, 1, ["sleep", 9])
    await say(late, bob, 1, "farewell")
    late.request(NORTH, nodes.Leave(bob.room, bob.player, 1, bob.secret))
    late.protector.confirm()
    assert late.protector.copy is not None
    waiting = late.protector.copy.image().events
    assert [(each.what, each.input) for each in waiting] == [("said", b'"farewell"'), ("left", b"")]
    async with standby_of(late) as other:
        await wait_all_tasks_blocked()
        assert copied_state(other) == []
        other.protector.confirm()
        assert copied_state(other) == ["farewell"]


async def test_a_refused_input_is_acked_after_those_before_it_are_done(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["sleep", 9])
    await say(late, ann, 2, b"")
    late.protector.confirm()
    assert [item.n for item in late.all_of(nodes.BadInput)] == [2]
    assert acks(late) == []
    await trio.sleep(10)
    late.protector.confirm()
    assert acks(late) == [2]


async def test_inputs_count_anew_for_a_client_that_joins_again(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late, key="k")
    await say(late, ann, 1, ["sleep", 9])
    await say(late, ann, 2, "old")
    late.request(SOUTH, nodes.Join(8, log.name, key="k"))
    late.request(SOUTH, nodes.Say(ann.room, ann.player, 2, 1, b'"new"'))
    late.protector.confirm()
    assert late.protector.copy is not None
    assert late.protector.copy.image().seats[0].last_n == 0
    await trio.sleep(10)
    late.protector.confirm()
    assert late.all_of(nodes.Acks, SOUTH)[-1].acks == [(ann.room, ann.player, 1)]
    assert copied_state(late)[1:] == ["old", "new"]


async def test_an_alarm_is_one_step(late: ProtectedHarness, autojump_clock: MockClock) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["alarm", 2])
    before = late.protector.n
    await trio.sleep(3)
    assert late.protector.n == before + 1
    assert late.protector.steps[-1] == RoomStep(said=((1, b'"bell"', None),), alarms=())


async def test_an_alarm_that_was_not_done_rings_on_the_other_node(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["alarm", 2])
    late.protector.confirm()
    await trio.sleep(3)
    async with standby_of(late) as other:
        await trio.sleep(1)
        assert other.protector.steps[-1].said == ((1, b'"bell"', None),)


async def test_what_a_task_says_while_the_room_rests_is_a_step_of_its_own(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, ["task", 2])
    late.protector.confirm()
    await trio.sleep(2.5)
    assert late.messages() == []
    late.protector.confirm()
    assert late.messages() == ["later"]
    assert copied_state(late)[-1] == "later"


async def test_players_who_are_lost_and_freed_are_steps_of_the_timers(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await seat(late)
    late.request(NORTH, nodes.Absent(ann.room, ann.player, 1))
    await trio.sleep(2.5)
    late.protector.confirm()
    assert late.protector.copy is not None
    away = late.protector.copy.image().seats[0]
    assert away.noticed
    await trio.sleep(30)
    late.protector.confirm()
    assert [each.player for each in late.protector.copy.image().seats] != [ann.player]
    assert len(late.protector.copy.image().seats) == 1


async def test_a_lost_link_is_a_step(late: ProtectedHarness, autojump_clock: MockClock) -> None:
    ann = await seat(late)
    late.host.drop_link(NORTH)
    await wait_all_tasks_blocked()
    late.protector.confirm()
    assert late.protector.copy is not None
    assert late.protector.copy.image().seats[0].away_seconds == 0
    assert late.protector.copy.image() == own_capture(late.host, ann.room)


async def test_nobody_hears_of_the_end_before_all_is_confirmed(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "end")
    assert late.protector.over
    assert (late.ends(), acks(late)) == ([], [])
    assert late.host.rooms == 1
    late.protector.confirm()
    await wait_all_tasks_blocked()
    assert (late.ends(), acks(late)) == ([(ann.room, "finished")], [1])
    assert (late.host.rooms, len(late.host.protected)) == (0, 0)


async def test_a_room_that_has_ended_is_not_played_again_on_the_other_node(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "end")
    late.protector.finished = None  # type: ignore[attr-defined]
    late.protector.over = False
    late.protector.confirm()
    async with standby_of(late) as other:
        other.request(
            NORTH, nodes.Renew(9, ann.room, ann.player, ann.secret, 0, session=ann.session)
        )
        await settle(other)
        await wait_all_tasks_blocked()
        assert other.host.rooms == 0
        (again,) = other.all_of(nodes.Resumed)
        assert again.n == 1
        reasons = [item.reason for item in [*other.all_of(nodes.Out), *other.all_of(nodes.Ended)]]
        assert reasons == ["finished"]


async def test_a_node_whose_tasks_are_cancelled_ends_no_surviving_room(
    autojump_clock: MockClock,
) -> None:
    async with protected_host(log, protector=PromptProtector()) as harness:
        await seat(harness)
        assert harness.protector.copy is not None
    assert not harness.protector.over
    assert all(step.over is None for step in harness.protector.steps)


async def test_a_room_that_is_cut_or_crashes_has_ended(autojump_clock: MockClock) -> None:
    async with protected_host(log, protector=PromptProtector()) as harness:
        ann = await seat(harness)
        harness.host.cut()
        await wait_all_tasks_blocked()
        assert harness.ends() == [(ann.room, "cut")]
        assert harness.protector.steps[-1].over == EndImage("cut")


@room("failing", seats=2, state=Unsendable, survives=True)
async def failing_kind(table: Room[Unsendable]) -> Any:
    async for event in table:
        if isinstance(event, Said):
            table.state.it = object() if event.input == "break" else None
            table.state.said.append(event.input)
            table.broadcast(event.input)


async def test_a_state_that_cannot_be_encoded_leaves_the_room_unprotected_until_it_can(
    autojump_clock: MockClock,
) -> None:
    protector = LateProtector()
    async with protected_host(failing_kind, protector=protector) as harness:
        harness.request(NORTH, nodes.Join(7, failing_kind.name))
        await settle(harness)
        (ann,) = harness.all_of(nodes.Seated)
        with structlog.testing.capture_logs() as logs:
            await say(harness, ann, 1, "break")
            assert (harness.messages(), acks(harness)) == ([], []), "an earlier step waits"
            protector.confirm()
            assert (harness.messages(), acks(harness)) == (["break"], [1])
            harness.request(SOUTH, nodes.Join(8, failing_kind.name, room=ann.room))
            await wait_all_tasks_blocked()
            assert harness.all_of(nodes.Seated, SOUTH) == [], "the image waits to be given back"
            protector.confirm()
            assert len(harness.all_of(nodes.Seated, SOUTH)) == 1
        assert [line["event"] for line in logs] == ["room.state_failed"]
        loop = failing_kind.function.__code__.co_firstlineno + 2
        assert [(line["file"], line["line"]) for line in logs] == [(__file__, loop)]
        before = protector.n
        await say(harness, ann, 2, "mend")
        assert protector.fails == [True, False]
        assert protector.n == before + 1
        assert harness.messages() == ["break"]
        protector.confirm()
        assert harness.messages() == ["break", "mend"]
        assert protector.copy is not None
        assert protector.copy.image() == own_capture(harness.host, ann.room)


async def test_a_step_that_holds_its_words_back_for_longer_than_1_s_is_logged_once(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    with structlog.testing.capture_logs() as logs:
        await say(late, ann, 1, ["speak", 0.9])
        await trio.sleep(3)
        await say(late, ann, 2, ["sleep", 5])
        await trio.sleep(7)
        assert logs == []
        await say(late, ann, 3, ["speak", 4])
        await trio.sleep(1.6)
        assert len(logs) == 1
        await trio.sleep(5)
    (line,) = logs
    assert (line["event"], line["kind"], line["room"]) == ("room.slow_commit", "log", ann.room)
    assert line["file"] == __file__
    code = log.function.__code__
    assert line["line"] in {number for _, _, number in code.co_lines()}


async def test_a_room_that_goes_on_elsewhere_is_dropped_without_a_word(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "never heard")
    late.host.moves.drop(ann.room, THERE)
    late.protector.confirm()
    await wait_all_tasks_blocked()
    assert (late.messages(), acks(late), late.ends()) == ([], [], [])
    moved = nodes.Moved(ann.room, THERE.epoch, THERE.incarnation, THERE.name)
    assert late.all_of(nodes.Moved) == [moved]
    assert (late.host.rooms, late.host.protected.image(ann.room)) == (0, None)
    late.request(SOUTH, nodes.Resume(9, ann.room, ann.player, ann.secret, 0))
    (refused,) = late.all_of(nodes.Refused)
    assert (refused.code, refused.to) == (nodes.MOVED, THERE.incarnation)


async def test_a_room_that_has_ended_here_may_still_go_on_elsewhere(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "end")
    late.host.moves.drop(ann.room, THERE)
    await wait_all_tasks_blocked()
    assert (late.ends(), late.host.rooms, len(late.all_of(nodes.Moved))) == ([], 0, 1)
    await late.host.wait_empty()


async def test_a_room_whose_words_wait_over_the_bound_reads_nothing_until_half_have_left(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    sizes = WAITING_BYTES // 10  # each counts twice: as a word, and in its step
    for n in range(1, 10):
        await say(late, ann, n, ["long", sizes])
    live = late.host.find(ann.room)
    assert live is not None
    assert len(live.state.author_state.said) == 5
    late.request(SOUTH, nodes.Join(8, log.name, room=ann.room))
    late.request(SOUTH, nodes.Resume(9, ann.room, ann.player, ann.secret, 0))
    assert [item.code for item in late.all_of(nodes.Refused)] == [ErrorCode.NO_GAME_NODE] * 2
    late.protector.confirm(2)
    await wait_all_tasks_blocked()
    assert len(live.state.author_state.said) == 5
    for _ in range(4):
        late.protector.confirm()
        await wait_all_tasks_blocked()
    assert (len(late.messages()), acks(late)[-1]) == (9, 9)


async def test_a_protected_room_is_not_frozen_since_it_is_handed_over(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    assert late.host.moves.movable("deadline") == []
    assert await late.host.moves.freeze(ann.room) is None
    assert late.host.find(ann.room) is not None


async def test_a_drain_does_not_regroup_a_protected_room(autojump_clock: MockClock) -> None:
    async with protected_host(tictactoe, protector=PromptProtector()) as harness:
        harness.request(NORTH, nodes.Join(7, tictactoe.name))
        await wait_all_tasks_blocked()
        harness.host.drain(trio.current_time() + 20)
        await wait_all_tasks_blocked()
        assert (harness.all_of(nodes.Regroup), harness.host.rooms) == ([], 1)


async def test_a_promoted_room_is_asked_for_its_places_and_protected_again(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    await say(late, ann, 1, "first")
    late.protector.confirm()
    await say(late, ann, 2, "lost with the node")
    async with standby_of(late) as other:
        assert other.protector.room == ann.room
        renew = nodes.Renew(9, ann.room, ann.player, ann.secret, 1, session=ann.session)
        other.request(NORTH, renew)
        await settle(other)
        other.protector.confirm()
        (resumed,) = other.all_of(nodes.Resumed)
        assert (resumed.n, resumed.epoch, resumed.seq) == (1, 1, 1)
        await say(other, ann, 2, "again")
        other.protector.confirm()
        assert (other.messages(), copied_state(other)) == (["again"], ["first", "again"])


async def test_a_room_is_promoted_even_if_the_node_takes_no_more_rooms(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    await seat(late)
    assert late.protector.copy is not None
    image = late.protector.copy.image()
    async with protected_host(log, protector=LateProtector()) as other:
        other.host.matchmaker.doors_open = False
        assert "opens no rooms" in str(other.host.moves.adopt(image))
        assert other.host.moves.promote(replace(image, kind=KindName("x"))) is not None
        assert other.host.moves.promote(image) is None
        assert "here already" in str(other.host.moves.promote(image))


async def test_an_image_that_this_node_could_not_run_is_not_kept(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    ann = await seat(late)
    data = late.host.protected.image(ann.room)
    assert data is not None
    async with protected_host(tictactoe, protector=LateProtector()) as other:
        with pytest.raises(ImageRefused, match="no kind 'log'"):
            other.host.moves.keep(data)
        with pytest.raises(ImageRefused, match="cannot be read"):
            other.host.moves.keep(b"\xc1")


async def test_a_kind_that_does_not_survive_makes_no_steps(autojump_clock: MockClock) -> None:
    plain = replace(log, survives=False)
    async with protected_host(plain, protector=LateProtector()) as harness:
        ann = await seat(harness)
        await say(harness, ann, 1, "hi")
        harness.host.flush_acks()
        assert (harness.messages(), acks(harness)) == (["hi"], [1])
        assert (harness.protector.n, harness.protector.copy) == (0, None)
        assert not ann.survives


async def test_the_image_of_an_idle_tictactoe_is_below_8_kib(autojump_clock: MockClock) -> None:
    async with protected_host(tictactoe, protector=PromptProtector()) as harness:
        for _ in range(2):
            harness.request(NORTH, nodes.Join(7, tictactoe.name))
            await wait_all_tasks_blocked()
        assert harness.protector.copy is not None
        image = harness.host.protected.image(harness.protector.room)
        assert image is not None
        assert len(image) < 1024
        assert harness.protector.copy.size < 8192


async def test_events_that_wait_travel_and_are_read_on_the_other_node(
    late: ProtectedHarness, autojump_clock: MockClock
) -> None:
    seen: list[Event] = []

    @room("log", seats=8, state=Log, survives=True)
    async def watching(table: Room[Log]) -> Any:
        async for event in table:
            seen.append(event)  # noqa: PERF401 - the room is cancelled

    ann = await seat(late)
    await say(late, ann, 1, ["sleep", 9])
    late.request(SOUTH, nodes.Join(8, log.name, room=ann.room))
    late.protector.confirm()
    (bob,) = late.all_of(nodes.Seated, SOUTH)
    assert late.protector.copy is not None
    async with protected_host(watching, protector=LateProtector()) as other:
        assert other.host.moves.promote(late.protector.copy.image()) is None
        await wait_all_tasks_blocked()
    assert seen == [Joined(bob.player)]
