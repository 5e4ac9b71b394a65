"""Signals that reach a node while its process ends."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.e2e.nodes import SHORT_GRACE, Nodes, wait_until

pytestmark = pytest.mark.e2e


def drain(admin: str) -> None:
    connection = http.client.HTTPConnection(admin, timeout=5)
    try:
        connection.request("POST", "/drain", headers={"X-Lastcall": "1"})
        assert connection.getresponse().status == 200
    finally:
        connection.close()


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_a_drained_node_ends_with_its_exit_code_whatever_signals_come_at_its_end(
    nodes: Nodes, number: Signals
) -> None:
    game = nodes.game(*SHORT_GRACE)
    await game.wait_started()
    drain(game.admin)
    await wait_until(lambda: game.event("drain.finished"), within=10)
    await wait_until(signalled(lambda: game.signal(number), lambda: not game.running), within=10)
    assert await game.exit_code(within=1) == 0


def signalled(send: Callable[[], None], ended: Callable[[], bool]) -> Callable[[], bool]:
    """A condition that sends a signal each time that it is asked."""

    def condition() -> bool:
        send()
        return ended()

    return condition
