"""A resume that meets something else in the same instant: each has its answer, in every order."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.policy import DrainPolicy
from tests.harness.cluster import CLEAN, ApiProcess, cluster
from tests.harness.player import Player, Socket
from tests.resume.test_place import house

pytestmark = pytest.mark.usefixtures("schedule")


async def test_a_resume_that_races_the_death_of_the_old_socket(autojump_clock: MockClock) -> None:
    async with house() as (c, _, one, two):
        for api in (one, two):
            ann = Player(c.nursery)
            await ann.join(one, kind="lounge", new=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ann.resume, api)
                ann.socket.vanish()
            await trio.sleep(31)
            await ann.say("here")
            await ann.hears({"from": ann.you, "said": "here"})


async def test_a_death_of_the_old_socket_that_is_told_after_the_resume_is_nothing(
    autojump_clock: MockClock,
) -> None:
    async with house() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge", new=True)
        c.bus.break_link("api-1", "game-1")
        ann.socket.vanish()
        await trio.sleep(0.1)
        await ann.resume(two)
        c.bus.heal("api-1")
        await trio.sleep(31)
        await ann.say("here")
        await ann.hears({"from": ann.you, "said": "here"})


@pytest.mark.parametrize("seconds", [0.99, 1.0, 1.01])
async def test_a_resume_that_races_the_end_of_the_room(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with house() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 1})
        start = trio.current_time()
        ann.socket.vanish()
        await trio.sleep_until(start + seconds)
        await ann.resume(two)
        assert (await ann.socket.hear("ended"))["reason"] == "finished"
        assert [d["left"] for _, d in ann.messages] == [0]


@pytest.mark.parametrize("seconds", [0, 0.01, 4.9])
async def test_a_resume_that_races_the_drain_of_the_game_node(
    autojump_clock: MockClock, seconds: float
) -> None:
    """While it drains it keeps an empty seat for 5 s; the match goes on to its end."""
    async with house() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 8})
        start = trio.current_time()
        ann.socket.vanish()
        game.signal()
        await trio.sleep(seconds)
        await ann.resume(two)
        assert (await ann.socket.hear("ended"))["reason"] == "finished"
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(8, abs=0.6)
        assert game.exit_code == CLEAN
        assert [d["left"] for _, d in ann.messages] == list(range(7, -1, -1))


async def test_a_resume_that_comes_too_late_for_a_drain_is_told_that_there_is_no_such_place(
    autojump_clock: MockClock,
) -> None:
    async with house() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 100})
        ann.socket.vanish()
        start = trio.current_time()
        game.signal()
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(5, abs=0.6)
        assert game.exit_code == CLEAN
        assert game.counts is not None
        assert game.counts.rooms_abandoned == 1
        assert await (await ann.ask(two)).close_code() in {1013, 4004}


async def test_a_drain_waits_for_a_player_who_was_between_two_sockets_as_his_room_ended(
    autojump_clock: MockClock,
) -> None:
    async with house() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 2})
        start = trio.current_time()
        await trio.sleep(1.5)
        game.signal()
        ann.socket.vanish()
        await trio.sleep(2.5)
        assert game.exit_code is None
        await ann.resume(two)
        assert (await ann.socket.hear("ended"))["reason"] == "finished"
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(4, abs=0.6)
        assert game.exit_code == CLEAN


async def test_a_drain_waits_for_him_no_longer_than_5_s(autojump_clock: MockClock) -> None:
    async with house() as (c, game, one, _):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 2})
        await trio.sleep(1.5)
        start = trio.current_time()
        game.signal()
        ann.socket.vanish()
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(5, abs=0.6)
        assert game.exit_code == CLEAN


@pytest.mark.parametrize("which", ["api-1", "api-2"])
async def test_a_resume_that_races_a_reset_of_the_link(
    autojump_clock: MockClock, which: str
) -> None:
    """The old node's link, or the new one's, is broken in the middle of it."""
    async with house() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        await ann.say("before")
        await ann.hears({"from": ann.you, "said": "before"})
        ann.socket.vanish()
        socket = await ann.ask(two)
        c.bus.break_link(which, "game-1")
        await trio.sleep(0.5)
        c.bus.heal(which)
        resumed = await socket.hear("resumed")
        assert resumed["n"] == 1
        ann.ticket = resumed["ticket"]
        await ann.say("after")
        await ann.hears({"from": ann.you, "said": "after"})
        assert [d["said"] for _, d in ann.messages] == ["before", "after"]
        assert ann.heard_once


async def test_resumes_of_one_place_on_two_nodes_at_once_leave_one_socket_with_it(
    autojump_clock: MockClock,
) -> None:
    async with house() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        ann.socket.vanish()
        first, second = await ann.ask(one), await ann.ask(two)
        await trio.sleep(1)
        closed = sorted(filter(None, [first.closed, second.closed]))
        assert closed in ([4004], [4005])  # he who came second had the ticket of before, still good
        winner = first if first.closed is None else second
        await winner.send(t="got", seq=0)
        await winner.send(t="say", n=1, d="mine")
        assert (await winner.hear("msg"))["d"]["said"] == "mine"


# A request that comes late, when its player has the place through another api node already.


async def ask(ann: Player, api: ApiProcess, how: str) -> Socket:
    """He asks for his place, and the answer is left to the test."""
    if how == "resume":
        return await ann.ask(api)
    socket = await ann.dial(api)
    await socket.send(t="join", kind="lounge", key="k")
    return socket


async def has_it(ann: Player, api: ApiProcess, how: str) -> None:
    if how == "resume":
        await ann.resume(api)
    else:
        await ann.join(api, kind="lounge", key="k")


@pytest.mark.parametrize("how", ["first join", "join", "resume"])
@pytest.mark.parametrize("seconds", [1.0, 1.3, 2.5])
async def test_a_request_that_its_api_node_could_not_say_for_a_while_takes_nothing_away(
    autojump_clock: MockClock, how: str, seconds: float
) -> None:
    """He gives it up after 1 s, has his place through api-2, and api-1 is heard again."""
    async with house() as (c, _, one, two):
        ann = Player(c.nursery)
        if how != "first join":
            await ann.join(two, kind="lounge", key="k")
            ann.socket.vanish()
            await trio.sleep(0.1)
        c.bus.freeze("api-1")
        start = trio.current_time()
        old = await ask(ann, one, how)
        await trio.sleep(1)
        old.vanish()
        await has_it(ann, two, how)
        await trio.sleep_until(start + seconds)
        c.bus.heal("api-1")
        await trio.sleep(10)
        assert ann.socket.closed is None
        await ann.say("mine")
        await ann.hears({"from": ann.you, "said": "mine"})


@pytest.mark.parametrize("how", ["first join", "join", "resume"])
async def test_of_two_requests_that_lie_unread_at_a_game_node_the_live_sockets_one_has_the_place(
    autojump_clock: MockClock, how: str
) -> None:
    """It is stopped for 2 s; whichever it reads first."""
    async with house() as (c, _, one, two):
        ann = Player(c.nursery)
        if how != "first join":
            await ann.join(two, kind="lounge", key="k")
            ann.socket.vanish()
            await trio.sleep(0.1)
        c.bus.freeze("game-1")
        old = await ask(ann, one, how)
        await trio.sleep(1)
        old.vanish()
        await trio.sleep(0.1)
        new = await ask(ann, two, how)
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


async def test_a_game_node_that_stops_answers_one_who_waits_for_a_seat_and_exits(
    autojump_clock: MockClock,
) -> None:
    """The cut comes 0.2 s after the second socket has asked."""
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
        second = await ask(ann, two, "join")
        assert (await first.hear("ended"))["reason"] == "cut"
        assert (await second.hear("error"))["code"] == "no_game_node"
        assert trio.current_time() - start == pytest.approx(1.6, abs=0.1)
        await game.gone.wait()
        assert game.exited_at - start < 2
        assert first.closed is None


async def test_a_resume_in_the_instant_in_which_the_api_node_is_told_to_stop(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        one, two = c.api("api-1", clients="move"), c.api("api-2")
        await c.ready(game, one, two)
        ann = Player(c.nursery)
        await ann.join(two, kind="lounge")
        ann.socket.vanish()
        socket = await ann.ask(one)
        one.signal()
        assert await socket.close_code() == 1012
        for frame in socket.heard:
            if frame["t"] == "resumed":
                ann.ticket = frame["ticket"]
        await ann.resume(two)
        await ann.say("here")
        await ann.hears({"from": ann.you, "said": "here"})
        await one.gone.wait()
        assert one.exit_code == CLEAN


async def test_a_match_that_is_regrouped_while_a_player_is_away_is_found_for_him_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game("game-1", drain=DrainPolicy(grace_seconds=20))
        c.address("game-2")
        api = c.api()
        await c.ready(game, api)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        ann.socket.vanish()
        await trio.sleep(0.5)
        other = c.game("game-2")
        await c.ready(other)
        await trio.sleep(3)
        await ann.resume(api)
        ann.socket.vanish()
        await trio.sleep(0.5)
        game.signal()
        await trio.sleep(1)
        await ann.resume(api)
        joined = await ann.socket.hear("joined", "ended")
        assert joined["room"].startswith("game-2.")
        await game.gone.wait()
        assert game.exit_code == CLEAN


async def test_a_second_joined_that_is_lost_with_its_socket_is_had_again_with_the_ticket_before(
    autojump_clock: MockClock,
) -> None:
    """As long as the old node is there; the key finds the seat that was taken for him."""
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
        ann.socket.vanish()
        await trio.sleep(0.5)
        await ann.resume(api)
        again = await ann.socket.hear("joined", "ended")
        assert (again["room"], again["you"]) == (lost["room"], lost["you"])
        await ann.socket.send(t="got", seq=again["seq"], room=again["room"])
        await bob.socket.hear("ended")
        await game.gone.wait()
        assert game.exit_code == CLEAN
