"""An api node is ready while it can serve somebody: new rooms, or players of rooms that live."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.policy import DrainPolicy
from tests.harness.cluster import CLEAN, Cluster, cluster
from tests.harness.player import Player

pytestmark = pytest.mark.usefixtures("schedule")

LONG = DrainPolicy(grace_seconds=60, farewell_seconds=3)


async def join_refused(c: Cluster, player: Player, api: object) -> tuple[str, bool]:
    socket = await player.dial(api)  # type: ignore[arg-type]
    await socket.send(t="join", kind="lounge")
    error = await socket.hear("error")
    return error["code"], error["retry"]


async def test_players_of_the_only_game_node_find_their_way_back_while_it_drains(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game, one, two = c.game(drain=LONG), c.api("api-1"), c.api("api-2")
        await c.ready(game, one, two)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(one, room=ann.room)
        game.signal()
        ann.socket.drop()
        await trio.sleep(1)
        assert (one.node.unready, two.node.unready) == ("", "")
        await ann.resume(two)
        assert await join_refused(c, Player(c.nursery), two) == ("no_game_node", True)
        for player in (ann, bob):
            await player.socket.send(t="leave")
        await game.gone.wait()
        await trio.sleep(1)
        assert all(api.node.unready for api in (one, two))
        assert game.exit_code == CLEAN


async def test_cordoned_game_nodes_keep_an_api_node_ready_while_they_have_rooms(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        games = [c.game("game-1"), c.game("game-2")]
        api = c.api()
        await c.ready(*games, api)
        ann = Player(c.nursery)
        await ann.join(api, kind="lounge")
        for game in games:
            game.drain.cordon()
        await trio.sleep(0.2)
        assert not api.node.unready
        await ann.socket.send(t="leave")
        await ann.socket.hear("ended")
        await trio.sleep(0.2)
        assert api.node.unready
        games[1].drain.uncordon()
        await trio.sleep(0.2)
        assert not api.node.unready
