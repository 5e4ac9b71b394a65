"""Rooms for tests: two small ones, and four with one fault each."""

from __future__ import annotations

import sys
import time

from lastcall import Joined, Room, Said, room


@room("duo", seats=2)
async def duo(table: Room) -> None:
    """Has two seats, and is never locked."""
    async for _ in table:
        pass


@room("private", seats=2)
async def private(table: Room) -> None:
    """Has two seats, and is locked after the first join."""
    async for event in table:
        if isinstance(event, Joined):
            table.lock()
            table.broadcast("locked")


@room("crasher", seats=2)
async def crasher(table: Room) -> None:
    """Raises at the first input."""
    async for event in table:
        match event:
            case Said():
                raise RuntimeError("said too much")


@room("thinker", seats=2)
async def thinker(table: Room) -> None:
    """Blocks the event loop for 0.1 s at each input."""
    async for event in table:
        if isinstance(event, Said):
            time.sleep(0.1)  # noqa: ASYNC251 (the fault of this room)
            table.broadcast("thought")


@room("spinner", seats=1)
async def spinner(_table: Room) -> None:
    """Blocks the event loop for ever, and holds the interpreter's lock."""
    print('{"event":"blocking","level":"info"}', file=sys.stderr, flush=True)  # noqa: T201
    while True:
        pass


@room("sleeper", seats=1)
async def sleeper(_table: Room) -> None:
    """Blocks the event loop for a minute, without the interpreter's lock."""
    print('{"event":"blocking","level":"info"}', file=sys.stderr, flush=True)  # noqa: T201
    time.sleep(60)  # noqa: ASYNC251 (the fault of this room)
