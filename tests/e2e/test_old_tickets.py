"""Old tickets and guesses of one address, over real sockets: only these have an address."""

from __future__ import annotations

import pytest
import trio

from tests.e2e.clients import Clients
from tests.e2e.nodes import Node, Nodes

pytestmark = pytest.mark.e2e


async def close_of_resume(clients: Clients, api: Node, ticket: str) -> int:
    client = await clients.connect(api)
    await client.send({"t": "resume", "ticket": ticket, "seen": 0})
    return await client.close_code()


async def test_60_old_tickets_of_an_address_hold_no_resume_back_and_guesses_are_refused(
    nodes: Nodes, clients: Clients
) -> None:
    game = nodes.game()
    await game.wait_started()
    api = nodes.api(game.listen)
    await api.wait_ready()
    guest = await clients.connect(api)
    old = []
    for _ in range(60):
        old.append(str((await guest.join(kind="lounge"))["ticket"]))
        await guest.send({"t": "leave"})
        await guest.hear("ended")
    ann = await clients.connect(api)
    joined = await ann.join(kind="lounge")
    ann.close()
    for ticket in old:
        assert await close_of_resume(clients, api, ticket) == 4004
    client = await clients.connect(api)
    start = trio.current_time()
    await client.send({"t": "resume", "ticket": joined["ticket"], "seen": 0})
    await client.hear("resumed")
    assert trio.current_time() - start < 1.0, "at once, plus the time that this machine needs"
    start = trio.current_time()
    codes = [await close_of_resume(clients, api, "game-1.den/p1/wr0ng") for _ in range(60)]
    seconds = trio.current_time() - start
    assert set(codes) == {4004, 1013}
    assert 20 <= codes.count(4004) <= 20 + 5 * seconds + 1
