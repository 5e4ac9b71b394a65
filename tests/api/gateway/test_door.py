from __future__ import annotations

import trio
from trio.testing import MockClock

from lastcall.api.gateway.door import Door
from tests.harness.cluster import MemoryListener


async def test_a_shut_door_accepts_nothing_and_an_opened_one_accepts_waiting_connections(
    autojump_clock: MockClock,
) -> None:
    listener = MemoryListener()
    door = Door(listener)
    taken: list[float] = []

    async def accept() -> None:
        while True:
            await door.accept()
            taken.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        start = trio.current_time()
        await listener.connect()
        await trio.sleep(1)
        door.shut()
        door.shut()
        await trio.sleep(1)
        await listener.connect()
        await trio.sleep(1)
        assert taken == [start]
        door.open()
        await trio.sleep(1)
        assert taken == [start, start + 3]
        nursery.cancel_scope.cancel()
