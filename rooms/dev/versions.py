"""Runs the versions of the author's code, as :mod:`lastcall.core.reloads` decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Protocol, assert_never

import msgspec
import trio

from lastcall.core.reloads import Action, Discard, Leave, Reloads, Start, Stop
from lastcall.dev.reports import LEAVE, Failed, Left, Loaded
from lastcall.local.child import Child, node_command
from lastcall.local.cluster import LocalCluster
from lastcall.local.roll.plan import next_version
from lastcall.local.starting import failure_of
from lastcall.reasons import ExitCode
from lastcall.wire import UNREADABLE

LINKED_SECONDS = 2.0
LEAVE_SECONDS = 8.0
"""A version that has not answered by then is blocked, by a room that never waits."""


class Telling(Protocol):
    """Tells the author."""

    def failed(self, child: Child, failure: Failed, *, first: bool) -> None:
        """The code of ``child`` does not run; ``first``: and no other code does."""

    def loaded(self, child: Child, loaded: Loaded, seconds: float) -> None:
        """New rooms have the code of ``child`` from now on, ``seconds`` after the save."""

    def left(self, child: Child, left: Left, loaded: Loaded) -> None:
        """The rooms of an old version have moved to the newest, ``loaded`` one, or have not."""

    def blocked(self, child: Child) -> None:
        """An old version does not answer."""

    def ended(self, child: Child) -> None:
        """An old version is gone, as it was told to."""

    def died(self, child: Child, *, again: bool) -> None:
        """A version is gone, and nobody has told it to; other code runs, or it does ``again``."""


class _Said(msgspec.Struct, frozen=True):
    event: str
    node: str = ""
    game: str = ""


class Versions:
    """The game nodes of ``cluster``. ``follow`` gets the folders of the author's files."""

    def __init__(
        self,
        cluster: LocalCluster,
        telling: Telling,
        follow: Callable[[Iterable[str]], None],
        nursery: trio.Nursery,
    ) -> None:
        self._cluster = cluster
        self._telling = telling
        self._follow = follow
        self._nursery = nursery
        self._reloads = Reloads()
        self._children: dict[int, Child] = {}
        self._first: Child | None = next(iter(cluster.living("game")), None)
        """The game node that the cluster has begun with."""
        self._failures: dict[str, Failed] = {}
        self._loaded: dict[str, Loaded] = {}
        self._links: defaultdict[str, set[str]] = defaultdict(set)
        """By the name of a game node: those that have a link to it."""
        self._news = trio.Event()
        self._saved_at = self._pending_at = inf
        """When the save was that is being tried, and the first one after it."""
        self._stopping = False
        self.has_served = False
        """Whether any code has loaded yet."""

    def saved(self) -> None:
        """The author has saved."""
        now = trio.current_time()
        self._pending_at = min(self._pending_at, now)
        self._do(self._reloads.saved(now))

    def on_output(self, line: bytes) -> None:
        """A node has written an event of its log."""
        try:
            said = msgspec.json.decode(line, type=_Said)
            match said.event:
                case "link.up":
                    self._links[said.game].add(said.node)
                case "dev.failed":
                    self._failures[said.node] = msgspec.json.decode(line, type=Failed)
                case "dev.loaded":
                    self._loaded[said.node] = msgspec.json.decode(line, type=Loaded)
                case "dev.left":
                    self._on_left(said.node, msgspec.json.decode(line, type=Left))
                case _:
                    return
        except UNREADABLE:  # an author's code may print anything
            return
        self._news.set()
        self._news = trio.Event()

    def on_death(self, child: Child) -> None:
        """A version has ended that served, and nobody has asked it to."""
        version = self._version_of(child)
        if version is None:
            return
        del self._children[version]
        self._forget(child.name)
        actions = self._reloads.died(version, trio.current_time())
        again = any(isinstance(action, Start) for action in actions)
        self._telling.died(child, again=again or self._reloads.serving is not None)
        self._do(actions)

    def stop(self) -> None:
        """Nothing is started any more."""
        self._stopping = True
        self._do(self._reloads.stop())

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Start(version):
                    for old in self._children.values():
                        old.refusals.clear()  # those of the next version begin when it is met
                    child = self._children[version] = self._launch()
                    self._saved_at = min(self._pending_at, trio.current_time())
                    self._pending_at = inf
                    self._nursery.start_soon(self._follow_start, version, child)
                case Discard(version):
                    self._nursery.start_soon(self._discard, version)
                case Leave(version):
                    child = self._children[version]
                    self._nursery.start_soon(self._leave, version, child)
                case Stop(version):
                    child = self._children[version]
                    self._nursery.start_soon(self._replace, version, child)
                case _:
                    assert_never(action)

    # One version.

    def _launch(self) -> Child:
        first, self._first = self._first, None
        if first is not None:
            return first
        cluster = self._cluster
        games = {one.version for one in cluster.children if one.tier == "game"}
        return cluster.launch("game", next_version(games or {cluster.plan.version}))

    async def _follow_start(self, version: int, child: Child) -> None:
        seconds = self._cluster.plan.start_seconds
        with trio.move_on_after(seconds):
            await child.became_ready.wait()
        if child.ready is not None:
            with trio.move_on_after(LINKED_SECONDS):
                await self._wait_linked(child)
        if self._reloads.trying != version:  # a save has ended it
            return
        now = trio.current_time()
        loaded = self._loaded.get(child.name, Loaded())
        if child.ready is None or child.ended.is_set():
            failure = self._failures.pop(child.name, None) or _why_not(child, seconds)
            if not self.has_served and failure.needs_restart:
                raise failure_of(child)
            self._follow(failure.folders)
            self._telling.failed(child, failure, first=self._reloads.serving is None)
            self._do(self._reloads.failed(version, now))
        else:
            self._follow(loaded.folders)
            child.serving = self.has_served = True
            for dead in self._cluster.dead("game"):
                self._cluster.forget(dead)
            self._telling.loaded(child, loaded, now - self._saved_at)
            self._do(self._reloads.loaded(version, now))

    async def _wait_linked(self, child: Child) -> None:
        """Until all who must know the node know it: otherwise a player would have to wait."""
        known = {one.name for one in self._cluster.living("api") if one.ready is not None}
        givers = self._reloads.staying | {self._reloads.serving}
        known |= {one.name for version, one in self._children.items() if version in givers}
        while not known <= self._links[child.name] and not child.ended.is_set():
            await self._news.wait()

    async def _leave(self, version: int, child: Child) -> None:
        with trio.move_on_after(LEAVE_SECONDS):
            await child.say(LEAVE)
            while version in self._reloads.leaving and not child.ended.is_set():
                await self._news.wait()
        if version in self._reloads.leaving and not child.ended.is_set():
            self._telling.blocked(child)
            self._do(self._reloads.left(version, trio.current_time(), stays=False))

    def _on_left(self, name: str, left: Left) -> None:
        child = next((one for one in self._children.values() if one.name == name), None)
        version = None if child is None else self._version_of(child)
        if child is None or version is None:
            return
        serving = self._children.get(self._reloads.serving or 0)
        loaded = self._loaded.get("" if serving is None else serving.name, Loaded())
        self._telling.left(child, left, loaded)
        self._do(self._reloads.left(version, trio.current_time(), stays=left.left > 0))

    async def _discard(self, version: int) -> None:
        child = self._children.pop(version)
        await self._cluster.discard(child)
        self._forget(child.name)

    async def _replace(self, version: int, child: Child) -> None:
        await self._cluster.replace(child)
        if self._children.pop(version, None) is None:  # it had died before it was told
            return
        self._telling.ended(child)
        self._forget(child.name)
        if not self._stopping:
            self._cluster.forget(child)

    def _forget(self, name: str) -> None:
        for known in (self._failures, self._loaded, self._links):
            known.pop(name, None)

    def _version_of(self, child: Child) -> int | None:
        return next((one for one, other in self._children.items() if other is child), None)


def _why_not(child: Child, seconds: float) -> Failed:
    if child.ended.is_set():
        refused = child.exit_code == ExitCode.USAGE
        text = f"{child.how_it_ended()}. Its last output:\n{child.last_output()}"
        return Failed(text, needs_restart=refused)
    return Failed(
        f"the code is still being imported after {seconds:g} s (--start-timeout): does it wait for "
        f"something when it is imported? Its last output:\n{child.last_output()}"
    )


def dev_command(tier: str, *arguments: str) -> list[str]:
    """The command of an api node; a game node is a fork, which needs its arguments alone."""
    return list(arguments) if tier == "game" else node_command(tier, *arguments)
