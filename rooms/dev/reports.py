"""The events by which the process of a version tells how it fares, as values."""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

from lastcall.kind import Kind
from lastcall.runtime.author_code import is_authors, place_of
from lastcall.runtime.error_text import render

LEAVE = b"leave"
"""The word at which a version gives its rooms away."""
PLACES_MAX, PLACES_BYTES_MAX = 200, 12 * 1024
"""Of the folders, and of the states: an event is a line, and of a line 64 KiB are read."""
ERROR_CHARS_MAX = 1_000


class Failed(msgspec.Struct, frozen=True):
    """The event ``dev.failed``: the author's code did not load. Without ``file`` and ``line``, the
    place is not known; without ``traceback``, the error is not one of Python's. No save can mend
    what ``needs_restart``, such as a module of another name.
    """

    error: str
    traceback: str = ""
    file: str = ""
    line: int = 0
    folders: tuple[str, ...] = ()
    needs_restart: bool = False


class Loaded(msgspec.Struct, frozen=True):
    """The event ``dev.loaded``: ``folders`` are those of the author's files, and ``states`` the
    places where the types of the kinds' states are defined, as ``FILE:LINE``. ``kinds`` are None if
    there are too many to tell.
    """

    folders: tuple[str, ...] = ()
    states: Mapping[str, str] = {}
    kinds: tuple[str, ...] | None = None


class Left(msgspec.Struct, frozen=True):
    """The event ``dev.left``: how many rooms have ``moved`` to newer code so far; which ones
    ``stay`` that could move, and which ``others`` that cannot, by their kinds.
    """

    left: int
    moved: int
    stay: Mapping[str, int] = {}
    others: Mapping[str, int] = {}


def describe_failure(
    problem: BaseException, before: Collection[str], rooms: Collection[str]
) -> dict[str, Any]:
    """The fields of ``dev.failed``. ``before`` are the modules from before the author's; ``rooms``
    those that were asked for.
    """
    error, text = problem.__cause__, str(problem)[:ERROR_CHARS_MAX]
    if error is None:
        return {"error": text, "folders": _folders(_files(before))}
    error.__traceback__ = _from_author(error)
    place = place_of(error)
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    files = _not_installed([*([place[0]] if place else []), *reversed(frames)])
    fields: dict[str, Any] = {"file": place[0], "line": place[1]} if place else {}
    fields["needs_restart"] = isinstance(error, ModuleNotFoundError) and any(
        f"{name}.".startswith(f"{error.name}.") for name in rooms
    )
    folders = _folders([*files, *_files(before)])
    return {"error": text, "traceback": render(error), "folders": folders} | fields


def describe_loaded(
    kinds: Collection[Kind], before: Collection[str], rooms: Collection[str]
) -> dict[str, Any]:
    """The fields of ``dev.loaded``; ``rooms`` are the modules that were asked for."""
    names = [kind.name for kind in kinds]
    named = [str(getattr(sys.modules.get(name), "__file__", None) or "") for name in rooms]
    places = {kind.name: _place_of_type(kind.state) for kind in kinds if kind.state is not None}
    states = dict(zip(places, _fitting(places.values()), strict=False))
    return {
        "folders": _folders([*named, *_files(before)]),
        "states": states,
        "kinds": names if names == _fitting(names) else None,
    }


def _from_author(error: BaseException) -> Any:
    """The traceback from the first frame on that may be the author's."""
    step = error.__traceback__
    while step is not None and not is_authors(step.tb_frame.f_code.co_filename):
        step = step.tb_next
    return step


def _files(before: Collection[str]) -> list[str]:
    """The files of the modules that were imported since ``before`` and may be the author's."""
    return _not_installed(_imported(before))


def _not_installed(files: Iterable[str]) -> list[str]:
    """Those that are neither the standard library's nor an installed package's."""
    paths = sysconfig.get_paths()
    installed = {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib")}
    installed |= {Path(paths[name]).resolve() for name in ("purelib", "platlib")}
    return [file for file in files if not _is_below(file, installed)]


def _imported(before: Collection[str]) -> Iterator[str]:
    for name, module in list(sys.modules.items()):
        file = None if name in before else getattr(module, "__file__", None)
        if isinstance(file, str):
            yield file


def _is_below(file: str, folders: Collection[Path]) -> bool:
    parents = Path(file).resolve().parents
    return any(parent in folders or parent.name in _INSTALLED for parent in parents)


_INSTALLED = {"site-packages", "dist-packages"}


def _folders(files: Iterable[str]) -> list[str]:
    """The folders of those that exist, as many as fit into the event."""
    existing = (Path(file).resolve() for file in dict.fromkeys(files) if Path(file).is_file())
    return _fitting(dict.fromkeys(str(file.parent) for file in existing))


def _fitting(places: Iterable[str]) -> list[str]:
    some = list(places)[:PLACES_MAX]
    sizes = accumulate(len(os.fsencode(place)) for place in some)
    return [place for place, size in zip(some, sizes, strict=True) if size <= PLACES_BYTES_MAX]


def _place_of_type(state: Any) -> str:
    try:
        file, (_, line) = inspect.getsourcefile(state), inspect.getsourcelines(state)
    except (OSError, TypeError):  # not a class or a function, or without a source
        return ""
    return f"{file}:{line}"
