"""Rooms for tests: small, slow to end, or wrong in one way each."""

from __future__ import annotations

import sys
import time

from lastcall import Joined, Room, Said, room


@room("duo", seats=2)
async def duo(table: Room) -> None:
    """Two seats, and a door that is never locked."""
    async for _ in table:
        pass


@room("private", seats=2)
async def private(table: Room) -> None:
    """Two seats, and a door that is locked behind the first player."""
    async for event in table:
        if isinstance(event, Joined):
            table.lock()
            table.broadcast("locked")


@room("crasher", seats=2)
async def crasher(table: Room) -> None:
    """Fails at the first word."""
    async for event in table:
        match event:
            case Said():
                raise RuntimeError("said too much")


@room("thinker", seats=2)
async def thinker(table: Room) -> None:
    """Takes the loop for a tenth of a second at each word."""
    async for event in table:
        if isinstance(event, Said):
            time.sleep(0.1)  # noqa: ASYNC251 (that is its fault)
            table.broadcast("thought")


@room("spinner", seats=1)
async def spinner(_table: Room) -> None:
    """Takes the loop, and the interpreter's lock, and never gives them back."""
    print('{"event":"blocking","level":"info"}', file=sys.stderr, flush=True)  # noqa: T201
    while True:
        pass


@room("sleeper", seats=1)
async def sleeper(_table: Room) -> None:
    """Takes the loop, and sleeps."""
    print('{"event":"blocking","level":"info"}', file=sys.stderr, flush=True)  # noqa: T201
    time.sleep(60)  # noqa: ASYNC251 (that is its fault)
