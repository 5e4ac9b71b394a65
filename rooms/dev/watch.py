"""Hears the author's saves: watches the folders of their files, by watchfiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import trio
from watchfiles import DefaultFilter, PythonFilter, awatch

from lastcall.exception_groups import lone_error

STEP_MS, DEBOUNCE_MS = 25, 200
"""A save is several events: it is over after a step without one, or at the latest after these."""
LOOK_SECONDS = 1.0
"""Between two looks whether a folder is another one, such as after a change of branch."""
OVERLAP_SECONDS = 0.1
"""A new watch begins before the old one ends, so that no save falls between the two."""

LIMIT = (
    "The system watches no more files ({error}): saves are found by looking at each file three "
    "times a second. To do without, raise the limit: "
    "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
)

Saved = Callable[[list[Path]], None]


class Watch:
    """Calls ``saved`` with the files of each save: Python files in the folders that it follows, and
    any files below ``trees``. Files that editors and tools write beside them do not count.

    ``show`` is called with what the author should know.
    """

    def __init__(self, saved: Saved, show: Callable[[str], None], trees: Iterable[Path]) -> None:
        self._saved = saved
        self._show = show
        self._trees = frozenset(tree.resolve() for tree in trees)
        self._folders: set[Path] = set()
        self._changed = trio.Event()
        self._polls = False
        self._ignores = False
        """Some folder may not be read. The library then hides that it is at a limit, too."""

    def follow(self, folders: Iterable[str | Path]) -> None:
        """Watches these folders, too, from now on."""
        resolved = {Path(folder).resolve() for folder in folders}
        if not resolved <= self._folders:
            self._folders |= resolved
            self._changed.set()

    async def run(self) -> None:
        """Watches until cancelled."""
        watched: dict[Path, tuple[int, int]] = {}
        scope = trio.CancelScope()
        async with AsyncExitStack() as pins, trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                found = _identities(self._folders | self._trees)
                if found != watched:
                    await pins.aclose()
                    _pin(found, pins)
                    again = [one for one in found if watched.get(one, found[one]) != found[one]]
                    old, scope, watched = scope, trio.CancelScope(), found
                    nursery.start_soon(self._watch, frozenset(found), scope)
                    await trio.sleep(OVERLAP_SECONDS)
                    old.cancel()
                    if again:
                        self._saved(again)
                with trio.move_on_after(LOOK_SECONDS):
                    await self._changed.wait()

    async def _watch(self, found: frozenset[Path], scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                folders, trees = found - self._trees, found & self._trees
                if folders:
                    python: Any = PythonFilter()
                    nursery.start_soon(partial(self._hear, folders, python, recursive=False))
                if trees:
                    nursery.start_soon(partial(self._hear, trees, DefaultFilter(), recursive=True))

    async def _hear(
        self, paths: Iterable[Path], watch_filter: DefaultFilter, *, recursive: bool
    ) -> None:
        while True:
            polls, ignores = self._polls, self._ignores  # two tasks may find the same at once
            try:
                with lone_error():
                    await self._hear_to_the_end(paths, watch_filter, recursive=recursive)
            except FileNotFoundError:  # it has just gone: the next look finds that
                await trio.sleep(inf)
            except PermissionError:
                if ignores:
                    raise
                self._ignores = True
            except (OSError, RuntimeError) as error:  # of the library: its own is a RuntimeError
                if polls:
                    raise
                if not self._polls:
                    self._show(LIMIT.format(error=error))
                self._polls = True

    async def _hear_to_the_end(
        self, paths: Iterable[Path], watch_filter: DefaultFilter, *, recursive: bool
    ) -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_cancelled, stop)
            async for changes in awatch(
                *paths,
                watch_filter=watch_filter,
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                stop_event=stop,
                force_polling=self._polls or None,
                recursive=recursive,
                ignore_permission_denied=self._ignores,
            ):
                self._saved(sorted({Path(path) for _, path in changes}))


async def _set_when_cancelled(stop: trio.Event) -> None:
    """The library's thread cannot be cancelled, but looks at this event at each step."""
    try:
        await trio.sleep_forever()
    finally:
        stop.set()


def _identities(folders: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Those of the folders that exist; a folder that was made anew is another one."""
    found = {}
    for folder in folders:
        try:
            now = os.stat(folder)  # noqa: PTH116 - the fields of this call
        except OSError:
            continue
        found[folder] = (now.st_dev, now.st_ino)
    return found


def _pin(folders: Iterable[Path], pins: AsyncExitStack) -> None:
    """Keeps their numbers: the system would give that of a deleted one to the next folder."""
    for folder in folders:
        with suppress(OSError):  # it has just gone, or there are no more descriptors
            pins.callback(os.close, os.open(folder, os.O_PATH | os.O_CLOEXEC))
