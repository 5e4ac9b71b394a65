"""A game node that ``--games`` does not name any more: no new rooms, and the old ones continue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from lastcall.links.sources import parse_games
from tests.drain.test_ready import join_refused
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster
from tests.harness.player import Player
from tests.links.test_discovery import FakeResolver

pytestmark = pytest.mark.usefixtures("schedule")

NOTICED_SECONDS = 2.5
"""A name is looked up every 2 s."""


@asynccontextmanager
async def named_nodes(
    *named: str,
) -> AsyncIterator[tuple[Cluster, FakeResolver, ApiProcess, dict[str, GameProcess]]]:
    """An api node that finds game-1 and game-2 by a name, which leads to ``named`` at first."""
    resolver = FakeResolver()
    resolver.addresses = list(named)
    trio.socket.set_custom_hostname_resolver(resolver)
    async with cluster() as c:
        games = {name: c.game(name) for name in ("game-1", "game-2")}
        api = c.api(games=parse_games("dns://games:7101"))
        await c.ready(*games.values(), api)
        yield c, resolver, api, games


async def test_it_gets_no_new_rooms_until_it_is_named_again(autojump_clock: MockClock) -> None:
    async with named_nodes("game-1", "game-2") as (c, resolver, api, games):
        resolver.addresses = ["game-2"]
        await trio.sleep(NOTICED_SECONDS)
        for _ in range(4):
            await Player(c.nursery).join(api, kind="lounge", new=True)
        assert (games["game-1"].rooms, games["game-2"].rooms) == (0, 4)
        resolver.addresses = ["game-1", "game-2"]
        await trio.sleep(NOTICED_SECONDS)
        for _ in range(4):
            await Player(c.nursery).join(api, kind="lounge", new=True)
        assert (games["game-1"].rooms, games["game-2"].rooms) == (4, 4)


async def test_its_rooms_continue_and_their_players_resume_and_bring_friends(
    autojump_clock: MockClock,
) -> None:
    async with named_nodes("game-1") as (c, resolver, api, games):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="lounge")
        resolver.addresses = ["game-2"]
        await trio.sleep(NOTICED_SECONDS)
        games["game-1"].drop_links()
        await trio.sleep(1)
        await bob.join(api, room=ann.room)
        ann.socket.drop()
        await trio.sleep(1)
        await ann.resume(api)
        await ann.say("still here")
        await bob.hear_data({"from": ann.you, "said": "still here"})
        await Player(c.nursery).join(api, kind="lounge", new=True)
        assert (games["game-1"].rooms, games["game-2"].rooms) == (1, 1)


async def test_without_rooms_it_does_not_make_an_api_node_ready(autojump_clock: MockClock) -> None:
    async with named_nodes("game-1") as (c, resolver, api, games):
        ann = Player(c.nursery)
        await ann.join(api, kind="lounge")
        resolver.addresses = ["game-3"]  # where nothing listens
        await trio.sleep(NOTICED_SECONDS)
        assert not api.node.unready
        assert await join_refused(c, Player(c.nursery), api) == ("no_game_node", True)
        await ann.socket.send(t="leave")
        await ann.socket.hear("ended")
        await trio.sleep(1)
        assert games["game-1"].rooms == 0
        assert api.node.unready


async def test_a_join_that_waits_gets_a_seat_as_soon_as_it_is_named_again(
    autojump_clock: MockClock,
) -> None:
    async with named_nodes("game-1") as (c, resolver, api, _):
        resolver.addresses = ["game-3"]
        await trio.sleep(3.5)  # looked up at 2, 4 … s
        resolver.addresses = ["game-1"]
        player = Player(c.nursery)
        await player.join(api, kind="lounge")
        assert player.room.startswith("game-1.")
        assert trio.current_time() == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("both_first", [False, True])
async def test_a_node_whose_address_is_written_in_another_way_gets_rooms_still(
    autojump_clock: MockClock, both_first: bool
) -> None:
    """Its link stays at the first address: the node says at the second one that it is attached."""
    first, second = "127.0.0.1", "localhost"
    resolver = FakeResolver()
    resolver.addresses = [first]
    trio.socket.set_custom_hostname_resolver(resolver)
    async with cluster() as c:
        game = c.game("game-1", where=first)
        api = c.api(games=parse_games("dns://games:7101"))
        await c.ready(game, api)
        bound = c.bus._net._bound
        bound[f"tcp://{second}:7101"] = bound[f"tcp://{first}:7101"]
        if both_first:
            resolver.addresses = [first, second]
            await trio.sleep(NOTICED_SECONDS)
        resolver.addresses = [second]
        await trio.sleep(2 * NOTICED_SECONDS)
        assert not api.node.unready
        await Player(c.nursery).join(api, kind="lounge")
        assert game.rooms == 1
