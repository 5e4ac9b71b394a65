"""Game nodes that are listed and cannot be reached: when resumes are decided without them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.harness import orders
from tests.harness.cluster import ApiProcess, cluster
from tests.harness.player import Player

pytestmark = pytest.mark.usefixtures("schedule")

DOUBT_SECONDS = 6
HINTED_SECONDS = 30


async def close_of_resume(player: Player, api: ApiProcess, ticket: str) -> int:
    socket = await player.send_resume(api, ticket=ticket, seen=0)
    return await socket.close_code()


async def test_an_address_at_which_nobody_ever_answered_delays_4004_for_6_s(
    autojump_clock: MockClock,
) -> None:
    """Its machine is dead from the beginning, and swallows every attempt to connect."""
    async with cluster() as c:
        game = c.game("game-1")
        dead = c.address("game-dead")
        c.bus.break_link(dead.url)
        started_at = trio.current_time()
        api = c.api()
        await c.ready(game, api)
        player = Player(c.nursery)
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 1013
        await trio.sleep_until(started_at + DOUBT_SECONDS + 0.5)
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 4004


async def test_an_api_node_that_was_cut_off_doubts_an_address_for_6_s_again(
    autojump_clock: MockClock,
) -> None:
    """Somebody may have started there meanwhile, and have got the room."""
    async with cluster() as c:
        game = c.game("game-1")
        dead = c.address("game-dead")  # until the partition, it refuses
        api = c.api()
        await c.ready(game, api)
        player = Player(c.nursery)
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 4004
        c.bus.break_link(api.name)
        await trio.sleep(2 * DOUBT_SECONDS)
        c.bus.heal(api.name)
        c.bus.break_link(dead.url)
        await c.ready(api)
        answered_at = trio.current_time()
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 1013
        await trio.sleep_until(answered_at + DOUBT_SECONDS + 0.5)
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 4004


@orders(3)
async def test_a_ticket_that_names_a_node_not_attached_waits_30_s_for_an_address_without_a_name(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game("game-1")
        dead = c.address("game-dead")
        c.bus.break_link(dead.url)
        started_at = trio.current_time()
        api = c.api()
        await c.ready(game, api)
        player = Player(c.nursery)
        await trio.sleep_until(started_at + HINTED_SECONDS - 5)
        assert await close_of_resume(player, api, "game-dead.den/p1/5ec7e7") == 1013
        await trio.sleep_until(started_at + HINTED_SECONDS + 1)
        assert await close_of_resume(player, api, "game-dead.den/p1/5ec7e7") == 4004


async def test_a_node_that_dies_without_a_word_keeps_its_own_players_waiting_and_no_others(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _, _ = await c.two_games()
        player = Player(c.nursery)
        c.bus.break_link("game-2")
        lost_at = trio.current_time() + DOUBT_SECONDS
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 1013
        await trio.sleep_until(lost_at + DOUBT_SECONDS + 1)
        assert await close_of_resume(player, api, "game-1.gone/p1/5ec7e7") == 4004
        await trio.sleep_until(lost_at + HINTED_SECONDS - 5)
        assert await close_of_resume(player, api, "game-2.den/p1/5ec7e7") == 1013
        await trio.sleep_until(lost_at + HINTED_SECONDS + 1)
        assert await close_of_resume(player, api, "game-2.den/p1/5ec7e7") == 4004


@orders(3)
async def test_a_node_that_comes_back_after_40_s_still_has_its_places(
    autojump_clock: MockClock,
) -> None:
    """The other api node reached it all the time."""
    async with cluster() as c:
        api, _, _ = await c.two_games()
        other = c.api("api-2")
        await c.ready(other)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(other, kind="lounge", new=True)
        await bob.join(other, kind="lounge", new=True)
        assert {ann.room.partition(".")[0], bob.room.partition(".")[0]} == {"game-1", "game-2"}
        for name in ("game-1", "game-2"):
            c.bus.break_link(name, api.name)
        await trio.sleep(40)
        for name in ("game-1", "game-2"):
            c.bus.heal(name)
        await trio.sleep(3)
        for player in (ann, bob):
            player.socket.drop()
            await player.resume(api)
