"""A room moves between real game nodes, over real links."""

from __future__ import annotations

import pytest
import trio

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import ANY_URL, Nodes
from tests.e2e.test_peers import wait_for_peers

pytestmark = pytest.mark.e2e

GRACE = ("--grace", "4", "--farewell", "3")


async def talk(clients: list[Client], said: str) -> None:
    """The first client says something, and all hear it."""
    await clients[0].say(said)
    for client in clients:
        while (await client.hear("msg"))["d"]["said"] != said:
            pass


async def test_a_lounge_without_an_end_moves_at_the_deadline_and_its_clients_notice_nothing(
    nodes: Nodes, clients: Clients
) -> None:
    listed = ("--games", nodes.games_file(), "--feed", ANY_URL, *GRACE)
    one, two = games = [nodes.game(*listed) for _ in range(2)]
    for game in games:
        await game.wait_started()
    api = nodes.api(nodes.games_file(*games))
    await api.wait_ready()
    await wait_for_peers(1, *games)
    talkers = [await clients.connect(api) for _ in range(3)]
    room = (await talkers[0].join(kind="lounge", new=True))["room"]
    for talker in talkers[1:]:
        await talker.join(room=room)
    await talk(talkers, "before")
    if room.partition(".")[0] != one.name:
        one, two = two, one
    one.signal()
    await talk(talkers, "while it drains")
    began = trio.current_time()
    assert await one.exit_code(within=5) == 0
    assert trio.current_time() - began < 3
    report = one.event("drain.finished")
    assert report is not None
    assert (report["rooms_handed_off"], report["rooms_cut"]) == (1, 0)
    await talk(talkers, "after")
    await two.wait_for_status(5, rooms=1)
    assert [talker.seqs for talker in talkers] == [[1, 2, 3]] * 3
    assert one.warnings == two.warnings == []
