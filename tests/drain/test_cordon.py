"""A cordoned node refuses new work but does not exit; an uncordon reverts it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.errors import ConnectFailed, WrongEvent
from tests.harness.cluster import CLEAN, cluster

pytestmark = pytest.mark.usefixtures("schedule")


async def test_a_cordoned_game_node_gets_no_new_rooms_and_its_rooms_continue(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, first, _ = await c.two_games()
        place = await (await c.client(api)).join(kind="lounge", new=True)
        assert place.room.startswith("game-1.")
        first.drain.cordon()
        await trio.sleep(0.1)
        for _ in range(4):
            new = await (await c.client(api)).join(kind="lounge", new=True)
            assert new.room.startswith("game-2.")
        friend = await (await c.client(api)).join(room=place.room)
        await friend.say("still here")
        assert (await place.__anext__()).data == {"from": friend.you, "said": "still here"}


async def test_a_join_at_the_same_time_as_the_cordon_gets_a_seat_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, first, _ = await c.two_games()
        client = await c.client(api)
        first.drain.cordon()
        place = await client.join(kind="lounge")
        assert place.room.startswith("game-2.")


async def test_an_uncordoned_game_node_gets_rooms_again(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        game.drain.cordon()
        await trio.sleep(0.1)
        assert api.node.unready
        game.drain.uncordon()
        await trio.sleep(0.1)
        assert not api.node.unready
        assert (await (await c.client(api)).join(kind="lounge")).room


async def test_a_cordoned_api_node_refuses_new_clients_with_503_and_keeps_connected_ones(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        client = await c.client(api)
        api.drain.cordon()
        with pytest.raises(ConnectFailed, match="503"):
            await c.client(api)
        assert (await client.join(kind="lounge")).room
        api.drain.uncordon()
        assert (await (await c.client(api)).join(kind="lounge")).room


async def test_a_node_drains_after_a_cordon_and_an_uncordon(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        for process in (api, game):
            process.drain.cordon()
            process.drain.uncordon()
            process.signal()
            await process.gone.wait()
            assert process.exit_code == CLEAN


async def test_a_cordoned_node_can_drain(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        place = await (await c.client(api)).join(kind="countdown", options={"seconds": 3})
        game.drain.cordon()
        game.signal()
        async for _ in place:
            pass
        assert place.ended is not None
        assert place.ended.reason == "finished"
        await game.gone.wait()
        assert game.exit_code == CLEAN


async def test_a_draining_node_cannot_be_cordoned(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        await (await c.client(api)).join(kind="lounge")
        game.signal()
        await trio.sleep(0.1)
        with pytest.raises(WrongEvent, match="cordon is for a node that is serving; this one is d"):
            game.drain.cordon()
