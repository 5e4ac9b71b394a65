"""Shows a running cluster: a live table on a terminal, else a line every few seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import httpx
import msgspec
import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lastcall.local.admin_client import ask_all, messages_out, open_admin_client, status
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child

LIVE_SECONDS = 1.0
PLAIN_SECONDS = 5.0


class NodeLine(msgspec.Struct, frozen=True):
    """One node's row."""

    name: str
    version: str = ""
    phase: str = "starting"
    rooms: int = 0
    clients: int = 0
    messages_per_second: float = 0.0


class Screen:
    """Shows the nodes and the counts of the bots' ``ledger``.

    ``clock`` gives seconds since the start.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float], console: Console) -> None:
        self._ledger = ledger
        self._clock = clock
        self._console = console
        self._delivered: dict[str, tuple[float, float]] = {}

    def print(self, text: str) -> None:
        """Prints one or more lines, above the table if there is one."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    async def show(self, children: Sequence[Child]) -> None:
        """Reads the nodes and shows them until cancelled.

        ``children`` may change meanwhile; a node that a roll has replaced is shown until its end.
        """
        async with open_admin_client() as client:
            if self._console.is_terminal:
                await self._show_live(children, client)
            while True:
                await trio.sleep(PLAIN_SECONDS)
                lines = await self._read(children, client)
                self.print(plain_line(lines, self._ledger, self._clock()))

    async def _show_live(self, children: Sequence[Child], client: httpx.AsyncClient) -> None:
        # Without rich's own thread, since this thread prints above the table, too.
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                lines = await self._read(children, client)
                live.update(_table(lines, self._ledger, self._clock()), refresh=True)
                await trio.sleep(LIVE_SECONDS)

    async def _read(
        self, children: Sequence[Child], client: httpx.AsyncClient
    ) -> Sequence[NodeLine]:
        shown = [child for child in children if not (child.replaced and child.ended.is_set())]
        return await ask_all(shown, partial(self._read_one, client))

    async def _read_one(self, client: httpx.AsyncClient, child: Child) -> NodeLine:
        if child.ended.is_set():
            return NodeLine(child.name, child.version, phase=f"ended ({child.exit_code})")
        if child.ready is None:
            return NodeLine(child.name, child.version)
        now = await status(client, child.ready.admin)
        delivered = await messages_out(client, child.ready.admin)
        if now is None:
            return NodeLine(child.name, child.version, phase="no answer")
        rate = self._rate(child.name, delivered)
        return NodeLine(child.name, child.version, now.phase, now.rooms, now.clients, rate)

    def _rate(self, name: str, delivered: float | None) -> float:
        if delivered is None:
            return 0.0
        now = self._clock()
        then, before = self._delivered.get(name, (0.0, 0.0))
        self._delivered[name] = (now, delivered)
        return (delivered - before) / (now - then) if now > then else 0.0


def plain_line(lines: Sequence[NodeLine], ledger: Ledger, seconds: float) -> str:
    """All nodes on one line, for a log file."""
    nodes = "  ".join(
        f"{line.name} {line.version} {line.phase} rooms={line.rooms} clients={line.clients} "
        f"msg/s={line.messages_per_second:.0f}"
        for line in lines
    )
    return f"{seconds:6.1f} s  matches={ledger.matches} errors={ledger.errors}  {nodes}"


def _table(lines: Sequence[NodeLine], ledger: Ledger, seconds: float) -> Table:
    caption = f"{seconds:.0f} s · matches finished {ledger.matches} · errors {ledger.errors}"
    table = Table("node", "version", "phase", caption=caption, caption_justify="left")
    for column in ("rooms", "clients", "messages/s"):
        table.add_column(column, justify="right")
    for line in lines:
        counts = (line.rooms, line.clients, round(line.messages_per_second))
        table.add_row(line.name, line.version, line.phase, *map(str, counts))
    return table
