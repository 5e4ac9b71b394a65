"""Resumes that race other events: each gets its answer, in any order of tasks."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.policy import DrainPolicy
from tests.harness.cluster import CLEAN, ApiProcess, cluster
from tests.harness.player import Player, Socket
from tests.resume.test_place import two_api_nodes

pytestmark = pytest.mark.usefixtures("schedule")


async def test_a_resume_that_races_the_loss_of_the_old_socket_keeps_the_place(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        for api in (one, two):
            ann = Player(c.nursery)
            await ann.join(one, kind="lounge", new=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ann.resume, api)
                ann.socket.drop()
            await trio.sleep(31)
            await ann.say("here")
            await ann.hear_data({"from": ann.you, "said": "here"})


async def test_a_loss_of_the_old_socket_reported_after_the_resume_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge", new=True)
        c.bus.break_link("api-1", "game-1")
        ann.socket.drop()
        await trio.sleep(0.1)
        await ann.resume(two)
        c.bus.heal("api-1")
        await trio.sleep(31)
        await ann.say("here")
        await ann.hear_data({"from": ann.you, "said": "here"})


@pytest.mark.parametrize("seconds", [0.99, 1.0, 1.01])
async def test_a_resume_that_races_the_end_of_the_room_gets_the_end(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 1})
        start = trio.current_time()
        ann.socket.drop()
        await trio.sleep_until(start + seconds)
        await ann.resume(two)
        assert (await ann.socket.hear("ended"))["reason"] == "finished"
        assert [d["left"] for _, d in ann.messages] == [0]


@pytest.mark.parametrize("seconds", [0, 0.01, 4.9])
async def test_a_resume_that_races_the_drain_of_the_game_node_keeps_the_place(
    autojump_clock: MockClock, seconds: float
) -> None:
    """A draining node keeps an empty seat for 5 s; the match continues to its end."""
    async with two_api_nodes() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 8})
        start = trio.current_time()
        ann.socket.drop()
        game.signal()
        await trio.sleep(seconds)
        await ann.resume(two)
        assert (await ann.socket.hear("ended"))["reason"] == "finished"
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(8, abs=0.6)
        assert game.exit_code == CLEAN
        assert [d["left"] for _, d in ann.messages] == list(range(7, -1, -1))


async def test_a_resume_that_comes_too_late_for_a_drain_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 100})
        ann.socket.drop()
        start = trio.current_time()
        game.signal()
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(5, abs=0.6)
        assert game.exit_code == CLEAN
        assert game.counts is not None
        assert game.counts.rooms_abandoned == 1
        assert await (await ann.send_resume(two)).close_code() in {1013, 4004}


async def test_a_drain_waits_for_a_player_who_was_between_two_sockets_when_the_room_ended(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 2})
        start = trio.current_time()
        await trio.sleep(1.5)
        game.signal()
        ann.socket.drop()
        await trio.sleep(2.5)
        assert game.exit_code is None
        await ann.resume(two)
        assert (await ann.socket.hear("ended"))["reason"] == "finished"
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(4, abs=0.6)
        assert game.exit_code == CLEAN


async def test_a_drain_waits_for_a_player_between_two_sockets_for_at_most_5_s(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, game, one, _):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 2})
        await trio.sleep(1.5)
        start = trio.current_time()
        game.signal()
        ann.socket.drop()
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(5, abs=0.6)
        assert game.exit_code == CLEAN


@pytest.mark.parametrize("which", ["api-1", "api-2"])
async def test_a_resume_that_races_a_reset_of_the_link_loses_nothing(
    autojump_clock: MockClock, which: str
) -> None:
    """The link of the old api node, or of the new one, breaks during the resume."""
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        await ann.say("before")
        await ann.hear_data({"from": ann.you, "said": "before"})
        ann.socket.drop()
        socket = await ann.send_resume(two)
        c.bus.break_link(which, "game-1")
        await trio.sleep(0.5)
        c.bus.heal(which)
        resumed = await socket.hear("resumed")
        assert resumed["n"] == 1
        ann.ticket = resumed["ticket"]
        await ann.say("after")
        await ann.hear_data({"from": ann.you, "said": "after"})
        assert [d["said"] for _, d in ann.messages] == ["before", "after"]
        assert ann.heard_once


async def test_of_two_simultaneous_resumes_of_one_place_one_socket_gets_it(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        ann.socket.drop()
        first, second = await ann.send_resume(one), await ann.send_resume(two)
        await trio.sleep(1)
        closed = sorted(filter(None, [first.closed, second.closed]))
        assert closed in ([4004], [4005])  # the second had the previous ticket, still valid
        winner = first if first.closed is None else second
        await winner.send(t="got", seq=0)
        await winner.send(t="say", n=1, d="mine")
        assert (await winner.hear("msg"))["d"]["said"] == "mine"


# A request that arrives late, when its player already has the place through another api node.


async def request_place(ann: Player, api: ApiProcess, request_kind: str) -> Socket:
    """Sends a request for the place; the test reads the answer."""
    if request_kind == "resume":
        return await ann.send_resume(api)
    socket = await ann.dial(api)
    await socket.send(t="join", kind="lounge", key="k")
    return socket


async def take_place(ann: Player, api: ApiProcess, request_kind: str) -> None:
    if request_kind == "resume":
        await ann.resume(api)
    else:
        await ann.join(api, kind="lounge", key="k")


@pytest.mark.parametrize("request_kind", ["first join", "join", "resume"])
@pytest.mark.parametrize("seconds", [1.0, 1.3, 2.5])
async def test_a_late_request_through_an_abandoned_node_does_not_close_the_new_socket(
    autojump_clock: MockClock, request_kind: str, seconds: float
) -> None:
    """The player gives up after 1 s and gets the place through api-2; then api-1 recovers."""
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        if request_kind != "first join":
            await ann.join(two, kind="lounge", key="k")
            ann.socket.drop()
            await trio.sleep(0.1)
        c.bus.freeze("api-1")
        start = trio.current_time()
        old = await request_place(ann, one, request_kind)
        await trio.sleep(1)
        old.drop()
        await take_place(ann, two, request_kind)
        await trio.sleep_until(start + seconds)
        c.bus.heal("api-1")
        await trio.sleep(7)  # longer than any link or takeover waits
        assert ann.socket.closed is None
        await ann.say("mine")
        await ann.hear_data({"from": ann.you, "said": "mine"})


@pytest.mark.parametrize("request_kind", ["first join", "join", "resume"])
async def test_of_two_requests_unread_at_a_game_node_the_one_of_the_live_socket_gets_the_place(
    autojump_clock: MockClock, request_kind: str
) -> None:
    """The game node is stopped for 2 s, and may read either request first."""
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        if request_kind != "first join":
            await ann.join(two, kind="lounge", key="k")
            ann.socket.drop()
            await trio.sleep(0.1)
        c.bus.freeze("game-1")
        old = await request_place(ann, one, request_kind)
        await trio.sleep(1)
        old.drop()
        await trio.sleep(0.1)
        new = await request_place(ann, two, request_kind)
        await trio.sleep(0.9)
        c.bus.heal("game-1")
        start = trio.current_time()
        answer = await new.hear("joined", "resumed")
        assert trio.current_time() - start < 0.2
        await new.send(t="got", seq=answer["seq"])
        await trio.sleep(10)
        assert new.closed is None
        await new.send(t="say", n=1, d="mine")
        assert (await new.hear("msg"))["d"]["said"] == "mine"


async def test_a_game_node_that_stops_answers_a_pending_takeover_and_exits(
    autojump_clock: MockClock,
) -> None:
    """The cut comes 0.2 s after the request of the second socket."""
    drain = DrainPolicy(grace_seconds=4, farewell_seconds=3)
    async with cluster() as c:
        game = c.game(drain=drain)
        one, two = c.api("api-1"), c.api("api-2")
        await c.ready(game, one, two)
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge", key="k")
        start = trio.current_time()
        game.signal()
        await trio.sleep(0.8)
        first = ann.socket
        second = await request_place(ann, two, "join")
        assert (await first.hear("ended"))["reason"] == "cut"
        assert (await second.hear("error"))["code"] == "no_game_node"
        assert trio.current_time() - start == pytest.approx(1.6, abs=0.1)
        await game.gone.wait()
        assert game.exited_at - start < 2
        assert first.closed is None


async def test_a_resume_at_the_instant_of_a_stop_signal_keeps_the_place(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        one, two = c.api("api-1", clients="move"), c.api("api-2")
        await c.ready(game, one, two)
        ann = Player(c.nursery)
        await ann.join(two, kind="lounge")
        ann.socket.drop()
        socket = await ann.send_resume(one)
        one.signal()
        assert await socket.close_code() == 1012
        for frame in socket.heard:
            if frame["t"] == "resumed":
                ann.ticket = frame["ticket"]
        await ann.resume(two)
        await ann.say("here")
        await ann.hear_data({"from": ann.you, "said": "here"})
        await one.gone.wait()
        assert one.exit_code == CLEAN


async def test_a_player_who_is_away_during_a_regroup_gets_a_seat_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game("game-1", drain=DrainPolicy(grace_seconds=20))
        c.address("game-2")
        api = c.api()
        await c.ready(game, api)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        ann.socket.drop()
        await trio.sleep(0.5)
        other = c.game("game-2")
        await c.ready(other)
        await trio.sleep(3)
        await ann.resume(api)
        ann.socket.drop()
        await trio.sleep(0.5)
        game.signal()
        await trio.sleep(1)
        await ann.resume(api)
        joined = await ann.socket.hear("joined", "ended")
        assert joined["room"].startswith("game-2.")
        await game.gone.wait()
        assert game.exit_code == CLEAN


async def test_a_second_joined_that_was_lost_comes_again_with_the_previous_ticket(
    autojump_clock: MockClock,
) -> None:
    """The old node must still exist. The key finds the seat that was taken for the player."""
    async with cluster() as c:
        game = c.game("game-1", drain=DrainPolicy(grace_seconds=20))
        c.address("game-2")
        api = c.api()
        await c.ready(game, api)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await bob.join(api, kind="countdown", options={"seconds": 8})
        await ann.join(api, kind="tictactoe", key="k")
        await c.ready(c.game("game-2"))
        await trio.sleep(3)
        game.signal()
        lost = await ann.socket.hear("joined")
        ann.socket.drop()
        await trio.sleep(0.5)
        await ann.resume(api)
        again = await ann.socket.hear("joined", "ended")
        assert (again["room"], again["you"]) == (lost["room"], lost["you"])
        await ann.socket.send(t="got", seq=again["seq"], room=again["room"])
        await bob.socket.hear("ended")
        await game.gone.wait()
        assert game.exit_code == CLEAN
