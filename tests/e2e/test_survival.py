"""Rooms outlive real game nodes, over real links."""

from __future__ import annotations

from signal import SIGKILL

import pytest
import trio

from tests.e2e.clients import Clients
from tests.e2e.nodes import ANY_URL, POLL_SECONDS, Node, Nodes
from tests.e2e.test_hand_off import talk
from tests.e2e.test_peers import wait_for_peers

pytestmark = pytest.mark.e2e


async def wait_for_metric(node: Node, line: str) -> None:
    with trio.fail_after(15):
        while line not in (await node.get("/metrics")).body:
            await trio.sleep(POLL_SECONDS)


async def test_a_lounge_goes_on_when_its_node_is_killed_and_its_clients_keep_their_sockets(
    nodes: Nodes, clients: Clients
) -> None:
    one, two = games = [
        nodes.game("--games", nodes.games_file(), "--feed", ANY_URL) for _ in range(2)
    ]
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
    await wait_for_metric(one, "lastcall_rooms_protected 1.0")
    one.signal(SIGKILL)
    began = trio.current_time()
    await talk(talkers, "after")
    assert trio.current_time() - began < 5
    await two.wait_for_status(5, rooms=1)
    assert [talker.seqs for talker in talkers] == [[1, 2]] * 3
    await wait_for_metric(two, "lastcall_promotions_total 1.0")
