"""Tells the author what became of a save: in the terminal, and on the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from lastcall.dev.reports import Failed, Left, Loaded
from lastcall.local.child import Child
from lastcall.local.text_table import counted
from lastcall.wire.views import LogLine, Problem

FILES_NAMED = 3
UNREST = (
    "it does not wait for its next event, where alone its state can be taken, or its state cannot "
    "be encoded (then room.state_failed says why); it moves as soon as it can"
)

GONE = "the new code has no kind of this name; it moves when a save brings that back"


class Page(Protocol):
    """The page, as far as it tells of saves."""

    def on_problem(self, problem: Problem | None) -> None:
        """The author's code has a problem, or none any more."""

    def on_log(self, line: LogLine) -> None:
        """One more line of the log."""


class Author:
    """Shows it with ``show``, problems on ``console`` if that is a terminal, and all on ``page``. A
    problem stays on the page until code has loaded without one.
    """

    def __init__(
        self, show: Callable[[str], None], console: Console, page: Page, grace_seconds: float
    ) -> None:
        self._show = show
        self._console = console
        self._page = page
        self._grace_seconds = grace_seconds
        self._moved: dict[str, int] = {}
        """How many rooms have left each old version."""
        self._staying: set[str] = set()
        """The old versions that the page's problem is about."""

    def saved(self, files: Sequence[Path]) -> None:
        """These files were saved."""
        names = [_from_here(file) for file in files[:FILES_NAMED]]
        more = f" and {len(files) - FILES_NAMED} more" if len(files) > FILES_NAMED else ""
        self._line(f"saved {', '.join(names)}{more}")

    # lastcall.dev.versions.Telling

    def failed(self, child: Child, failure: Failed, *, first: bool) -> None:
        """The code does not run."""
        goes_on = "nothing runs until the next save" if first else "the old code goes on"
        title = f"The new code does not run; {goes_on}."
        self._staying.clear()
        problem = Problem(title, failure.traceback or failure.error, failure.file, failure.line)
        self._tell_problem(child.name, "dev.failed", failure.error, problem)

    def loaded(self, child: Child, loaded: Loaded, seconds: float) -> None:  # noqa: ARG002
        """The code runs, and what was wrong before is forgotten."""
        self._clear()
        self._tell(child.name, "info", "dev.loaded", f"the new code runs after {seconds:.2f} s")

    def left(self, child: Child, left: Left, loaded: Loaded) -> None:
        """Where the rooms of an old version are."""
        moved = left.moved - self._moved.get(child.name, 0)
        self._moved[child.name] = left.moved
        if moved:
            self._tell(child.name, "info", "dev.left", f"{counted(moved, 'room')} moved into it")
        if left.others and not left.left:
            self._tell(
                child.name,
                "warning",
                "dev.left",
                f'{_named(left.others)} cannot move (no state=…, or moves="never"): the old code '
                f"goes on with it until it ends, for {self._grace_seconds:g} s at most (--grace)",
            )
        if left.stay:
            self._stay(child, left, loaded)
        else:
            self._go(child)

    def blocked(self, child: Child) -> None:
        """An old version does not answer."""
        text = (
            f"{child.name}, with the old code, does not answer: a room's function runs without "
            f"waiting. It is ended in {self._grace_seconds:g} s (--grace), with its rooms"
        )
        self._tell(child.name, "error", "dev.left", text)

    def ended(self, child: Child) -> None:
        """An old version is gone."""
        self._go(child)
        self._moved.pop(child.name, None)
        if child.finished is not None and child.finished.rooms_cut:
            cut = counted(child.finished.rooms_cut, "room")
            self._tell(child.name, "warning", "dev.left", f"{cut} of the old code had to be cut")

    def died(self, child: Child, *, again: bool) -> None:
        """A version has died."""
        self._go(child)
        self._moved.pop(child.name, None)
        text = f"{child.how_it_ended()}. Its last output:\n{child.last_output()}"
        if again:
            title = f"{child.name} has ended, with its rooms; new rooms run in another process."
        else:
            title = (
                f"{child.name} has ended soon after its start; nothing runs until the next save."
            )
        self._tell_problem(child.name, "dev.failed", child.how_it_ended(), Problem(title, text))

    def _go(self, child: Child) -> None:
        """It has no more rooms that could not move."""
        if child.name in self._staying:
            self._staying.discard(child.name)
            if not self._staying:
                self._clear()

    def _clear(self) -> None:
        self._staying.clear()
        self._page.on_problem(None)

    def _stay(self, child: Child, left: Left, loaded: Loaded) -> None:
        reasons: list[str] = []
        file, line = "", 0
        refusals = {one.kind: one.reason for one in child.refusals if one.reason}
        for kind, count in left.stay.items():
            place = loaded.states.get(kind, "") if kind in refusals else ""
            if place and not file:
                file, _, number = place.rpartition(":")
                line = int(number)
            where = f"\n    {place}" if place else ""
            gone = loaded.kinds is not None and kind not in loaded.kinds
            why = GONE if gone else refusals.get(kind, UNREST)
            reasons.append(f"{counted(count, f'{kind} room')}: {why}{where}")
        self._staying.add(child.name)
        title = f"{_named(left.stay)} cannot move into the new code; the old code goes on with it."
        problem = Problem(title, "\n".join(reasons), file, line)
        self._tell_problem(child.name, "dev.left", reasons[0].partition("\n")[0], problem)

    def _tell_problem(self, node: str, event: str, short: str, problem: Problem) -> None:
        where = f" ({problem.file}:{problem.line})" if problem.file not in ("", short) else ""
        if problem.file and f"{problem.file}:{problem.line}" in short:
            where = ""
        self._page.on_log(LogLine(time.time(), node, "error", event, f"{short}{where}"))
        self._page.on_problem(problem)
        if self._console.is_terminal:
            body = Text(problem.text.rstrip())
            self._console.print(Panel(body, title=Text(problem.title), border_style="red"))
        else:
            self._line(f"{problem.title}\n{problem.text.rstrip()}")

    def _tell(self, node: str, level: str, event: str, text: str) -> None:
        self._page.on_log(LogLine(time.time(), node, level, event, text))
        self._line(f"{text}.")

    def _line(self, text: str) -> None:
        self._show(f"{time.strftime('%H:%M:%S')}  {text}")


def _named(kinds: Mapping[str, int]) -> str:
    return ", ".join(counted(count, f"{kind} room") for kind, count in kinds.items())


def _from_here(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
