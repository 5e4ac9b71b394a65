"""A load as a process of its own: ``python -m tests.e2e.crowd bots|visitors HOST:PORT HOW_MANY``.

It lasts until SIGTERM, ends what it has begun, and leaves a report as JSON in its last line on
stderr. *Bots* are those of ``lastcall up``. *Visitors* know nothing but the contract and come at a
steady rate, whatever became of those before: they open, read ``hello``, and close; every second
one stays for a countdown.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

import trio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger, at_quantile

PATIENCE_SECONDS = 5.0
NORMAL, SERVICE_RESTART = 1000, 1012
JOIN = {"t": "join", "kind": "countdown", "options": {"seconds": 1}}

UNNOTICED = (
    "refused_joins",
    "turned_away",
    "cut",
    "gaps",
    "repeats",
    "disagreements",
    "unpaired",
    "errors",
)
"""Of the bots' ledger: what must be 0 when nobody has noticed anything."""


async def play(url: str, count: int) -> dict[str, Any]:
    """So many bots, and what their ledger has counted."""
    ledger = Ledger(trio.current_time)
    bots = Bots([url], count, ledger, random.Random(7))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bots.run)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            await anext(signals)
        walkovers = ledger.walkovers  # later ones are of bots that leave since they were told to
        bots.stop()
    return {
        **{name: getattr(ledger, name) for name in UNNOTICED},
        "walkovers": walkovers,
        "error_texts": list(ledger.error_texts),
        "matches": ledger.matches,
        "hops": ledger.reconnects,
        "hops_of_one": max(ledger.hops.values(), default=0),
        "join_wait_max": at_quantile(ledger.join_waits, 1),
    }


class Visitors:
    """They come ``per_second``; nobody waits for those before."""

    def __init__(self, url: str, per_second: int) -> None:
        self._url = url
        self._per_second = per_second
        self.opens: Counter[str] = Counter()
        """By the api node that said ``hello``."""
        self.failed: list[str] = []
        """Opens without ``hello``."""
        self.troubles: list[str] = []
        """Whatever else should not happen."""
        self.countdowns = 0
        """Played from ``joined`` to their end, without a hole."""
        self.hops = 0
        """Joins answered by ``move``, and asked again at the same door."""
        self.open_seconds_max = 0.0

    async def come(self, stop: asyncio.Event) -> None:
        """Until ``stop``; returns when the last has left."""
        begin, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as visits:
            while not stop.is_set():
                visits.create_task(self._visit(plays=bool(number % 2)))
                number += 1
                await asyncio.sleep(begin + number / self._per_second - time.monotonic())

    async def _visit(self, *, plays: bool) -> None:
        try:
            while not await self._one_socket(plays=plays):
                self.hops += 1
        except (ConnectionClosed, TimeoutError) as error:
            self.troubles.append(repr(error))

    async def _one_socket(self, *, plays: bool) -> bool:
        """False: this node leaves, and another has to be asked."""
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                socket = await self._open()
                node = json.loads(await socket.recv())["node"]
        except (OSError, TimeoutError, WebSocketException) as error:
            self.failed.append(repr(error))
            return True
        self.open_seconds_max = max(self.open_seconds_max, time.monotonic() - asked_at)
        self.opens[node] += 1
        async with socket:
            done = not plays or await self._countdown(socket)
        if socket.close_code not in {NORMAL, SERVICE_RESTART}:
            self.troubles.append(f"closed with {socket.close_code} by {node}")
        return done

    async def _open(self) -> ClientConnection:
        return await connect(
            self._url,
            subprotocols=[Subprotocol("lastcall.v1")],
            open_timeout=None,
            close_timeout=PATIENCE_SECONDS,
            ping_interval=None,
            compression=None,
            proxy=None,
        )

    async def _countdown(self, socket: ClientConnection) -> bool:
        """False: closed with 1012 before the join was answered."""
        seq: int | None = None
        try:
            await socket.send(json.dumps(JOIN))
            while True:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    frame = json.loads(await socket.recv())
                match frame:
                    case {"t": "draining" | "move"}:
                        pass
                    case {"t": "joined", "seq": first} if seq is None:
                        seq = first
                    case {"t": "msg", "seq": following} if seq == following - 1:
                        seq = following
                    case {"t": "ended", "reason": "finished", "result": {"left": 0}}:
                        self.countdowns += 1
                        return True
                    case _:
                        self.troubles.append(f"{frame} after seq {seq}")
                        return True
        except ConnectionClosed as closed:
            if seq is None and closed.rcvd is not None and closed.rcvd.code == SERVICE_RESTART:
                return False
            raise


async def visit(url: str, per_second: int) -> dict[str, Any]:
    """Visitors, and what became of them."""
    visitors, stop = Visitors(url, per_second), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await visitors.come(stop)
    return {
        "opens": visitors.opens,
        "failed": visitors.failed,
        "troubles": visitors.troubles,
        "countdowns": visitors.countdowns,
        "hops": visitors.hops,
        "open_seconds_max": visitors.open_seconds_max,
    }


def main() -> None:
    what, where, how_many = sys.argv[1:]
    url = f"ws://{where}/"
    if what == "bots":
        report = trio.run(play, url, int(how_many))
    else:
        report = asyncio.run(visit(url, int(how_many)))
    sys.stderr.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
