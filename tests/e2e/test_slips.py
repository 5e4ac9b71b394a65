"""Whatever the code of a room does wrong, its node and the node's other rooms go on."""

from __future__ import annotations

import pytest

from tests.e2e.clients import Clients, undisturbed
from tests.e2e.nodes import Nodes
from tests.host.slips import KINDS

pytestmark = pytest.mark.e2e


async def test_each_slip_of_an_author_ends_its_own_room(nodes: Nodes, clients: Clients) -> None:
    api, game = await nodes.start_pair(rooms="game.examples,tests.host.slips")
    async with undisturbed(clients, api):
        player = await clients.connect(api)
        for kind in KINDS:
            await player.join(kind=kind, new=True)
            assert (await player.hear("ended", within=30))["reason"] == "crashed"
    crashed = {event["room"] for event in game.events if event["event"] == "room.crashed"}
    assert len(crashed) == len(KINDS)
    assert (await game.status())["phase"] == "serving"
