"""Finds an author's kinds of rooms: ``--rooms package.module``."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

import lastcall.author
from lastcall.author import Kind
from lastcall.errors import BadRooms
from lastcall.host.codec import KindCodec
from lastcall.ids import KindName


def load(modules: Sequence[str]) -> dict[KindName, Kind]:
    """The kinds that ``modules`` hold, by name, in the order of their definition.

    Of a package also its direct submodules are imported, but those with a leading underscore.
    Raises :class:`BadRooms`, in one line, for a module that cannot be imported, for two kinds of
    one name, for inputs or options that cannot be decoded, and if there is no kind at all.
    """
    kinds: dict[KindName, Kind] = {}
    for name in modules:
        for module in _with_submodules(name):
            for kind in vars(module).values():
                if isinstance(kind, Kind):
                    _add(kinds, kind)
    if not kinds:
        raise BadRooms(f"no rooms in {', '.join(modules) or 'nothing'}: give a module with @room")
    return kinds


def _with_submodules(name: str) -> Iterator[ModuleType]:
    module = _imported(name)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            yield _imported(f"{name}.{found.name}")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(_canonical(name))
    except (Exception, SystemExit) as error:
        text = error.msg if _has_a_place(error) else str(error)
        reason = " ".join(text.split()) or "no message"
        if name.endswith(".py"):
            reason += f"; a module is named without .py: {name.removesuffix('.py')}"
        raise BadRooms(
            f"cannot import {name!r}: {type(error).__name__}: {reason}{_place(error)}"
        ) from error


def _canonical(name: str) -> str:
    """In a checkout ``game.examples`` is ``lastcall.game.examples``: the same files must not be
    loaded under two names. A game's own ``game`` keeps its name.
    """
    top = name.partition(".")[0]
    found = importlib.util.find_spec(top)
    ours = Path(lastcall.author.__file__).with_name(top) / "__init__.py"
    if found is None or not found.origin or not ours.exists():
        return name
    return f"lastcall.{name}" if ours.samefile(found.origin) else name


def _has_a_place(error: BaseException) -> TypeGuard[SyntaxError]:
    """Whether it is the parser's own: its text shows the file without the folder."""
    return isinstance(error, SyntaxError) and error.filename is not None


def _place(error: BaseException) -> str:
    """Where in the author's code it happened, or nothing if it was not there."""
    if _has_a_place(error):
        return f" ({error.filename}:{error.lineno})"
    ours = {__file__, lastcall.author.__file__}
    places = [
        f" ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in ours and "importlib" not in frame.filename
    ]
    return places[-1] if places else ""


def _add(kinds: dict[KindName, Kind], kind: Kind) -> None:
    other = kinds.setdefault(kind.name, kind)
    if other is not kind:
        raise BadRooms(f"kind {kind.name!r} is defined twice: {_home(other)} and {_home(kind)}")
    try:
        KindCodec(kind)
    except BadRooms as error:
        raise BadRooms(f"kind {kind.name!r} in {_home(kind)}: {error}") from error


def _home(kind: Kind) -> str:
    """Where the kind's function stands: module, name and line."""
    function = kind.function
    code = getattr(function, "__code__", None)
    line = f":{code.co_firstlineno}" if code else ""
    return f"{function.__module__}.{getattr(function, '__qualname__', '?')}{line}"
