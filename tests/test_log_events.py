"""The log events of the whole tree: no field hides the node's own name, and all are documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tests.test_docs import code, table

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for folder in ("api", "game", "rooms")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if (ROOT / folder / "examples") not in path.parents
]
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
OF_EACH_LINE = {"at", "level", "event", "node"}
"""The fields that the formats put into each line; see ``lastcall.runtime.logs``."""
RATED = "rated"
"""A ``RatedLog`` logs warnings, or errors."""
EVENT = re.compile(r"[a-z]+\.[a-z_]+")


class Call(NamedTuple):
    """One call of a logger."""

    where: str
    level: str
    event: str
    fields: frozenset[str]


def calls_in(path: Path) -> Iterator[Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(attr=level),
                args=[ast.Constant(value=str(event)), *_],
                keywords=keywords,
            ) if level in METHODS and EVENT.fullmatch(event):
                fields = frozenset(one.arg for one in keywords if one.arg)
                yield Call(f"{path.relative_to(ROOT)}:{node.lineno}", level, event, fields)
            case ast.Call(func=ast.Name("RatedLog"), args=[ast.Constant(value=str(event))]):
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield Call(where, RATED, event, frozenset())


CALLS = list(chain.from_iterable(map(calls_in, SOURCES)))
OF_THE_WATCHDOG = {"drain.overrun", "start.aborted"}
"""Its thread must not wait for a lock, so it builds its lines itself."""


def test_no_field_of_an_event_hides_one_that_each_line_has() -> None:
    assert len(CALLS) > 30
    assert [call for call in CALLS if call.fields & OF_EACH_LINE] == []


def test_the_documentation_lists_all_events_and_no_others() -> None:
    documented = [code(row[0]) for row in table("nodes.md", "| event |")]
    assert documented == sorted(documented)
    assert documented == sorted({call.event for call in CALLS} | OF_THE_WATCHDOG)


def test_the_documentation_names_the_level_of_each_event() -> None:
    documented = {code(row[0]): row[1] for row in table("nodes.md", "| event |")}
    for call in CALLS:
        level = {"exception": "error"}.get(call.level, call.level)
        levels = {"warning", "error"} if call.level == RATED else {level}
        assert documented[call.event] in levels, call
