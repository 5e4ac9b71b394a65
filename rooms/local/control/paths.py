"""Finds the control sockets of this user's local clusters.

A socket is ``$XDG_RUNTIME_DIR/lastcall/up-8080.sock``, or ``/tmp/lastcall-UID/up-8080.sock``: its
name has the client port, and only its owner can enter the folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def open_control_socket(port: int) -> tuple[trio.SocketListener, Path]:
    """Listens on the control socket of ``port``; removes stale ones.

    Raises :class:`AddressInUse` when another cluster answers there, and :class:`ClusterFailed` when
    it cannot listen.
    """
    path = folder() / f"up-{port}.sock"
    with _locked(path.parent):
        if port in _remove_stale(path.parent):
            raise AddressInUse(f"{path} is in use: another local cluster answers there")
        control = socket.socket(socket.AF_UNIX)
        try:
            control.bind(str(path))
            path.chmod(0o600)
            control.listen(BACKLOG)
        except OSError as error:
            control.close()
            raise ClusterFailed(f"cannot listen on {path}: {error.strerror or error}") from error
    return trio.SocketListener(trio.socket.from_stdlib_socket(control)), path


def running() -> dict[int, Path]:
    """The local clusters that answer, by client port; removes stale sockets."""
    path = folder()
    with _locked(path):
        return _remove_stale(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps other processes from opening and removing sockets in the folder. Without the lock, one
    that is bound and does not listen yet would be taken for a stale one.

    Do not wait inside: another task of this process would block the loop here.
    """
    lock = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_stale(path: Path) -> dict[int, Path]:
    """Removes the sockets in the folder that do not answer; returns the others by client port."""
    alive: dict[int, Path] = {}
    for found in sorted(path.iterdir()):
        name = _NAME.fullmatch(found.name)
        if name is None:
            continue
        if _answers(found):
            alive[int(name[1])] = found
        else:
            found.unlink(missing_ok=True)
    return alive


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            caller.connect(str(path))
        except BlockingIOError:  # it listens, and its backlog is full
            return True
        except OSError:
            return False
    return True


def find(port: int | None) -> Path:
    """The control socket of the cluster on ``port``, by default of the only one that runs.

    Raises :class:`ClusterFailed` when there is none, :class:`UsageError` when there are several.
    """
    alive = running()
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
