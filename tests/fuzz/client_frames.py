"""A client that is a WebSocket already: one frame, and a whole session of frames."""

from __future__ import annotations

from contextlib import suppress

import structlog.testing
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from lastcall.errors import BadFrame
from lastcall.wire import frames
from tests.api.conftest import House


def target(data: bytes) -> None:
    """Each line of ``data`` is a frame: binary if it begins with a zero byte, else text."""
    lines = data.split(b"\n")
    for line in lines:
        for one in (line, line.decode(errors="replace")):
            with suppress(BadFrame):
                frames.decode(one)
    with structlog.testing.capture_logs() as events:
        trio.run(_session, lines, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [one for one in events if one["log_level"] not in {"debug", "info"}] == []


async def _session(lines: list[bytes]) -> None:
    """The node goes on: another client has its hello afterwards, and nobody is left."""
    async with trio.open_nursery() as nursery:
        house = House(nursery)
        client = await house.client()
        with suppress(ConnectionClosed):
            for line in lines:
                plain = line.removeprefix(b"\0")
                await client.say(plain if plain != line else line.decode(errors="replace"))
            await trio.testing.wait_all_tasks_blocked()
            await client.socket.aclose()
        await (await house.client()).socket.aclose()
        await house.gateway.wait_empty()
        nursery.cancel_scope.cancel()
