"""Finds an author's kinds of rooms: ``--rooms package.module``."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from types import ModuleType

from lastcall.errors import BadRooms
from lastcall.host.codec import KindCodec
from lastcall.ids import KindName
from lastcall.kind import Kind
from lastcall.runtime.author_code import import_module


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
    module = import_module(name, BadRooms)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            yield import_module(f"{name}.{found.name}", BadRooms)


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
