"""A match that has not started is regrouped: its players wait at another game node."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock

from lastcall import Room, room
from lastcall.ids import KindName
from tests.drain.sockets import websocket_over
from tests.harness.cluster import CLEAN, cluster, soon

pytestmark = pytest.mark.usefixtures("schedule")


async def test_a_half_filled_match_is_regrouped_and_played_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, first, _ = await c.two_games()
        client = await c.client(api)
        ann = await client.join(kind="tictactoe", name="ann")
        you = ann.you
        assert ann.room.startswith("game-1.")
        first.signal()
        await first.gone.wait()
        assert first.exit_code == CLEAN
        assert first.counts is not None
        assert (first.counts.rooms_regrouped, first.counts.rooms_cut) == (1, 0)
        with trio.fail_after(1):
            while not ann.regroups:
                await trio.sleep(0.01)
        assert ann.room.startswith("game-2.")
        assert ann.you != you
        bob = await (await c.client(api)).join(kind="tictactoe", name="bob")
        assert bob.room == ann.room
        message = await ann.__anext__()
        assert message.data == {"board": "---------", "turn": ann.you}
        await ann.say({"cell": 4})
        assert (await ann.__anext__()).data == {"board": "----X----", "turn": bob.you}


async def test_a_match_that_cannot_be_regrouped_within_5_s_ends_as_abandoned(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        place = await client.join(kind="tictactoe")
        start = trio.current_time()
        game.signal()
        await game.gone.wait()
        assert trio.current_time() - start == soon(0)
        async for _ in place:
            pass
        assert place.ended is not None
        assert place.ended.reason == "abandoned"
        assert trio.current_time() - start == soon(5)


async def test_a_player_who_leaves_during_a_regroup_gets_no_seat_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        for name in ("game-1", "game-2"):
            c.address(name)
        game, api = c.game("game-1"), c.api()
        await c.ready(game, api)
        place = await (await c.client(api)).join(kind="tictactoe")
        game.signal()
        await game.gone.wait()
        await place.leave()
        assert place.ended is not None
        assert place.ended.reason == "left"
        second = c.game("game-2")
        await c.ready(second)
        await trio.sleep(4)
        assert second.rooms == 0  # no api node asks for a seat for this player any more


async def test_a_regrouped_room_keeps_its_options(
    autojump_clock: MockClock,
) -> None:
    seen: list[object] = []

    @room("pair", seats=2, starts=2)
    async def pair(table: Room) -> None:
        seen.append((table.options, [table.name_of(player) for player in table.players]))
        await trio.sleep_forever()

    async with cluster() as c:
        kinds = {KindName("pair"): pair}
        api, first, second = await c.two_games(kinds=kinds)
        await (await c.client(api)).join(kind="pair", options={"best_of": 3}, name="ann")
        first.signal()
        await first.gone.wait()
        await trio.sleep(0.1)
        assert seen == [({"best_of": 3}, ["ann"])] * 2
        assert second.rooms == 1


async def test_inputs_to_the_old_room_do_not_reach_the_regrouped_one(
    autojump_clock: MockClock,
) -> None:
    """They were sent, like a ``got`` for the old room, before the second ``joined`` was read."""
    async with cluster() as c:
        api, first, _ = await c.two_games()
        stream = await api.listener.connect()
        bob = await c.stack.enter_async_context(websocket_over(stream))
        await bob.get_message()
        await bob.send_message('{"t":"join","kind":"tictactoe"}')
        first_joined = json.loads(await bob.get_message())
        first.signal()
        second_joined = json.loads(await bob.get_message())
        while second_joined["t"] != "joined":
            second_joined = json.loads(await bob.get_message())
        old_room = first_joined["room"]
        assert second_joined["room"] != old_room
        await bob.send_message(f'{{"t":"got","seq":0,"room":"{old_room}"}}')
        for n in (1, 5, 6, 7):
            await bob.send_message(f'{{"t":"say","n":{n},"d":{{"cell":0}}}}')
        await trio.sleep(0.1)
        ann = await (await c.client(api)).join(kind="tictactoe")
        assert ann.room == second_joined["room"]
        await bob.send_message('{"t":"got","seq":0}')
        await bob.send_message('{"t":"say","n":1,"d":{"cell":8}}')
        boards = [(await ann.__anext__()).data for _ in range(2)]
        assert [board["board"] for board in boards] == ["---------", "--------X"]
