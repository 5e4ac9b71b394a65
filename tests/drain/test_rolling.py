"""Rolling updates: several generations, rollbacks, clocks that jump, joins in flight."""

from __future__ import annotations

import contextlib

import pytest
import trio
from trio.testing import MockClock

from lastcall.core.lifecycle import Phase
from lastcall.errors import JoinRefused, NodeGone
from lastcall.policy import DrainPolicy
from tests.harness.cluster import CLEAN, CUT, cluster, finished

pytestmark = pytest.mark.usefixtures("schedule")


async def test_clients_in_rooms_of_a_draining_game_node_get_the_seconds_left(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(drain=DrainPolicy(grace_seconds=10))
        api = c.api()
        await c.ready(game, api)
        inside, outside = await c.client(api), await c.client(api)
        await inside.join(kind="lounge")
        game.signal()
        await trio.sleep(0.1)
        assert inside.draining is not None
        assert (inside.draining.tier, inside.draining.seconds) == ("game", 7)
        assert outside.draining is None


async def test_a_join_to_a_draining_node_is_refused_and_to_a_stopped_one_raises_node_gone(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        game.signal()
        with trio.fail_after(1), pytest.raises(JoinRefused) as refused:
            await client.join(kind="lounge")
        assert refused.value.retry
        await game.gone.wait()
        with trio.fail_after(1), pytest.raises(NodeGone) as gone:
            await client.join(kind="lounge")
        assert (gone.value.code, gone.value.retry) == ("no_game_node", True)


async def test_a_join_in_flight_to_a_killed_node_raises_node_gone(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        c.bus.freeze("game-1")
        start = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def join() -> None:
                with pytest.raises(NodeGone):
                    await client.join(kind="lounge")

            nursery.start_soon(join)
            await trio.sleep(0.2)
            c.bus.heal("game-1")
            game.kill()
        assert trio.current_time() - start <= 2.5


async def test_three_generations_drain_at_once_and_each_room_finishes(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        for number in range(1, 5):
            c.address(f"game-{number}")
        api = c.api()
        places = []
        generations = []
        for number in range(1, 5):
            game = c.game(f"game-{number}", version=str(number))
            await c.ready(game, api)
            with trio.fail_after(5):
                while f"game-{number}" not in {node.name for node in api.node.games.known}:
                    await trio.sleep(0.01)
            client = await c.client(api)
            place = await client.join(kind="countdown", options={"seconds": 10}, new=True)
            assert place.room.startswith(f"game-{number}.")
            places.append(place)
            if generations:
                generations[-1].signal()
            generations.append(game)
            await trio.sleep(1)
        assert [game.drain.phase for game in generations] == [Phase.DRAINING] * 3 + [Phase.SERVING]
        assert [await finished(place) for place in places] == ["finished"] * 4
        for game in generations[:3]:
            await game.gone.wait()
            assert game.exit_code == CLEAN


async def test_new_rooms_open_on_the_newest_node_even_in_a_rollback(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        for number in range(1, 4):
            c.address(f"game-{number}")
        c.game("game-1", version="1")
        api = c.api()
        await trio.sleep(3)
        for name, version in (("game-2", "2"), ("game-3", "1-again")):
            c.game(name, version=version)
            await trio.sleep(3)
            for _ in range(3):
                place = await (await c.client(api)).join(kind="lounge", new=True)
                assert place.room.startswith(f"{name}.")


async def test_a_clock_that_jumps_by_20_s_costs_no_player_their_place(
    autojump_clock: MockClock,
) -> None:
    """After a suspended machine or a debugger, a node must not take its own stall for silence."""
    async with cluster() as c:
        api, game = await c.one_of_each()
        place = await (await c.client(api)).join(kind="lounge")
        await trio.sleep(1)
        autojump_clock.jump(20)
        await trio.sleep(3)
        await place.say("hello")
        assert (await place.__anext__()).data == {"from": place.you, "said": "hello"}
        game.signal()
        await trio.sleep(1)
        autojump_clock.jump(22)
        await game.gone.wait()
        assert game.exit_code == CUT
        assert await finished(place) == "cut"


async def test_further_signals_after_the_second_change_nothing(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        await (await c.client(api)).join(kind="lounge")
        for _ in range(5):
            game.signal()
        await game.gone.wait()
        game.signal()
        assert game.exit_code == CUT


async def test_repeated_joins_to_an_unknown_room_do_not_delay_a_drain(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)

        async def ask() -> None:
            while True:
                with contextlib.suppress(JoinRefused):
                    await client.join(room="game-1.gone")
                await trio.sleep(0.25)

        c.nursery.start_soon(ask)
        await trio.sleep(1)
        start = trio.current_time()
        game.signal()
        await game.gone.wait()
        assert game.exited_at - start <= 0.6
        assert game.exit_code == CLEAN
