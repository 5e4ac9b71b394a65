"""A game node stops for a while and goes on: no player there hears that their place is gone."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.policy import LinkPolicy
from lastcall.reasons import Close
from tests.harness.cluster import ApiProcess, cluster
from tests.harness.player import Player

STOPS = [step / 2 for step in range(1, 41)]
STOPPED = LinkPolicy(silence_seconds=60, lost_seconds=60)
"""Of a game node: time did not pass for it while it was stopped, so its links are not silent."""


async def resume_until_answered(player: Player, api: ApiProcess) -> int:
    """Resumes as a client does, again after each 1013; returns the final close code, or 0."""
    while True:
        socket = await player.send_resume(api)
        with trio.move_on_after(20):
            while socket.closed is None and not any(f["t"] == "resumed" for f in socket.heard):
                await trio.sleep(0.05)
        if socket.closed is None:
            return 0
        if socket.closed not in {Close.TRY_AGAIN_LATER, Close.SERVICE_RESTART, 1006}:
            return socket.closed
        await trio.sleep(0.5)


@pytest.mark.parametrize("games", [1, 3])
@pytest.mark.parametrize("seconds", STOPS)
async def test_a_stop_of_the_game_node_costs_no_place(
    seconds: float, games: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        nodes = [c.game(f"game-{number}", links=STOPPED) for number in range(1, games + 1)]
        api = c.api("api-1")
        await c.ready(*nodes, api)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="lounge")
        await bob.join(api, room=ann.room)
        home = next(game for game in nodes if game.rooms)
        c.bus.freeze(home.name)
        await trio.sleep(seconds / 2)
        ann.socket.drop()
        await trio.sleep(seconds / 2)
        c.bus.heal(home.name)
        assert await resume_until_answered(ann, api) == 0
        assert home.rooms == 1
