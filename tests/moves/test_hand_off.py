"""A node that drains gives its rooms to another one, and no player notices."""

from __future__ import annotations

import random

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.links import feed_reader
from lastcall.policy import LinkPolicy
from tests.harness.cluster import CLEAN, CUT, cluster, soon
from tests.harness.counts import players_in
from tests.moves.rooms import BUSY, KINDS, LATER
from tests.moves.talks import DRAIN, players, start, talk, two_nodes, undisturbed

in_any_order = pytest.mark.usefixtures("schedule")


@in_any_order
async def test_a_room_without_an_end_is_handed_off_at_the_deadline_and_its_node_exits_with_0(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "den", 3)
        assert await talk(speakers, "a") == {"said": "a", "count": 1, "moves": 0}
        began = trio.current_time()
        one.signal()
        assert await talk(speakers, "b") == {"said": "b", "count": 2, "moves": 0}
        await trio.sleep_until(began + DRAIN.cut_seconds - 0.1)
        assert one.rooms == 1
        assert "1 room(s) that will be handed off in 0 s" in one.node.why()
        await one.gone.wait()
        assert one.exited_at - began == soon(DRAIN.cut_seconds)
        assert one.exit_code == CLEAN
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.cut) == (1, 0)
        assert (two.rooms, players_in(two.node.host)) == (1, 3)
        assert await talk(speakers, "c") == {"said": "c", "count": 3, "moves": 1}
        assert undisturbed(speakers)


@in_any_order
async def test_inputs_on_their_way_while_the_room_moves_are_each_applied_once_and_in_order(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        speakers = await players(c, api, "hall", 2)
        for n in range(100):
            if n == 50:
                one.signal()
            await speakers[n % 2].say(n)
            if n % 10 == 0:
                await trio.sleep(0.001)
        for speaker in speakers:
            await speaker.hear_data({"said": 99, "count": 100, "moves": 1})
        await one.gone.wait()
        assert one.exit_code == CLEAN
        assert undisturbed(speakers)
        for speaker in speakers:
            heard = [d for _, d in speaker.messages]
            assert [d["count"] for d in heard] == list(range(1, 101))
            assert {d["moves"] for d in heard} == {0, 1}
            for turn in (0, 1):
                assert [d["said"] for d in heard if d["said"] % 2 == turn] == [*range(turn, 100, 2)]


@in_any_order
async def test_rooms_that_move_at_once_leave_when_the_drain_begins(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = [await players(c, api, "hall", 2) for _ in range(4)]
        at = [room.room.partition(".")[0] for room, _ in speakers]
        began = trio.current_time()
        one.signal()
        await one.gone.wait()
        assert one.exited_at - began < 1
        assert one.exit_code == CLEAN
        assert one.counts is not None
        assert one.counts.rooms_handed_off == at.count("game-1") > 0
        assert two.rooms == 4
        for pair in speakers:
            assert (await talk(pair, "b"))["count"] == 1
            assert undisturbed(pair)


async def test_one_room_is_silent_while_the_first_waits_for_its_taker_and_the_others_play_on(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        two.drain.cordon()
        await trio.sleep(0.1)
        rooms = [await players(c, api, "hall", 1) for _ in range(20)]
        two.drain.uncordon()
        await trio.sleep(0.1)
        c.bus.freeze("game-2")
        one.signal()
        await trio.sleep(0.2)  # at this pace, 20 rooms need 4 of the 6 seconds before the deadline
        (frozen,) = one.node.host.running.held.frozen
        for speakers in rooms:
            if speakers[0].room != frozen.state.id:
                assert (await talk(speakers, "a"))["moves"] == 0
        c.bus.heal("game-2")
        await one.gone.wait()
        assert one.exit_code == CLEAN
        assert one.counts is not None
        assert one.counts.rooms_handed_off == 20
        for speakers in rooms:
            assert (await talk(speakers, "b"))["moves"] == 1
            assert undisturbed(speakers)


@pytest.mark.parametrize("turn_seconds", [feed_reader.TURN_SECONDS, -1.0], ids=["", "starved"])
async def test_players_whose_room_has_moved_before_their_turn_are_not_told_that_its_node_drains(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, turn_seconds: float
) -> None:
    monkeypatch.setattr(feed_reader, "TURN_SECONDS", turn_seconds)  # starved: one item each turn
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        two.drain.cordon()
        await trio.sleep(0.1)
        rooms = [await players(c, api, "hall", 8) for _ in range(10)]
        two.drain.uncordon()
        await trio.sleep(0.1)
        began = trio.current_time()
        one.signal()
        await one.gone.wait()
        assert one.exited_at == began  # nothing waits for a heartbeat
        await trio.sleep(1)
        told = [
            player
            for speakers in rooms
            for player in speakers
            if any(frame["t"] == "draining" for frame in player.socket.heard)
        ]
        assert len(told) == 64
        assert all(undisturbed(speakers) for speakers in rooms)


async def test_the_second_signal_hands_off_what_moves_and_cuts_the_rest(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "den", 2)
        two.drain.cordon()
        stays = await players(c, api, "cell", 1)
        two.drain.uncordon()
        await trio.sleep(0.1)
        began = trio.current_time()
        one.signal()
        await trio.sleep(1)
        one.signal()
        await one.gone.wait()
        assert one.exited_at - began < 2
        assert one.exit_code == CUT
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.rooms_cut) == (1, 1)
        assert (await stays[0].socket.hear("ended"))["reason"] == "cut"
        assert (await talk(speakers, "a"))["moves"] == 1
        assert undisturbed(speakers)


async def test_a_node_whose_code_cannot_read_the_state_refuses_and_the_next_one_takes_the_room(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, games = await start(c, {"game-1": KINDS, "game-2": LATER, "game-3": KINDS})
        speakers = await players(c, api, "den", 2)
        await talk(speakers, "a")
        with capture_logs() as logs:
            games[0].signal()
            await games[0].gone.wait()
        assert games[0].exit_code == CLEAN
        (refusal,) = [line for line in logs if line["event"] == "handoff.refused"]
        assert (refusal["kind"], refusal["room"]) == ("den", speakers[0].room)
        assert refusal["game"] == "game-2"
        assert "state" in refusal["reason"]
        assert [game.rooms for game in games[1:]] == [0, 1]
        assert (await talk(speakers, "b"))["count"] == 2
        assert undisturbed(speakers)


async def test_a_room_that_no_node_can_read_plays_on_until_half_of_the_farewell_at_most(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, (one, _) = await start(c, {"game-1": KINDS, "game-2": LATER})
        speakers = await players(c, api, "den", 2)
        began = trio.current_time()
        one.signal()
        await trio.sleep_until(began + DRAIN.cut_seconds - 0.1)
        assert (await talk(speakers, "a"))["moves"] == 0
        await one.gone.wait()
        assert DRAIN.cut_seconds <= one.exited_at - began < DRAIN.cut_seconds + 1
        assert one.exit_code == CUT
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.rooms_cut) == (0, 1)
        assert [(await player.socket.hear("ended"))["reason"] for player in speakers] == ["cut"] * 2


async def test_a_room_that_was_refused_plays_on_and_leaves_when_a_node_comes_that_can_read_it(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        c.address("game-3")
        api, (one, _) = await start(c, {"game-1": KINDS, "game-2": LATER})
        speakers = await players(c, api, "hall", 2)
        one.signal()
        await trio.sleep(0.5)
        assert (await talk(speakers, "a"))["moves"] == 0
        (why,) = [line for line in one.node.why() if "could not move" in line]
        assert why.startswith("1 hall room(s) could not move: ")
        assert "state" in why
        three = c.game("game-3", kinds=KINDS, peers=True)
        await c.ready(three)
        with trio.fail_after(4):
            await one.gone.wait()
        assert one.exit_code == CLEAN
        assert three.node.figures().rooms_adopted == three.rooms == 1
        assert (await talk(speakers, "b"))["moves"] == 1
        assert undisturbed(speakers)


@in_any_order
async def test_a_player_who_leaves_while_the_room_moves_leaves_it_where_it_is_then(
    rng: random.Random, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "hall", 3)
        c.bus.faults.delay_seconds = 0.1
        one.signal()
        await trio.sleep(rng.uniform(0.0, 0.3))
        await speakers[2].socket.send(t="leave")
        await one.gone.wait()
        await trio.sleep(1)
        assert (two.rooms, players_in(two.node.host)) == (1, 2)
        assert (await talk(speakers[:2], "a"))["moves"] == 1
        assert undisturbed(speakers[:2])


async def test_a_room_with_a_large_state_moves_with_all_of_it(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "hall", 2)
        await speakers[0].say({"notes": 200_000})
        await talk(speakers, "a")
        one.signal()
        await one.gone.wait()
        assert one.exit_code == CLEAN
        assert await talk(speakers, "b") == {"said": "b", "count": 2, "moves": 1}
        (room,) = two.node.host.running.by_id.values()
        assert room.state.author_state.notes == bytes(200_000)
        assert undisturbed(speakers)


async def test_a_drain_with_no_other_node_that_serves_is_as_without_other_nodes(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "hall", 1)
        two.signal()
        await two.gone.wait()
        began = trio.current_time()
        with capture_logs() as logs:
            one.signal()
            await one.gone.wait()
        assert one.exited_at - began == soon(DRAIN.cut_seconds)
        assert one.exit_code == CUT
        assert [line for line in logs if line["event"].startswith("handoff")] == []
        assert (await speakers[0].socket.hear("ended"))["reason"] == "cut"


@pytest.mark.parametrize("before", [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
async def test_a_room_leaves_although_the_link_to_the_other_node_is_lost_before_the_deadline(
    autojump_clock: MockClock, before: float
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "den", 2)
        await talk(speakers, "a")
        began = trio.current_time()
        one.signal()
        await trio.sleep_until(began + DRAIN.cut_seconds - before)
        for link in [link for link in two.links.values() if link.who.get("game") == "game-1"]:
            two.drop_link(link.id)
        await one.gone.wait()
        assert one.exited_at - began < DRAIN.cut_seconds + 1
        assert one.exit_code == CLEAN
        assert (await talk(speakers, "b"))["moves"] == 1
        assert undisturbed(speakers)


@pytest.mark.parametrize("parted_at", [-4.0, -0.02, 0.0, 0.02])
@pytest.mark.parametrize("rooms", [1, 40])
async def test_rooms_leave_although_their_node_is_parted_from_the_other_one_at_the_deadline(
    autojump_clock: MockClock, parted_at: float, rooms: int
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        groups = [await players(c, api, "den", 2) for _ in range(rooms)]
        began, leaving = trio.current_time(), one.rooms
        one.signal()
        await trio.sleep_until(began + DRAIN.cut_seconds + parted_at)
        c.bus.break_link("game-1", "game-2")
        await trio.sleep_until(began + DRAIN.cut_seconds + 0.5)
        c.bus.heal("game-1")
        await one.gone.wait()
        assert one.exit_code == CLEAN
        moves = 0
        for speakers in groups:
            moves += (await talk(speakers, "b"))["moves"]
            assert undisturbed(speakers)
        assert moves == leaving > 0


async def test_rooms_are_cut_at_the_deadline_if_the_other_node_was_not_heard_for_long(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        (player,) = await players(c, api, "den", 1)
        c.bus.break_link("game-1", "game-2")
        await trio.sleep(LinkPolicy().lost_seconds + 5)
        began = trio.current_time()
        one.signal()
        await one.gone.wait()
        assert one.exited_at - began == soon(DRAIN.cut_seconds)
        assert one.exit_code == CUT
        assert (await player.socket.hear("ended"))["reason"] == "cut"


async def test_a_room_that_does_not_come_to_rest_is_cut_and_its_node_ends_within_the_farewell(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, (one, _) = await start(c, {"game-1": BUSY, "game-2": BUSY})
        (player,) = await players(c, api, "busy", 1)
        await player.say("sleep")
        began = trio.current_time()
        one.signal()
        await one.gone.wait()
        assert DRAIN.cut_seconds <= one.exited_at - began < DRAIN.grace_seconds
        assert one.exit_code == CUT
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.rooms_cut) == (0, 1)
        assert (await player.socket.hear("ended"))["reason"] == "cut"
