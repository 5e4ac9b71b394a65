"""Finds the control sockets of this user's local clusters.

A socket is ``$XDG_RUNTIME_DIR/lastcall/up-8080.sock``, or ``/tmp/lastcall-UID/up-8080.sock``: its
name has the client port, and only its owner can enter the folder.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path

import trio

from lastcall.errors import AddressInUse, ClusterFailed, UsageError

DEFAULT_PORT = 8080
BACKLOG = 16

_NAME = re.compile(r"up-([0-9]{1,5})\.sock")


def folder() -> Path:
    """The private folder, created if it does not exist.

    Raises :class:`ClusterFailed` when it cannot be created, or others can enter it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    own = f"lastcall-{os.getuid()}"
    path = Path(runtime, "lastcall") if runtime else Path(tempfile.gettempdir(), own)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ClusterFailed(f"cannot create {path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ClusterFailed(
            f"{path} must be a folder of yours that nobody else may enter (mode 0700)"
        )
    return path


async def open_control_socket(port: int) -> tuple[trio.SocketListener, Path]:
    """Listens on the control socket of ``port``; replaces a stale one.

    Raises :class:`AddressInUse` when another cluster answers there, and :class:`ClusterFailed` when
    it cannot listen.
    """
    path = folder() / f"up-{port}.sock"
    if await _answers(path):
        raise AddressInUse(f"{path} is in use: another local cluster answers there")
    control = trio.socket.socket(trio.socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        await control.bind(str(path))
        path.chmod(0o600)
        control.listen(BACKLOG)
    except OSError as error:
        control.close()
        raise ClusterFailed(f"cannot listen on {path}: {error.strerror or error}") from error
    return trio.SocketListener(control), path


async def running() -> dict[int, Path]:
    """The local clusters that answer, by client port; removes stale sockets."""
    alive: dict[int, Path] = {}
    for path in sorted(folder().iterdir()):
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        if await _answers(path):
            alive[int(name[1])] = path
        else:
            path.unlink(missing_ok=True)
    return alive


async def _answers(path: Path) -> bool:
    try:
        stream = await trio.open_unix_socket(path)
    except OSError:
        return False
    await stream.aclose()
    return True


async def find(port: int | None) -> Path:
    """The control socket of the cluster on ``port``, by default of the only one that runs.

    Raises :class:`ClusterFailed` when there is none, :class:`UsageError` when there are several.
    """
    alive = await running()
    if port is None and len(alive) > 1:
        ports = ", ".join(map(str, sorted(alive)))
        raise UsageError(f"several local clusters run, on ports {ports}: choose one with --port")
    if port is None and alive:
        (port,) = alive
    port = DEFAULT_PORT if port is None else port
    if port not in alive:
        command = "lastcall up" if port == DEFAULT_PORT else f"lastcall up --port {port}"
        raise ClusterFailed(
            f"no local cluster is running on port {port}; start one with: {command}"
        )
    return alive[port]
