"""``lastcall dev``: one api node, which keeps the clients, and a game node for each version.

::

    start the api node and the page → load the code → serve → stop asked → both tiers drain
                                      └─ at each save: the next version, into which rooms move

The api node has all sockets, and imports none of the rooms: that is why no client notices a reload.
An author's ``--auth`` is imported there, once. The first Ctrl-C or SIGTERM drains, as
``lastcall up`` does; the second cuts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import trio
from rich.console import Console

from lastcall.core.reloads import STEADY_SECONDS
from lastcall.dev.forks import open_forks
from lastcall.dev.telling import Author
from lastcall.dev.versions import Versions, dev_command
from lastcall.dev.watch import Watch
from lastcall.errors import LastcallError
from lastcall.exception_groups import unwrap_single
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster, open_cluster
from lastcall.local.console import print_text
from lastcall.local.control.socket import serve_control
from lastcall.local.dashboard.local import LocalPage, serving
from lastcall.local.plan import Plan
from lastcall.local.roll.service import Rolls
from lastcall.local.starting import failure_of, not_ready
from lastcall.local.stopping import count_signals, drain
from lastcall.local.summary import exit_code, summarize, summary_text
from lastcall.reasons import ExitCode

VERBS = ("cordon", "uncordon", "kill")
"""Of the page: a drained node would not come back before the next save."""
REFUSED = re.compile(r"\S+: warning: (?:handoff|survival)\.refused ")
NO_ROLL = "is run by `lastcall dev`, which loads new code at each save"


class Dev:
    """One run, from its start to its end.

    ``modules`` are the author's, and the files below ``trees`` count as their code, too. ``browse``
    is called with the URL of the page when it serves.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        modules: Iterable[str],
        trees: Iterable[Path],
        console: Console,
        browse: Callable[[str], Awaitable[object]],
    ) -> None:
        self._plan = plan
        self._modules = list(modules)
        self._trees = trees
        self._console = console
        self._browse = browse
        self._stop = trio.Event()
        self._cut = trio.Event()

    async def run(self, signals: AsyncIterator[int]) -> ExitCode:
        """Serves until a signal asks for the stop, and drains; returns the exit code.

        Raises :class:`UsageError` and :class:`ClusterFailed` when it cannot serve.
        """
        code = ExitCode.CRASHED
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(count_signals, signals, self._stop, self._cut)
                code = await self._run()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failed = unwrap_single(group, LastcallError)
            if failed is None:
                raise
            raise failed from failed.__cause__
        return code

    async def _run(self) -> ExitCode:
        def on_death(child: Child) -> None:
            page.on_death(child)
            if child.tier == "game":
                versions.on_death(child)

        def on_event(line: bytes) -> None:
            page.on_output(line)  # no node runs before the cluster is open
            versions.on_output(line)

        def saved(files: list[Path]) -> None:
            author.saved(files)
            if warning := auth_warning(self._plan.auth.auth, files):
                self._show(warning)
            versions.saved()

        async with (
            open_forks() as forks,
            open_cluster(
                self._plan,
                on_death,
                start=dev_command,
                spawns={"game": forks.spawn},
                show=self._show_output,
                on_event=on_event,
            ) as cluster,
        ):
            self._show(f"See and play: {cluster.page}")
            ledger = Ledger(trio.current_time)
            rolls = Rolls(cluster, ledger, 0, lambda _, text: self._show(text), refusal=NO_ROLL)
            page = LocalPage(cluster, rolls, None, VERBS)
            author = Author(self._show, self._console, page, self._plan.drain.grace_seconds)
            watch = Watch(saved, self._show, self._trees)
            watch.follow([Path.cwd(), *(_place(name).parent for name in self._modules)])
            async with trio.open_nursery() as nursery:
                versions = Versions(cluster, author, watch.follow, nursery)
                nursery.start_soon(watch.run)
                async with serving(page), serve_control(cluster.port, rolls, self._show):
                    code = await self._serve(cluster, versions, nursery)
                nursery.cancel_scope.cancel()
        return code

    async def _serve(
        self, cluster: LocalCluster, versions: Versions, nursery: trio.Nursery
    ) -> ExitCode:
        nursery.start_soon(keep_api, cluster, self._stop, self._show)
        nursery.start_soon(self._browse, cluster.page)
        versions.saved()  # the first version
        await self._stop.wait()
        versions.stop()
        left = cluster.living()
        await drain(cluster, self._cut, self._show)
        code = exit_code(left, None)
        if code is not ExitCode.DRAINED:
            self._show(summary_text(summarize(left, None, code)))
        return code

    def _show_output(self, text: str) -> None:
        """Nodes' warnings, and what rooms print; refused rooms are told in other words."""
        if not REFUSED.match(text):
            self._show(text)

    def _show(self, text: str) -> None:
        print_text(self._console, text)


async def keep_api(cluster: LocalCluster, stop: trio.Event, show: Callable[[str], None]) -> None:
    """Starts the api node again whenever it ends, until ``stop``; clients that come meanwhile wait.

    Raises :class:`UsageError` or :class:`ClusterFailed` when it does not start, or ends soon.
    """
    child, first = cluster.living("api")[0], True
    seconds = cluster.plan.start_seconds
    while True:
        with trio.move_on_after(seconds):
            await child.became_ready.wait()
        if stop.is_set():
            return
        if child.ready is None:
            raise failure_of(child) if child.ended.is_set() else not_ready([child], seconds)
        child.serving = True
        if first:
            show(f"Clients connect to {cluster.url}; Ctrl-C drains.")
        first, began_at = False, trio.current_time()
        await child.ended.wait()
        if stop.is_set():
            return
        if trio.current_time() - began_at < STEADY_SECONDS:
            raise failure_of(child)
        cluster.forget(child)
        show(f"{child.how_it_ended()}: another one takes its place.")
        child = cluster.launch("api", child.version)


def auth_warning(auth: str | None, files: Iterable[Path]) -> str:
    """The words for a save of the module of ``--auth``; none if it is not among these files."""
    module, colon, _ = (auth or "").partition(":")
    if not colon or _place(module) not in {file.with_suffix("") for file in files}:
        return ""
    return (
        f"--auth {module} is imported by the api node, which keeps the clients and does not "
        "reload: start `lastcall dev` again for its new code."
    )


def _place(module: str) -> Path:
    """Where the file of this module would be below the current folder, without its ``.py``."""
    path = Path.cwd().joinpath(*module.split(".")).resolve()
    return path / "__init__" if path.is_dir() else path
