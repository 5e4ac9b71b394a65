"""A thousand strangers at a port between nodes, over real sockets: memory stays where it was."""

from __future__ import annotations

import struct
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio

from lastcall.bus.base import MESSAGE_BYTES_MAX
from lastcall.bus.nng import NngBus
from lastcall.wire import nodes
from tests.bus.test_nng_border import PUB, REQ

STRANGERS, AT_ONCE = 1_000, 50
PART = bytes(256 * 1024)
MIB = 1024 * 1024


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


async def half_sent(stack: ExitStack, address: str, protocol: int, size: int) -> None:
    """Connects, announces a message of ``size``, the longest allowed, and sends a part of it."""
    host, _, port = address.removeprefix("tcp://").partition(":")
    stranger = stack.enter_context(trio.socket.socket())
    await stranger.connect((host, int(port)))
    data = memoryview(PART)
    with trio.move_on_after(0.05), suppress(OSError):  # OSError: it was refused
        await stranger.send(b"\0SP\0" + struct.pack(">HHQ", protocol, 0, size))
        while data:
            data = data[await stranger.send(data) :]


@pytest.mark.parametrize(
    ("protocol", "size"),
    [(REQ, nodes.REQUEST_BYTES_MAX), (PUB, MESSAGE_BYTES_MAX)],
    ids=["--listen", "--feed"],
)
async def test_a_thousand_half_sent_messages_cost_less_than_64_mib(
    protocol: int, size: int
) -> None:
    bus, any_port = NngBus(), "tcp://127.0.0.1:0"
    end = bus.respond(any_port, size) if protocol == REQ else bus.subscribe(any_port)
    before = resident_bytes()
    with trio.fail_after(60), ExitStack() as stack:
        for _ in range(0, STRANGERS, AT_ONCE):
            async with trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(half_sent, stack, end.address, protocol, size)
        assert resident_bytes() - before < 64 * MIB
        assert end.refusals().connections >= STRANGERS // 2
    end.close()
