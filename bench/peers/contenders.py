"""The services that are measured, and how each is started and ended."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import trio

from lastcall.bench.load.drive import ReadCpu
from lastcall.bench.nodes.fleet import MANY, FleetPlan, open_fleet
from lastcall.bench.nodes.proc import family_cpu_seconds
from lastcall.bench.peers.install import NODE, PYTHON, CannotInstall
from lastcall.errors import ClusterFailed
from lastcall.limits import write_limits
from lastcall.local.child import Child
from lastcall.local.private_folder import private_folder

READY_SECONDS = 15.0
LASTCALL = "lastcall"
SERVE = "lastcall-serve"
"""Both tiers in one process."""
WITHOUT_PUMP = "lastcall-without-pump"
"""Shows the effect of the pump; measured only with ``--only``."""
NODE_WORKERS = 2
HERE = Path(__file__).parent


class Service(msgspec.Struct, frozen=True):
    """A running service: the URLs for clients, and the processor time of its processes."""

    urls: tuple[str, ...]
    read_cpu: ReadCpu


Opener = Callable[[str, Path], AbstractAsyncContextManager[Service]]
"""``(mode, cache)``: runs a service; ``mode`` is ``relay`` or ``sink``."""


class Contender(msgspec.Struct, frozen=True):
    """One service to measure."""

    name: str
    protocol: str
    runtime: str
    open: Opener
    workloads: tuple[str, ...] = ("fanout", "paced", "inbound", "round")


@asynccontextmanager
async def open_service(
    urls: Sequence[str] = (),
    *,
    apis: int = 1,
    api_env: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> AsyncIterator[Service]:
    """The Lastcall cluster at ``urls``, or new nodes with ``options`` inside the block.

    Raises ``ClusterFailed``.
    """
    if urls:
        yield Service(tuple(urls), dict)
        return
    plan = FleetPlan(apis=apis, games=1, api_env=api_env, options=options, limits=MANY)
    async with open_fleet(plan) as fleet:
        yield Service(tuple(fleet.urls), fleet.node_cpu)


def _lastcall(*api_env: str) -> Opener:
    return lambda _mode, _cache: open_service(api_env=api_env)


@asynccontextmanager
async def open_serve() -> AsyncIterator[Service]:
    """``lastcall serve``, both tiers in one process, inside the block.

    Raises ``ClusterFailed``.
    """
    with private_folder("lastcall-bench-") as folder:
        limits = folder / "limits.toml"
        limits.write_text(write_limits(MANY), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "lastcall.serve", "--name", "serve"),
            *("--rooms", "lastcall.bench.rooms", "--config", str(limits)),
            *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"),
        ]
        async with _open_processes({"serve": command}) as service:
            yield service


def _node(program: str) -> Opener:
    return lambda mode, cache: _open_one(_node_path(), cache / NODE / program, mode)


def _own_python(program: str) -> Opener:
    return lambda mode, _cache: _open_one(sys.executable, HERE / program, mode)


def _python(program: str) -> Opener:
    return lambda mode, cache: _open_one(str(cache / PYTHON / "bin/python"), HERE / program, mode)


def _open_one(interpreter: str, program: Path, mode: str) -> AbstractAsyncContextManager[Service]:
    return _open_processes({program.stem: [interpreter, str(program), mode]})


@asynccontextmanager
async def _socketio_with_redis(mode: str, cache: Path) -> AsyncIterator[Service]:
    server = shutil.which("redis-server")
    if server is None:
        raise CannotInstall("redis-server is not installed (Debian: apt install redis-server)")
    with private_folder("lastcall-bench-") as folder:
        path = folder / "redis.sock"
        redis = [
            server,
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        async with _open_processes({"redis": redis}, ready=path) as store:
            program = str(cache / NODE / "socketio.mjs")
            command = [_node_path(), program, mode, str(path)]
            workers = {f"socket.io-{number + 1}": command for number in range(NODE_WORKERS)}
            async with _open_processes(workers) as io:
                yield Service(io.urls, lambda: {**store.read_cpu(), **io.read_cpu()})


def _node_path() -> str:
    return shutil.which("node") or "node"


@asynccontextmanager
async def _open_processes(
    commands: dict[str, list[str]], ready: Path | None = None
) -> AsyncIterator[Service]:
    """Runs the commands inside the block and kills them after it.

    A process is ready once it prints ``node.ready`` as Lastcall's nodes do, or accepts a connection
    on the socket ``ready``. Raises :class:`ClusterFailed`.
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
                await (child.became_ready.wait() if ready is None else _wait_accepting(ready))
        ended = [child for child in children if child.ended.is_set()]
        if limit.cancelled_caught or ended:
            output = "\n".join(child.last_output() for child in ended or children)
            raise ClusterFailed(f"{', '.join(commands)} did not start:\n{output}")
        urls = tuple(f"ws://{child.ready.listen}/" for child in children if child.ready)
        pids = {child.name: child.pid for child in children}
        yield Service(urls, lambda: {name: family_cpu_seconds(pid) for name, pid in pids.items()})
        nursery.cancel_scope.cancel()


async def _wait_accepting(path: Path) -> None:
    while True:
        with contextlib.suppress(OSError):
            await (await trio.open_unix_socket(path)).aclose()
            return
        await trio.sleep(0.02)


ALL_WORKLOADS = ("fanout", "paced", "inbound", "said", "round")
CONTENDERS = {
    one.name: one
    for one in (
        Contender(LASTCALL, "lastcall", "", _lastcall(), ALL_WORKLOADS),
        Contender(SERVE, "lastcall", "", lambda _mode, _cache: open_serve(), ALL_WORKLOADS),
        Contender(WITHOUT_PUMP, "lastcall", "", _lastcall("LASTCALL_PUMP=off"), ALL_WORKLOADS),
        Contender(
            *("kernel", "plain", "", _own_python("kernel_server.py")),
            workloads=("paced", "inbound", "round"),
        ),
        Contender("ws", "plain", NODE, _node("ws.mjs")),
        Contender("colyseus", "colyseus", NODE, _node("colyseus.mjs")),
        Contender("socket.io", "socket.io", NODE, _node("socketio.mjs")),
        Contender("socket.io+redis", "socket.io", NODE, _socketio_with_redis),
        Contender("websockets", "plain", PYTHON, _python("websockets_server.py")),
        Contender("python-socketio", "socket.io", PYTHON, _python("socketio_server.py")),
    )
}
