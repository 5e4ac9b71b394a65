"""Closes connections to a port for nodes that never begin to speak.

nng has a time limit for its own handshake, but none for that of TLS: a connection that stays silent
would keep its descriptor for ever, and nng does not even show it. So this looks at the kernel's
table (``proc(5)``, ``/proc/net/tcp``) for connections that are none of nng's. Linux only; elsewhere
it does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import msgspec

from lastcall.bus.address import HostPort

PATIENCE_SECONDS = 10.0
"""As long as nng gives its own handshake."""
SILENT_MAX = 256
"""Over this, the oldest are closed before their time."""
ESTABLISHED = b"01"


class Entry(msgspec.Struct, frozen=True):
    """One connection in the kernel's table."""

    local_port: int
    remote_port: int
    inode: int


def parse_table(table: bytes, port: int) -> list[Entry]:
    """The established connections at the local ``port``."""
    mark = b":%04X " % port
    found = []
    for line in table.splitlines():
        if mark not in line:  # nearly all lines are of clients
            continue
        fields = line.split()
        local, remote = (int(text.rpartition(b":")[2], 16) for text in fields[1:3])
        if local == port and fields[3] == ESTABLISHED:
            found.append(Entry(local, remote, int(fields[9])))
    return found


class SilentConnections:
    """Those of the port at ``where``. ``look`` blocks for milliseconds: call it in a thread."""

    def __init__(self, where: HostPort) -> None:
        self._port = where.port
        self._tables = _tables(where.host)
        self._since: dict[Entry, float] = {}
        self.closed = 0

    def look(self, now: float, speaking: Collection[int]) -> None:
        """Closes connections that are silent for too long.

        ``now`` is in seconds of any clock; ``speaking`` are the remote ports of nng's connections.
        """
        listed = [entry for entry in self._read() if entry.remote_port not in speaking]
        self._since = {entry: self._since.get(entry, now) for entry in listed}
        for entry in self.overdue(now):
            self.closed += _close(entry)

    def overdue(self, now: float) -> list[Entry]:
        """The connections to be closed now, the oldest first."""
        oldest = sorted(self._since, key=self._since.__getitem__)
        late = [one for one in oldest if now - self._since[one] >= PATIENCE_SECONDS]
        return oldest[: max(len(late), len(oldest) - SILENT_MAX)]

    def _read(self) -> list[Entry]:
        found = []
        for name in self._tables:
            with suppress(OSError):
                found += parse_table(Path("/proc/self/net", name).read_bytes(), self._port)
        return found


def _tables(host: str) -> list[str]:
    """The kernel's tables with the connections of a port at ``host``; to read one takes 4 ms."""
    with suppress(ValueError):
        return ["tcp" if ip_address(host).version == 4 else "tcp6"]
    return ["tcp", "tcp6"]


def _close(entry: Entry) -> bool:
    """Shuts the connection down, so that nng closes it; whether it was one of this process."""
    wanted = Path(f"socket:[{entry.inode}]")
    for fd in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # it is closed by now
            if fd.readlink() != wanted:
                continue
            with socket.socket(fileno=os.dup(int(fd.name))) as found:
                ports = found.getsockname()[1], found.getpeername()[1]
                if ports == (entry.local_port, entry.remote_port):
                    found.shutdown(socket.SHUT_RDWR)
                    return True
    return False
