"""The client port, from the first byte to the answer: whatever comes, nothing of it is an ERROR."""

from __future__ import annotations

import re

import structlog.testing
import trio
import trio.testing

from tests.api.conftest import House

ANSWER = re.compile(rb"HTTP/1\.1 (101|4[0-9]{2}) ")


def target(data: bytes) -> None:
    """Sends ``data`` to a gateway in memory, and then the end; asserts how that ends."""
    with structlog.testing.capture_logs() as events:
        answer = trio.run(_answer, data, clock=trio.testing.MockClock(autojump_threshold=0))
    assert answer == b"" or ANSWER.match(answer), answer[:100]
    assert [one for one in events if one["log_level"] not in {"debug", "info"}] == []


async def _answer(data: bytes) -> bytes:
    async with trio.open_nursery() as nursery:
        house = House(nursery)
        stream = house.dial()
        if data:
            await stream.send_all(data)
        await stream.send_eof()
        answer = b""
        while part := await stream.receive_some():
            answer += part
        await house.gateway.wait_empty()
        nursery.cancel_scope.cancel()
    return answer
