"""The words that an author reads, in the terminal and on the page."""

from __future__ import annotations

import io

from rich.console import Console

from lastcall.dev.reports import Failed, Left, Loaded
from lastcall.dev.telling import Author
from lastcall.local.child import Child
from lastcall.wire.reports import DrainFinished, HandOffRefusal
from lastcall.wire.views import LogLine, Problem

BROKEN = Failed("cannot import 'ours'", "Traceback …\n  a line\n", "/ours.py", 7)
LOADED = Loaded(states={"duel": "/ours.py:12"})
REASON = "the state does not fit its kind"


class Page:
    def __init__(self) -> None:
        self.problem: Problem | None = None
        self.lines: list[LogLine] = []

    def on_problem(self, problem: Problem | None) -> None:
        self.problem = problem

    def on_log(self, line: LogLine) -> None:
        self.lines.append(line)


class Desk:
    """An author before a terminal, or before a file that the terminal's output goes to."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._out = io.StringIO()
        console = Console(file=self._out, force_terminal=terminal, width=100)
        self.page = Page()
        self.shown: list[str] = []
        self.author = Author(self.shown.append, console, self.page, 25.0)

    @property
    def drawn(self) -> str:
        return self._out.getvalue()


def child(name: str = "game-1", **refused: str) -> Child:
    made = Child(name, "game", ["true"])
    made.refusals = {HandOffRefusal(kind, reason): None for kind, reason in refused.items()}
    return made


def test_a_traceback_is_plain_lines_in_a_file_and_a_panel_on_a_terminal() -> None:
    plain, coloured = Desk(), Desk(terminal=True)
    for desk in (plain, coloured):
        desk.author.failed(child(), BROKEN, first=False)
    (shown,) = plain.shown
    assert shown.endswith("The new code does not run; the old code goes on.\nTraceback …\n  a line")
    assert plain.drawn == ""
    assert "╭" in coloured.drawn
    assert "a line" in coloured.drawn
    assert plain.page.problem is not None
    assert (plain.page.problem.file, plain.page.problem.line) == ("/ours.py", 7)
    assert [(one.level, one.event) for one in plain.page.lines] == [("error", "dev.failed")]


def test_the_problem_of_code_that_failed_goes_when_code_runs() -> None:
    desk = Desk()
    desk.author.failed(child(), BROKEN, first=True)
    assert "nothing runs until the next save" in desk.shown[0]
    desk.author.loaded(child("game-2"), LOADED, 0.5)
    assert desk.page.problem is None
    assert desk.shown[-1].endswith("the new code runs after 0.50 s.")


def test_a_room_that_stays_is_told_with_its_reason_and_the_place_of_its_state() -> None:
    desk, old = Desk(), child(duel=REASON)
    desk.author.left(old, Left(2, 1, {"duel": 1, "nap": 1}, {"den": 1}), LOADED)
    problem = desk.page.problem
    assert problem is not None
    assert (problem.file, problem.line) == ("/ours.py", 12)
    assert problem.title.startswith("1 duel room, 1 nap room cannot move into the new code")
    first, second, third = problem.text.splitlines()
    assert first == f"1 duel room: {REASON}"
    assert second.strip() == "/ours.py:12"
    assert third.startswith("1 nap room: it does not wait for its next event")
    assert desk.shown[0].endswith("1 room moved into it.")
    assert desk.page.lines[-1].text == f"1 duel room: {REASON} (/ours.py:12)"


def test_a_room_whose_kind_the_new_code_has_no_more_stays_for_that_reason() -> None:
    desk = Desk()
    loaded = Loaded(kinds=("den",))
    desk.author.left(child(den=REASON), Left(2, 0, {"duel": 1, "den": 1}), loaded)
    assert desk.page.problem is not None
    duel, den = desk.page.problem.text.splitlines()
    assert duel.startswith("1 duel room: the new code has no kind of this name")
    assert den == f"1 den room: {REASON}"


def test_the_problem_of_rooms_that_stay_goes_with_the_last_of_them() -> None:
    desk = Desk()
    for old in ("game-1", "game-2"):
        desk.author.left(child(old, duel=REASON), Left(1, 0, {"duel": 1}), LOADED)
    desk.author.left(child("game-1"), Left(0, 1), LOADED)
    assert desk.page.problem is not None
    desk.author.died(child("game-2"), again=True)
    assert desk.page.problem is not None
    assert desk.page.problem.title.startswith("game-2 has ended")


def test_a_later_problem_outlives_the_rooms_that_stayed_before() -> None:
    desk, old = Desk(), child(duel=REASON)
    desk.author.left(old, Left(1, 0, {"duel": 1}), LOADED)
    desk.author.failed(child("game-3"), BROKEN, first=False)
    desk.author.left(old, Left(0, 0), LOADED)
    assert desk.page.problem is not None
    assert desk.page.problem.file == "/ours.py"


def test_rooms_without_a_state_are_told_with_the_grace_and_when_they_are_cut() -> None:
    desk, old = Desk(), child()
    desk.author.left(old, Left(0, 0, {}, {"den": 2}), LOADED)
    assert "2 den rooms cannot move" in desk.shown[0]
    assert "25 s at most (--grace)" in desk.shown[0]
    old.finished = DrainFinished(rooms_cut=2)
    desk.author.ended(old)
    assert "2 rooms of the old code had to be cut" in desk.shown[1]
    assert desk.page.problem is None
