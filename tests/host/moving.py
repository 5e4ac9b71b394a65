"""Two hosts between which a room moves through its image, for the tests of moving."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from lastcall import Kind, Room, Said, room
from lastcall.events import Event
from lastcall.ids import Incarnation, NodeName, RoomId
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from lastcall.wire.images import Image, decode_image, encode_image, for_another_node
from tests.host.host_harness import HostHarness

THERE = nodes.Whereabouts(Incarnation(5), NodeName("game-2"), 1)


class Log(msgspec.Struct):
    said: list[Any] = []


def logging_kind(**fields: Any) -> tuple[Kind, list[Event]]:
    """A kind that keeps what its players say in its state, and broadcasts it; and all its events.

    ``["alarm", NAME, S]`` and ``["every", NAME, S]`` set an alarm, ``["to", PLAYER, X]`` sends a
    private message.
    """
    seen: list[Event] = []

    @room("logging", **{"seats": 8, "state": Log, **fields})
    async def kind(table: Room[Log]) -> Any:
        async for event in table:
            seen.append(event)
            match event:
                case Said(_, "end"):
                    return table.state.said
                case Said(_, ["alarm", name, seconds]):
                    table.alarm(name, after=seconds)
                case Said(_, ["every", name, seconds]):
                    table.every(name, seconds)
                case Said(_, ["to", player, said]):
                    table.send(player, said)
                case Said(_, said):
                    table.state.said.append(said)
                    table.broadcast(said)
        raise AssertionError

    return kind, seen


def on_the_wire(image: Image | None) -> Image:
    """The image as another node gets it, for its next epoch."""
    assert image is not None
    return decode_image(encode_image(for_another_node(image, image.epoch + 1)))


async def move(first: HostHarness, second: HostHarness, room_id: RoomId) -> None:
    """Moves a room from one host to the other, as two nodes do."""
    image = on_the_wire(await first.host.moves.freeze(room_id))
    assert second.host.moves.adopt(image) is None
    first.host.moves.moved(room_id, msgspec.structs.replace(THERE, epoch=image.epoch))
    assert second.host.moves.release(room_id)
    await second.host.moves.waking.wait(room_id)


def renew(harness: HostHarness, seat: nodes.Seated | nodes.Resumed, seen: int = 0) -> Any:
    """The node of a player renews their place on another game node."""
    return harness.resume(seat, seen, session=seat.session)


@asynccontextmanager
async def two_hosts(
    *kinds: Kind, policy: RoomPolicy | None = None, takeover_seconds: float = 0
) -> AsyncIterator[tuple[HostHarness, HostHarness]]:
    async with trio.open_nursery() as work:
        hosts = tuple(
            HostHarness(work, *kinds, policy=policy, takeover_seconds=takeover_seconds)
            for _ in range(2)
        )
        for each in hosts:
            work.start_soon(each.host.watch)
        yield hosts[0], hosts[1]
        work.cancel_scope.cancel()
