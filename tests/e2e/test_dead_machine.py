"""A listed address that swallows every attempt to connect, as a machine without power does."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from tests.e2e.clients import Clients
from tests.e2e.nodes import Nodes

pytestmark = pytest.mark.e2e

DECIDED_WITHIN_SECONDS = 6.0 + 10.0
"""The time for which the dead node counts as known, and that of a few attempts."""


@pytest.fixture
def dead_address() -> Iterator[str]:
    """An address whose queue of connections is full: the kernel drops all further SYNs."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.connect(listener.getsockname())
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_ticket_that_its_own_node_refuses_is_final_although_a_dead_machine_is_listed(
    nodes: Nodes, clients: Clients, dead_address: str
) -> None:
    game = nodes.game()
    await game.wait_started()
    api = nodes.api(nodes.games_file(game, dead_address))
    await api.wait_ready()
    codes = []
    with trio.fail_after(DECIDED_WITHIN_SECONDS):
        while 4004 not in codes:
            client = await clients.connect(api)
            await client.send({"t": "resume", "ticket": "game-1.gone/p1/5ec7e7", "seen": 0})
            codes.append(await client.close_code())
    assert set(codes[:-1]) <= {1013}
    ann = await clients.connect(api)
    assert (await ann.join(kind="lounge"))["room"].startswith("game-1.")
