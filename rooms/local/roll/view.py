"""Shows a roll while it runs: a live table on a terminal, else plain lines."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import httpx
import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lastcall.errors import ClusterFailed
from lastcall.exception_groups import lone_error
from lastcall.local.admin_client import ask_all, open_admin_client, status
from lastcall.local.console import print_text
from lastcall.local.control.messages import (
    AskRoll,
    NodeList,
    Output,
    Progress,
    RollReport,
    encode,
)
from lastcall.local.control.socket import Call, open_call
from lastcall.local.roll.plan import Stage
from lastcall.local.roll.report import report_text
from lastcall.reasons import ExitCode
from lastcall.wire.reports import Status

LIVE_SECONDS = 0.5
DETACHED = ExitCode.INTERRUPTED
"""The exit code after Ctrl-C: how the roll will end is not known yet."""


async def roll(path: Path, order: AskRoll, console: Console, *, as_json: bool = False) -> int:
    """Orders the roll, shows it, prints the report, and returns the exit code; ``as_json``: each
    message of the cluster as it is, one a line.

    Ctrl-C only ends the view. Raises :class:`ClusterFailed` when the roll is refused, or the
    cluster goes away. To be called in the main thread: it takes SIGINT.
    """
    view = JsonView(console) if as_json else RollView(console)
    code: int = DETACHED
    with trio.open_signal_receiver(signal.SIGINT) as interrupts, lone_error():
        async with open_call(path, order) as call, trio.open_nursery() as nursery:

            async def detach() -> None:
                async for _ in interrupts:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(detach)
            code = (await view.show(call)).exit_code
            nursery.cancel_scope.cancel()
    if code == DETACHED and not as_json:
        view.print("The view is closed; the roll goes on. Follow it with: lastcall status")
    return code


class RollView:
    """One roll on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._nodes: dict[str, Progress] = {}
        self._statuses: dict[str, Status] = {}

    def print(self, text: str) -> None:
        """Prints one or more lines, above the table if there is one."""
        print_text(self._console, text)

    async def show(self, call: Call) -> RollReport:
        """Follows the roll to its report, and prints the report."""
        if self._console.is_terminal:
            report = await self._show_live(call)
        else:
            report = await self._follow(call)
        self.print(report_text(report))
        return report

    async def _follow(self, call: Call) -> RollReport:
        while True:
            match await call.next():
                case RollReport() as report:
                    return report
                case Progress() as news:
                    self._nodes[news.node] = news
                    self.print(f"{news.at:6.1f} s  {news.text}")
                case Output(text):
                    self.print(text)
                case NodeList():
                    raise ClusterFailed(
                        "the local cluster sent a list of nodes in place of the roll"
                    )

    async def _show_live(self, call: Call) -> RollReport:
        # Without rich's own thread, since this thread prints above the table, too.
        with Live(console=self._console, auto_refresh=False) as live, lone_error():
            async with open_admin_client() as client, trio.open_nursery() as nursery:
                nursery.start_soon(self._refresh, live, client)
                report = await self._follow(call)
                nursery.cancel_scope.cancel()
            live.update(self._table(), refresh=True)
        return report

    async def _refresh(self, live: Live, client: httpx.AsyncClient) -> None:
        while True:
            await ask_all(list(self._nodes.values()), partial(self._read, client))
            live.update(self._table(), refresh=True)
            await trio.sleep(LIVE_SECONDS)

    async def _read(self, client: httpx.AsyncClient, news: Progress) -> None:
        alive = news.admin and news.stage not in {Stage.ENDED, Stage.FAILED}
        now = await status(client, news.admin) if alive else None
        if now is not None and now.name == news.node:  # another node may have the port by now
            self._statuses[news.node] = now
        else:
            self._statuses.pop(news.node, None)

    def _table(self) -> Table:
        table = Table("node", "version", "stage")
        for column in ("rooms", "clients", "seconds to the cut"):
            table.add_column(column, justify="right")
        for name, news in self._nodes.items():
            now = self._statuses.get(name)
            left = "" if now is None or now.seconds_left is None else f"{now.seconds_left:.0f}"
            counts = ("", "") if now is None else (str(now.rooms), str(now.clients))
            table.add_row(name, news.version, news.stage, *counts, left)
        return table


class JsonView(RollView):
    """One roll as lines of JSON."""

    async def show(self, call: Call) -> RollReport:
        """Follows the roll to its report, which is the last line."""
        while True:
            news = await call.next()
            self.print(encode(news).decode().rstrip())
            if isinstance(news, RollReport):
                return news
