"""A load in its own process: ``python -m tests.e2e.crowd bots|visitors HOST:PORT COUNT``.

At SIGTERM the process finishes its matches and visits, and writes a report in JSON as the last line
of stderr. *Bots* are those of ``lastcall up``. *Visitors* share no code with Lastcall. They connect
at a steady rate, and do not wait for each other. Each one reads ``hello`` and closes; every second
one plays a countdown before it closes.
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

TIMEOUT_SECONDS = 5.0
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
"""Counts of the bots' ledger that are 0 if no player has noticed anything."""


async def run_bots(url: str, count: int) -> dict[str, Any]:
    """Runs ``count`` bots until SIGTERM, and returns the counts of their ledger."""
    ledger = Ledger(trio.current_time)
    bots = Bots([url], count, ledger, random.Random(7))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bots.run)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            await anext(signals)
        walkovers = ledger.walkovers  # without those of bots that leave because of the stop
        bots.stop()
    return {
        **{name: getattr(ledger, name) for name in UNNOTICED},
        "walkovers": walkovers,
        "error_texts": list(ledger.error_texts),
        "matches": ledger.matches,
        "hops": ledger.hops.total(),
        "hops_of_one": max(ledger.hops.values(), default=0),
        "join_wait_max": at_quantile(ledger.join_waits, 1),
    }


class Visitors:
    """Clients that connect at a steady rate, each for one short visit."""

    def __init__(self, url: str, per_second: int) -> None:
        self._url = url
        self._per_second = per_second
        self.opens: Counter[str] = Counter()
        """The number of connections by api node, from its ``hello``."""
        self.failed: list[str] = []
        """The errors of connections that got no ``hello``."""
        self.errors: list[str] = []
        """All other errors."""
        self.countdowns = 0
        """The countdowns that were played from ``joined`` to the end without a gap."""
        self.hops = 0
        """The visits that were told to move, and connected to the same address again."""
        self.open_seconds_max = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Starts visits until ``stop`` is set; returns when the last one has ended."""
        started_at, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as visits:
            while not stop.is_set():
                visits.create_task(self._visit(plays=bool(number % 2)))
                number += 1
                await asyncio.sleep(started_at + number / self._per_second - time.monotonic())

    async def _visit(self, *, plays: bool) -> None:
        try:
            while not await self._visit_once(plays=plays):
                self.hops += 1
        except (ConnectionClosed, TimeoutError) as error:
            self.errors.append(repr(error))

    async def _visit_once(self, *, plays: bool) -> bool:
        """Returns False if the node is draining and the visitor must connect again."""
        started_at = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                socket = await self._open()
                node = json.loads(await socket.recv())["node"]
        except (OSError, TimeoutError, WebSocketException) as error:
            self.failed.append(repr(error))
            return True
        self.open_seconds_max = max(self.open_seconds_max, time.monotonic() - started_at)
        self.opens[node] += 1
        async with socket:
            done = not plays or await self._countdown(socket)
        if socket.close_code not in {NORMAL, SERVICE_RESTART}:
            self.errors.append(f"closed with {socket.close_code} by {node}")
        return done

    async def _open(self) -> ClientConnection:
        return await connect(
            self._url,
            subprotocols=[Subprotocol("lastcall.v1")],
            open_timeout=None,
            close_timeout=TIMEOUT_SECONDS,
            ping_interval=None,
            compression=None,
            proxy=None,
        )

    async def _countdown(self, socket: ClientConnection) -> bool:
        """Returns False if the socket was closed with 1012 before the join was answered."""
        seq: int | None = None
        try:
            await socket.send(json.dumps(JOIN))
            while True:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    frame = json.loads(await socket.recv())
                match frame:
                    case {"t": "draining" | "move"}:
                        pass
                    case {"t": "joined", "seq": n} if seq is None:
                        seq = n
                    case {"t": "msg", "seq": n} if seq == n - 1:
                        seq = n
                    case {"t": "ended", "reason": "finished", "result": {"left": 0}}:
                        self.countdowns += 1
                        return True
                    case _:
                        self.errors.append(f"{frame} after seq {seq}")
                        return True
        except ConnectionClosed as closed:
            if seq is None and closed.rcvd is not None and closed.rcvd.code == SERVICE_RESTART:
                return False
            raise


async def run_visitors(url: str, per_second: int) -> dict[str, Any]:
    """Runs visitors until SIGTERM, and returns their counts and errors."""
    visitors, stop = Visitors(url, per_second), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await visitors.run(stop)
    return {
        "opens": visitors.opens,
        "failed": visitors.failed,
        "errors": visitors.errors,
        "countdowns": visitors.countdowns,
        "hops": visitors.hops,
        "open_seconds_max": visitors.open_seconds_max,
    }


def main() -> None:
    crowd, address, count = sys.argv[1:]
    url = f"ws://{address}/"
    if crowd == "bots":
        report = trio.run(run_bots, url, int(count))
    else:
        report = asyncio.run(run_visitors(url, int(count)))
    sys.stderr.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
