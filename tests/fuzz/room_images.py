"""The image of a room from another node: a host refuses it, or runs the room as any other."""

from __future__ import annotations

from contextlib import suppress

import structlog.testing
import trio
import trio.testing

from lastcall.errors import RemoteProtocolError
from lastcall.ids import RoomId
from lastcall.wire import nodes
from lastcall.wire.images import Image, decode_image, encode_image
from tests.host.host_harness import NORTH, HostHarness
from tests.host.moving import logging_kind

KIND, _ = logging_kind()


def target(data: bytes) -> None:
    """Reads ``data``; a host adopts what it can, runs it, and takes its image again."""
    try:
        image = decode_image(data)
    except RemoteProtocolError:
        return
    with structlog.testing.capture_logs() as events:
        trio.run(_adopt, image, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [one for one in events if one["log_level"] == "error"] == []


async def _adopt(image: Image) -> None:
    async with trio.open_nursery() as work:
        harness = HostHarness(work, KIND)
        work.start_soon(harness.host.watch)
        if harness.host.moves.adopt(image) is None:
            for seat in image.seats:
                place = image.room, seat.player, seat.secret
                harness.host.handle(NORTH, nodes.Renew(1, *place, 0, session=seat.session))
            assert harness.host.moves.release(image.room)
            await _use(harness, image.room)
        work.cancel_scope.cancel()


async def _use(harness: HostHarness, room: RoomId) -> None:
    """A player joins and says something, and the room is frozen and thawed."""
    await trio.sleep(0.1)
    harness.host.handle(NORTH, nodes.Join(2, KIND.name, room=room))
    await trio.sleep(40)
    again = await harness.host.moves.freeze(room)
    if again is not None:
        with suppress(RemoteProtocolError):  # a number that was near its bound is beyond it now
            assert decode_image(encode_image(again)) == again
        harness.host.moves.thaw(again)
        await trio.sleep(40)
