"""An input whose value cannot be read is refused, counts, and costs the player nothing else."""

from __future__ import annotations

import math

from trio.testing import MockClock

from tests.harness.cluster import cluster
from tests.harness.player import Player

ODD = ["half an emoji: \ud83d", math.nan, [-math.inf], {"\ud83d": 1}, "a\x00b", 2**53 + 1, 10**29]
"""Values as JSON writers of other languages write them; the last three are JSON."""


async def test_unreadable_inputs_in_a_row_leave_neither_a_gap_nor_a_strike(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game, api = c.game("game-1"), c.api("api-1")
        await c.ready(game, api)
        ann = Player(c.nursery)
        await ann.join(api, kind="lounge")
        refused = []
        for value in ODD:
            await ann.say(value)
            if ODD.index(value) < 4:
                error = await ann.socket.hear("error")
                refused.append((error["code"], error["n"]))
            else:
                await ann.hear_data({"from": ann.you, "said": value})
        assert refused == [("bad_input", n) for n in range(1, 5)]
        await ann.say("still here")
        await ann.hear_data({"from": ann.you, "said": "still here"})
