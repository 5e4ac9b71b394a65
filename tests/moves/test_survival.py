"""A room outlives its node, and no player notices more than a short silence."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import cluster
from tests.moves.survivors import SURVIVORS
from tests.moves.talks import players, start, talk, undisturbed

in_any_order = pytest.mark.usefixtures("schedule")
TWO = {"game-1": SURVIVORS, "game-2": SURVIVORS}


async def test_a_room_whose_node_is_killed_goes_on_at_its_standby(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, (one, two) = await start(c, TWO)
        speakers = await players(c, api, "ark", 3)
        assert await talk(speakers, "a") == {"said": "a", "count": 1, "moves": 0}
        await trio.sleep(1)
        one.kill()
        began = trio.current_time()
        assert await talk(speakers, "b") == {"said": "b", "count": 2, "moves": 1}
        assert trio.current_time() - began < 1.5
        assert (two.rooms, two.node.host.players) == (1, 3)
        assert undisturbed(speakers)
