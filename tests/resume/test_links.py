"""Links recover from network faults and frozen or dead processes: the effect on players."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall import Left, Room, room
from lastcall.policy import LinkPolicy
from tests.harness.cluster import CLEAN, cluster
from tests.harness.player import Player
from tests.resume.test_place import two_api_nodes

pytestmark = pytest.mark.usefixtures("schedule")


async def test_an_api_node_frozen_for_2_s_loses_nothing_and_repeats_nothing(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(two, room=ann.room)
        c.bus.freeze("api-1")
        for number in range(20):
            await ann.say(number)
            await bob.say(number)
            await trio.sleep(0.1)
        c.bus.heal("api-1")
        await trio.sleep(2)
        assert ann.messages == bob.messages
        assert len(ann.messages) == 40
        assert ann.socket.closed is None


async def test_a_link_that_is_reset_is_renewed_and_no_socket_is_closed(
    autojump_clock: MockClock,
) -> None:
    """The links are dropped by the game node, as if its api nodes had been silent."""
    async with two_api_nodes() as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(two, room=ann.room)
        for _ in range(3):
            game.drop_links()
            await ann.say("from ann")
            await bob.say("from bob")
            await trio.sleep(2)
        assert ann.messages == bob.messages
        assert [d["said"] for _, d in ann.messages].count("from ann") == 3
        assert len(ann.messages) == 6
        assert (ann.socket.closed, bob.socket.closed) == (None, None)


async def test_when_the_ring_overflows_the_link_is_reset_and_players_still_get_all_messages(
    autojump_clock: MockClock,
) -> None:
    """An api node is frozen for 2 s: only 20 items wait for it, the rest is replayed later."""
    async with two_api_nodes(links=LinkPolicy(ring_items=20, ring_items_max=20)) as (
        c,
        game,
        one,
        two,
    ):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(two, room=ann.room)
        c.bus.freeze("api-1")
        for number in range(100):
            await bob.say(number)
            await trio.sleep(0.02)
        rings = [link.ring for link in game.links.values()]
        assert all(ring.head - ring.confirmed <= 20 for ring in rings)
        c.bus.heal("api-1")
        await trio.sleep(3)
        assert [d["said"] for _, d in bob.messages] == list(range(100))
        assert ann.messages == bob.messages
        assert ann.heard_once


async def test_a_client_of_a_silent_game_node_is_moved_and_keeps_its_place(
    autojump_clock: MockClock,
) -> None:
    """Only the link of api-1 is cut: after 3 s its clients are moved, and resume on api-2."""
    async with two_api_nodes() as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(two, room=ann.room)
        c.bus.break_link("api-1", "game-1")
        start = trio.current_time()
        assert await ann.socket.close_code() == 1012
        assert 2.5 <= trio.current_time() - start <= 5
        assert ann.socket.heard[-1]["t"] == "move"
        await ann.resume(two)
        await ann.say("back")
        await bob.hear_data({"from": ann.you, "said": "back"})
        await ann.hear_data({"from": ann.you, "said": "back"})


async def test_a_drain_waits_for_the_players_of_an_api_node_that_missed_the_end(
    autojump_clock: MockClock,
) -> None:
    """Its link is cut 0.5 s before the room ends, and dropped 3 s later without a confirmation."""
    async with two_api_nodes() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 2})
        start = trio.current_time()
        game.signal()
        await trio.sleep(1.5)
        c.bus.break_link("api-1", "game-1")
        assert await ann.socket.close_code() == 1012
        await ann.resume(two)
        ended = await ann.socket.hear("ended")
        assert (ended["reason"], ann.messages[-1][1]) == ("finished", {"left": 0})
        await game.gone.wait()
        assert game.exit_code == CLEAN
        assert trio.current_time() - start < 7


async def test_a_resume_is_not_refused_for_good_while_the_game_node_is_unreachable(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        ann.socket.drop()
        await trio.sleep(0.1)
        c.bus.freeze("game-1")
        await trio.sleep(0.5)
        socket = await ann.send_resume(two)
        start = trio.current_time()
        assert await socket.close_code() == 1013
        assert trio.current_time() - start == pytest.approx(3, abs=0.3)
        c.bus.heal("game-1")
        await trio.sleep(1)
        await ann.resume(two)


async def test_a_game_node_that_was_stopped_for_8_s_reads_a_resume_before_it_frees_the_seat(
    autojump_clock: MockClock,
) -> None:
    """The kind keeps a seat for 5 s. The resume arrives in the first second, and waits unread."""

    @room("hasty", seats=2, resume_seconds=5)
    async def hasty(table: Room) -> None:
        async for event in table:
            if isinstance(event, Left):
                table.broadcast("left")

    async with two_api_nodes(hasty) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="hasty")
        await bob.join(two, kind="hasty")
        ann.socket.drop()
        await trio.sleep(0.6)
        c.bus.freeze("game-1")
        socket = await ann.send_resume(two)
        await trio.sleep(0.1)
        autojump_clock.jump(8)
        c.bus.heal("game-1")
        assert (await socket.hear("resumed"))["complete"]
        assert bob.messages == []


async def test_the_places_of_a_killed_game_node_are_lost(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        game, other = c.game("game-1"), c.game("game-2")
        one, two = c.api("api-1"), c.api("api-2")
        await c.ready(game, other, one, two)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge", new=True)
        await bob.join(one, room=ann.room)
        killed = game if ann.room.startswith("game-1.") else other
        bob.socket.drop()
        await trio.sleep(0.1)
        killed.kill()
        assert (await ann.socket.hear("ended"))["reason"] == "node_lost"
        await trio.sleep(1)
        assert await (await bob.send_resume(two)).close_code() == 4004


async def test_repeated_requests_and_dropped_feed_messages_change_nothing(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        c.bus.faults.drop = 0.2
        c.bus.faults.repeat_request = 0.2
        c.bus.faults.delay_seconds = 0.02
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(two, room=ann.room)
        for number in range(30):
            await ann.say(number)
            await bob.say(number)
            if number % 10 == 9:
                ann.socket.drop()
                await ann.resume(two if number == 9 else one)
            await trio.sleep(0.05)
        await trio.sleep(3)
        all_messages = dict(bob.messages)
        of_ann = [d["said"] for d in all_messages.values() if d["from"] == ann.you]
        of_bob = [d["said"] for d in all_messages.values() if d["from"] == bob.you]
        assert of_bob == list(range(30))
        assert of_ann == list(range(30))
        assert bob.heard_once
        assert ann.heard_once
        assert dict(ann.messages).items() <= all_messages.items()
