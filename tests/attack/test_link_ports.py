"""A thousand strangers at a port between nodes, over real sockets: memory stays where it was."""

from __future__ import annotations

import sys

import pytest
import trio

from lastcall.bus.base import MESSAGE_BYTES_MAX
from lastcall.wire import nodes
from tests.attack.strangers import STRANGERS
from tests.bus.test_nng_border import PUB, REQ

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("protocol", "size"),
    [(REQ, nodes.REQUEST_BYTES_MAX), (PUB, MESSAGE_BYTES_MAX)],
    ids=["--listen", "--feed"],
)
async def test_a_thousand_half_sent_messages_cost_less_than_64_mib(
    protocol: int, size: int
) -> None:
    command = [sys.executable, "-m", "tests.attack.strangers", str(protocol), str(size)]
    with trio.fail_after(60):
        ended = await trio.run_process(command, capture_stdout=True)
    cost, refused = map(int, ended.stdout.split())
    assert cost < 64 * MIB
    assert refused >= STRANGERS // 2
