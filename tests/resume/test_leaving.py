"""Inputs that a player sends before leaving reach the room: a whole cluster in virtual time."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall import Left, Room, Said, room
from lastcall.policy import RoomPolicy
from tests.harness.cluster import CLEAN
from tests.harness.counts import players_in
from tests.harness.player import Player
from tests.resume.test_place import two_api_nodes

pytestmark = pytest.mark.usefixtures("schedule")

SMALL = RoomPolicy(inbox_events=16)
LEFT = "left"
UNHEARD = "drain.leaves_unheard"


@room("minutes", seats=4)
async def minutes(table: Room) -> None:
    """Sleeps for ``options.asleep`` seconds, then broadcasts each input and each ``Left``."""
    await trio.sleep(table.options.get("asleep", 0))
    async for event in table:
        match event:
            case Said(_, data):
                table.broadcast(data)
            case Left():
                table.broadcast(LEFT)


async def test_inputs_before_a_leave_reach_the_room_even_if_the_link_is_reset(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(minutes) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes")
        await bob.join(two, room=ann.room)
        await trio.sleep(0.3)
        game.drop_links()
        await ann.say("good game")
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        await bob.hear_data(LEFT)
        assert [data for _, data in bob.messages] == ["good game", LEFT]


async def test_a_leave_does_not_overtake_inputs_that_a_full_inbox_refused(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(minutes, rooms=SMALL) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": 2})
        await bob.join(two, room=ann.room)
        start = trio.current_time()
        for number in range(20):
            await ann.say(number)
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        assert trio.current_time() - start == pytest.approx(2, abs=0.6)
        await bob.hear_data(LEFT)
        assert [data for _, data in bob.messages] == [*range(20), LEFT]
        assert ann.socket.heard[-2] == {"t": "ack", "n": 20}


async def test_a_leave_and_its_inputs_survive_a_move_to_another_api_node(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(minutes, rooms=SMALL) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": 2})
        await bob.join(two, room=ann.room)
        for number in range(20):
            await ann.say(number)
        await ann.socket.send(t="leave")
        await trio.sleep(0.5)
        await one.node.gateway.moves.move_all(0)
        assert await ann.socket.close_code() == 1012
        await ann.resume(two)
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        await bob.hear_data(LEFT)
        assert [data for _, data in bob.messages] == [*range(20), LEFT]


async def test_a_room_that_reads_no_event_delays_a_leave_by_5_s_and_closes_no_socket(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(minutes, rooms=SMALL) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": 60})
        await bob.join(two, room=ann.room)
        start = trio.current_time()
        for number in range(20):
            await ann.say(number)
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        assert trio.current_time() - start == pytest.approx(5, abs=0.1)
        await trio.sleep(1)
        assert players_in(game.node.host) == 1
        assert ann.socket.closed is None


@pytest.mark.parametrize("asleep", [2, 60])
async def test_a_leave_is_heard_of_a_client_who_hangs_up_while_the_node_reads_no_more(
    autojump_clock: MockClock, asleep: int
) -> None:
    async with two_api_nodes(minutes, rooms=SMALL) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes", options={"asleep": asleep})
        await bob.join(two, room=ann.room)
        for number in range(100):  # more than a node keeps
            await ann.say(number)
        await ann.socket.send(t="leave")
        await trio.sleep(0.1)
        ann.socket.drop()
        await trio.sleep(5.5)
        assert players_in(game.node.host) == 1
        if asleep < 5:
            await bob.hear_data(LEFT)
            assert [data for _, data in bob.messages] == [*range(100), LEFT]


@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("key", ["", "k"])
async def test_a_leave_before_the_answer_to_a_join_gives_the_seat_up(
    key: str, hangs_up: bool, autojump_clock: MockClock
) -> None:
    async with two_api_nodes(minutes) as (c, game, one, two):
        bob = Player(c.nursery)
        await bob.join(two, kind="minutes")
        await trio.sleep(1)
        socket = await Player(c.nursery).dial(one)
        await socket.send(t="join", room=bob.room, key=key)
        await socket.send(t="leave")
        if hangs_up:
            socket.drop()
        else:
            assert (await socket.hear("joined"))["room"] == bob.room
            assert (await socket.hear("ended"))["reason"] == "left"
        await trio.sleep(1)
        assert players_in(game.node.host) == 1


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_leave_before_the_answer_to_a_resume_gives_the_seat_up(
    hangs_up: bool, autojump_clock: MockClock
) -> None:
    async with two_api_nodes(minutes) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes")
        await bob.join(two, room=ann.room)
        ann.socket.drop()
        await trio.sleep(1)
        socket = await ann.send_resume(two)
        await socket.send(t="leave")
        if hangs_up:
            socket.drop()
        else:
            await socket.hear("resumed")
            assert (await socket.hear("ended"))["reason"] == "left"
        await trio.sleep(1)
        assert players_in(game.node.host) == 1


async def test_a_leave_of_a_join_that_is_refused_is_over_with_it(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(minutes) as (c, game, one, _):
        ann = Player(c.nursery)
        socket = await ann.dial(one)
        await socket.send(t="join", kind="no such kind")
        await socket.send(t="leave")
        assert (await socket.hear("error"))["code"] == "no_such_kind"
        await socket.send(t="join", kind="minutes")
        await socket.hear("joined")
        await trio.sleep(1)
        assert players_in(game.node.host) == 1


@pytest.mark.parametrize("broken_seconds", [0.2, 1.0, 2.5])
@pytest.mark.parametrize("reset", [True, False])
async def test_a_node_that_drains_ends_when_a_leave_that_its_link_has_lost_is_heard(
    autojump_clock: MockClock, broken_seconds: float, reset: bool
) -> None:
    """Else the seat would be kept for somebody who has left, for 30 s."""
    async with two_api_nodes(minutes) as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes")
        await bob.join(two, room=ann.room)
        await trio.sleep(0.3)
        c.bus.break_link("api-1", "game-1")
        if reset:
            game.drop_links()
        await ann.socket.send(t="leave")
        assert (await ann.socket.hear("ended"))["reason"] == "left"
        ann.socket.drop()
        one.signal()
        one.signal()
        await trio.sleep(broken_seconds)
        assert not one.gone.is_set()
        c.bus.heal("api-1")
        healed = trio.current_time()
        await bob.hear_data(LEFT)
        assert trio.current_time() - healed < 2
        await one.gone.wait()
        assert one.exited_at - healed < 2.5
        assert one.exit_code == CLEAN


async def test_a_node_that_drains_waits_6_s_at_most_for_a_leave_to_be_heard(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(minutes) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="minutes")
        await bob.join(two, room=ann.room)
        c.bus.break_link("api-1", "game-1")
        await ann.socket.send(t="leave")
        await ann.socket.hear("ended")
        ann.socket.drop()
        with capture_logs() as logs:
            one.signal()
            start = trio.current_time()
            await one.gone.wait()
        assert 2 < one.exited_at - start <= 6.5
        assert one.exit_code == CLEAN
        assert [line["log_level"] for line in logs if line["event"] == UNHEARD] == ["warning"]
