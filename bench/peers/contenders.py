"""Who is measured, and how each is started and ended."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import trio

from lastcall.bench.load.drive import Account
from lastcall.bench.nodes.fleet import Fleet, FleetPlan, open_fleet
from lastcall.bench.nodes.proc import family_cpu_seconds
from lastcall.bench.peers.install import NODE, PYTHON, CannotInstall
from lastcall.errors import ClusterFailed
from lastcall.local.child import Child

__all__ = ["CONTENDERS", "LASTCALL", "WITHOUT_PUMP", "Contender", "Site", "fleet_site"]

READY_SECONDS = 15.0
LASTCALL = "lastcall"
WITHOUT_PUMP = "lastcall-without-pump"
"""To see what the pump is worth; measured only where it is asked for."""
NODE_WORKERS = 2


class Site(msgspec.Struct, frozen=True):
    """A service that runs: where clients connect, and what its processes use."""

    urls: tuple[str, ...]
    account: Account


Opener = Callable[[str, Path], AbstractAsyncContextManager[Site]]


class Contender(msgspec.Struct, frozen=True):
    """One service. ``opened(mode, cache)`` runs it, ``mode`` being ``relay`` or ``sink``."""

    name: str
    dialect: str
    runtime: str
    processes: str
    """What it consists of, for the table's foot."""
    opened: Opener
    works: tuple[str, ...] = ("fanout", "paced", "inbound", "round")
    """What it is measured at."""


@asynccontextmanager
async def _lastcall(_mode: str, _cache: Path) -> AsyncIterator[Site]:
    async with open_fleet(FleetPlan(apis=1, games=1)) as fleet:
        yield fleet_site(fleet)


@asynccontextmanager
async def _lastcall_without_pump(_mode: str, _cache: Path) -> AsyncIterator[Site]:
    plan = FleetPlan(apis=1, games=1, api_env=("LASTCALL_PUMP=off",))
    async with open_fleet(plan) as fleet:
        yield fleet_site(fleet)


def fleet_site(fleet: Fleet) -> Site:
    """Nodes of our own as a site."""
    return Site(
        tuple(fleet.urls),
        lambda: {name: used for name, used in fleet.spent().cpu.items() if name != "bots"},
    )


def _node(program: str) -> Opener:
    return lambda mode, cache: _one([str(cache / NODE / program), mode], _node_path())


def _own(program: str) -> Opener:
    here = Path(__file__).parent
    return lambda mode, _cache: _one([str(here / program), mode], sys.executable)


def _python(program: str) -> Opener:
    here = Path(__file__).parent
    return lambda mode, cache: _one(
        [str(here / program), mode], str(cache / PYTHON / "bin" / "python")
    )


@asynccontextmanager
async def _one(arguments: list[str], interpreter: str) -> AsyncIterator[Site]:
    async with _opened({Path(arguments[0]).stem: [interpreter, *arguments]}) as site:
        yield site


@asynccontextmanager
async def _socketio_with_redis(mode: str, cache: Path) -> AsyncIterator[Site]:
    server = shutil.which("redis-server")
    if server is None:
        raise CannotInstall("redis-server is not installed (Debian: apt install redis-server)")
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as folder:
        path = Path(folder, "redis.sock")
        redis = [server, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        async with _opened({"redis": redis}, ready=path) as store:
            program = str(cache / NODE / "socketio.mjs")
            command = [_node_path(), program, mode, str(path)]
            workers = {f"socket.io-{number + 1}": command for number in range(NODE_WORKERS)}
            async with _opened(workers) as site:
                yield Site(site.urls, lambda: {**store.account(), **site.account()})


def _node_path() -> str:
    return shutil.which("node") or "node"


@asynccontextmanager
async def _opened(commands: dict[str, list[str]], ready: Path | None = None) -> AsyncIterator[Site]:
    """Runs the commands inside the block and kills them after it.

    Each says ``node.ready`` on stdout as our nodes do; or else ``ready`` is a socket to connect to.
    Raises :class:`ClusterFailed`.
    """
    children = [
        Child(name, "peer", [sys.executable, "-m", "lastcall.bench.peers.supervise", *command])
        for name, command in commands.items()
    ]
    async with trio.open_nursery() as nursery:
        for child in children:
            nursery.start_soon(child.run)
        with trio.move_on_after(READY_SECONDS) as limit:
            for child in children:
                await (child.became_ready.wait() if ready is None else _answers(ready))
        lost = [child for child in children if child.ended.is_set()]
        if limit.cancelled_caught or lost:
            words = "\n".join(child.last_output() for child in lost or children)
            raise ClusterFailed(f"{', '.join(commands)} did not start:\n{words}")
        urls = tuple(f"ws://{child.ready.listen}/" for child in children if child.ready)
        yield Site(urls, lambda: {child.name: family_cpu_seconds(child.pid) for child in children})
        nursery.cancel_scope.cancel()


async def _answers(path: Path) -> None:
    while True:
        with contextlib.suppress(OSError):
            await (await trio.open_unix_socket(path)).aclose()
            return
        await trio.sleep(0.02)


CONTENDERS = {
    one.name: one
    for one in (
        Contender(
            *(LASTCALL, "lastcall", "", "one api node and one game node", _lastcall),
            works=("fanout", "paced", "inbound", "said", "round"),
        ),
        Contender(
            *(WITHOUT_PUMP, "lastcall", "", "its api node on the plain socket path"),
            _lastcall_without_pump,
            works=("fanout", "paced", "inbound", "said", "round"),
        ),
        Contender(
            *("kernel", "plain", "", "one loop that reads and writes, and nothing more"),
            opened=_own("kernel_server.py"),
            works=("paced", "inbound", "round"),
        ),
        Contender("ws", "plain", NODE, "one process, no rooms", _node("ws.mjs")),
        Contender("colyseus", "colyseus", NODE, "one process", _node("colyseus.mjs")),
        Contender("socket.io", "socket.io", NODE, "one process", _node("socketio.mjs")),
        Contender(
            "socket.io+redis", "socket.io", NODE, "two processes and Redis", _socketio_with_redis
        ),
        Contender(
            "websockets", "plain", PYTHON, "one process, no rooms", _python("websockets_server.py")
        ),
        Contender(
            "python-socketio", "socket.io", PYTHON, "one process", _python("socketio_server.py")
        ),
    )
}
