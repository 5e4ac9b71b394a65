"""The law of healing links: whatever becomes of them, nothing is lost and nothing comes twice."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster
from tests.harness.player import Player


@pytest.mark.parametrize("seed", range(60))
async def test_each_input_and_each_message_arrives_once_whatever_happens_to_the_links(
    autojump_clock: MockClock, seed: int
) -> None:
    """Resets by either side, short cuts and freezes, drops and repeats, in every mixture."""
    rng = random.Random(seed)
    async with cluster(seed) as c:
        game = c.game()
        apis = [c.api("api-1"), c.api("api-2")]
        await c.ready(game, *apis)
        players = [Player(c.nursery) for _ in range(4)]
        for index, player in enumerate(players):
            await player.join(apis[index % 2], kind="lounge")
            await trio.sleep(rng.random() / 10)
        c.bus.faults.drop = rng.choice([0, 0.1])
        c.bus.faults.repeat_request = rng.choice([0, 0.1])
        c.bus.faults.delay_seconds = rng.choice([0, 0.01])
        for _ in range(60):
            for player in players:
                if rng.random() < 0.5:
                    await player.say(player.said)
            _harm_a_link(c, rng, game, apis)
            await trio.sleep(rng.random() / 10)
            if rng.random() < 0.3:
                for place in ("api-1", "api-2"):
                    c.bus.heal(place)
        for place in ("api-1", "api-2"):
            c.bus.heal(place)
        c.bus.faults.drop = c.bus.faults.repeat_request = 0
        await trio.sleep(8)
        assert [player.socket.closed for player in players] == [None] * 4
        for index, player in enumerate(players):
            assert player.heard_once
            said = [d["said"] for _, d in player.messages if d["from"] == player.you]
            assert said == list(range(player.said)), index
        everything = players[0].messages
        for player in players[1:]:
            assert player.messages == [m for m in everything if m[0] > player.base]
        assert [len(api.node.games.reattacher) for api in apis] == [0, 0]


def _harm_a_link(c: Cluster, rng: random.Random, game: GameProcess, apis: list[ApiProcess]) -> None:
    match rng.randrange(12):
        case 0:
            for link in list(game.node._links._links.values()):
                game.node._links.attachments.drop(link.id, "as the test wants it")
        case 1:
            for link in list(rng.choice(apis).node.games.connectors._links.values()):
                link.reset()
        case 2:
            c.bus.break_link(rng.choice(["api-1", "api-2"]))
        case 3:
            c.bus.freeze(rng.choice(["api-1", "api-2"]))
