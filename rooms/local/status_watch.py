"""``lastcall status --watch``: the nodes again and again, once a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio
from rich.console import Console
from rich.live import Live

from lastcall.local.commands import Target, status_json, status_table, statuses
from lastcall.local.console import print_text
from lastcall.wire.reports import Status

EVERY_SECONDS = 1.0

FindTargets = Callable[[], Awaitable[Sequence[Target]]]
Show = Callable[[Sequence[Target], Sequence[Status | None]], None]


async def watch(find: FindTargets, token: bytes | None, console: Console, *, as_json: bool) -> None:
    """Shows the nodes until cancelled: on a terminal a table; else one line for each node that has
    changed, or one JSON array if any has. Raises what ``find`` does.
    """
    if as_json:
        await _repeat(find, token, JsonLines(console))
    elif not console.is_terminal:
        await _repeat(find, token, PlainLines(console))
    else:
        with Live(console=console, auto_refresh=False) as live:

            def show(targets: Sequence[Target], answers: Sequence[Status | None]) -> None:
                live.update(status_table(targets, answers), refresh=True)

            await _repeat(find, token, show)


async def _repeat(find: FindTargets, token: bytes | None, show: Show) -> None:
    while True:
        due = trio.current_time() + EVERY_SECONDS
        targets = await find()
        show(targets, await statuses(targets, token))
        await trio.sleep_until(due)


class PlainLines:
    """A line for each node that is new, has changed, or is gone; none while nothing changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def __call__(self, targets: Sequence[Target], answers: Sequence[Status | None]) -> None:
        """Prints what is new."""
        lines = dict(_line(target, now) for target, now in zip(targets, answers, strict=True))
        for key, line in lines.items():
            if self._shown.get(key) != line:
                print_text(self._console, line)
        names = {target.name for target in targets}
        for key in self._shown.keys() - lines.keys():
            name = key.partition(" ")[0]
            if name not in names:  # else it has started since, and has an address now
                print_text(self._console, f"{name} is gone")
        self._shown = lines


class JsonLines:
    """A JSON array on one line whenever a node has changed; see :func:`status_json`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: object = None

    def __call__(self, targets: Sequence[Target], answers: Sequence[Status | None]) -> None:
        """Prints the array if there is news."""
        state = dict(_line(target, now) for target, now in zip(targets, answers, strict=True))
        if state != self._shown:
            self._shown = state
            print_text(self._console, status_json(targets, answers))


def _line(target: Target, now: Status | None) -> tuple[str, str]:
    """A key for the node, and what is shown of it. The time that is left is not news."""
    key = f"{target.name} {target.admin} {target.pid}"
    if now is None:
        phase = target.dead or ("no answer" if target.admin else "starting")
        return key, f"{target.name} {target.version} {phase}"
    counts = f"rooms={now.rooms} clients={now.clients}"
    return key, f"{now.name} {now.version} {now.phase} {counts}"
