"""Shows a running cluster: a live table on a terminal, else a line every few seconds, as long as
something changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import httpx
import trio
from msgspec.structs import replace
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lastcall.local.admin_client import ask_all, messages_out, open_admin_client, status
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child
from lastcall.local.console import print_text
from lastcall.local.control.messages import Output
from lastcall.local.told import Look, NodeLine, Told, line

LIVE_SECONDS = 1.0
PLAIN_SECONDS = 5.0


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
        print_text(self._console, text)

    def tell(self, _message: Told, text: str) -> None:
        """Prints a fact: its ``text``."""
        self.print(text)

    async def show(self, children: Sequence[Child]) -> None:
        """Reads the nodes and shows them until cancelled.

        ``children`` may change meanwhile; a node that a roll has replaced is shown until its end.
        """
        async with open_admin_client() as client:
            if self._live:
                await self._show_live(children, client)
            before: Look | None = None
            while True:
                await trio.sleep(PLAIN_SECONDS)
                look = self._look(await self._read(children, client))
                if before is None or replace(look, at=before.at) != before:
                    self.tell(look, plain_line(look))
                before = look

    @property
    def _live(self) -> bool:
        return self._console.is_terminal

    def _look(self, lines: Sequence[NodeLine]) -> Look:
        at = round(self._clock(), 3)
        return Look(at, self._ledger.matches, self._ledger.errors, tuple(lines))

    async def _show_live(self, children: Sequence[Child], client: httpx.AsyncClient) -> None:
        # Without rich's own thread, since this thread prints above the table, too.
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                look = self._look(await self._read(children, client))
                live.update(_table(look), refresh=True)
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
        return round((delivered - before) / (now - then), 1) if now > then else 0.0


class JsonScreen(Screen):
    """Prints each fact, and each text, as one line of JSON."""

    def print(self, text: str) -> None:
        """Prints the text as an ``output``."""
        self.tell(Output(text), text)

    def tell(self, message: Told, _text: str = "") -> None:
        """Prints the message."""
        super().print(line(message))

    @property
    def _live(self) -> bool:
        return False


def plain_line(look: Look) -> str:
    """All nodes on one line, for a log file."""
    nodes = "  ".join(
        f"{node.name} {node.version} {node.phase} rooms={node.rooms} clients={node.clients} "
        f"msg/s={node.messages_per_second:.0f}"
        for node in look.nodes
    )
    return f"{look.at:6.1f} s  matches={look.matches} errors={look.errors}  {nodes}"


def _table(look: Look) -> Table:
    caption = f"{look.at:.0f} s · matches finished {look.matches} · errors {look.errors}"
    table = Table("node", "version", "phase", caption=caption, caption_justify="left")
    for column in ("rooms", "clients", "messages/s"):
        table.add_column(column, justify="right")
    for node in look.nodes:
        counts = (node.rooms, node.clients, round(node.messages_per_second))
        table.add_row(node.name, node.version, node.phase, *map(str, counts))
    return table
