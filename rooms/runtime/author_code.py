"""Imports the modules of authors: their rooms, their ``--auth`` function."""

from __future__ import annotations

import importlib
import importlib.util
import traceback
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import lastcall.decorator
import lastcall.kind
from lastcall.errors import UsageError


def import_module(name: str, error: type[UsageError] = UsageError) -> ModuleType:
    """The module of that name; raises ``error`` in one line, whatever its import raises."""
    try:
        return importlib.import_module(_canonical(name))
    except (Exception, SystemExit) as problem:
        text = problem.msg if _has_a_place(problem) else str(problem)
        reason = " ".join(text.split()) or "no message"
        if name.endswith(".py"):
            reason += f"; a module is named without .py: {name.removesuffix('.py')}"
        raise error(
            f"cannot import {name!r}: {type(problem).__name__}: {reason}{_place(problem)}"
        ) from problem


def _canonical(name: str) -> str:
    """In a checkout ``game.examples`` is ``lastcall.game.examples``: the same files must not be
    loaded under two names. A game's own ``game`` keeps its name.
    """
    top = name.partition(".")[0]
    found = importlib.util.find_spec(top)
    ours = Path(lastcall.kind.__file__).with_name(top) / "__init__.py"
    if found is None or not found.origin or not ours.exists():
        return name
    return f"lastcall.{name}" if ours.samefile(found.origin) else name


def _has_a_place(error: BaseException) -> TypeGuard[SyntaxError]:
    """Whether it is the parser's own: its text shows the file without the folder."""
    return isinstance(error, SyntaxError) and error.filename is not None


def _place(error: BaseException) -> str:
    """Where in the author's code it happened, or nothing if it was not there."""
    found = place_of(error)
    return "" if found is None else f" ({found[0]}:{found[1]})"


def place_of(error: BaseException) -> tuple[str, int] | None:
    """The file and the line of the author's code where an error of its import happened."""
    if _has_a_place(error):
        return str(error.filename), error.lineno or 1
    places = [
        (frame.filename, frame.lineno or 1)
        for frame in traceback.extract_tb(error.__traceback__)
        if is_authors(frame.filename)
    ]
    return places[-1] if places else None


def is_authors(file: str) -> bool:
    """Whether a frame with that file, in an error of an import, may be the author's."""
    ours = {__file__, lastcall.decorator.__file__, lastcall.kind.__file__}
    return file not in ours and "importlib" not in file
