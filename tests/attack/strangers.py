"""``python -m tests.attack.strangers PROTOCOL SIZE``: a port between nodes, and 1 000 strangers.

Prints their cost in resident bytes, and how many were refused. It is a process of its own, as a
node is: in one that has run other tests, the allocator has pages to give that count again.
"""

from __future__ import annotations

import os
import struct
import sys
from contextlib import ExitStack, suppress

import trio

from lastcall.bench.nodes.proc import resident_bytes
from lastcall.bus.nng import NngBus
from tests.bus.test_nng_border import REQ

STRANGERS, AT_ONCE = 1_000, 50
PART = bytes(256 * 1024)


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


async def main(protocol: int, size: int) -> None:
    bus, any_port = NngBus(), "tcp://127.0.0.1:0"
    end = bus.respond(any_port, size) if protocol == REQ else bus.subscribe(any_port)
    before = resident_bytes(os.getpid())
    with ExitStack() as stack:
        for _ in range(0, STRANGERS, AT_ONCE):
            async with trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(half_sent, stack, end.address, protocol, size)
        cost, refused = resident_bytes(os.getpid()) - before, end.refusals().connections
        sys.stdout.write(f"{cost} {refused}\n")
    end.close()


if __name__ == "__main__":
    trio.run(main, *map(int, sys.argv[1:]))
