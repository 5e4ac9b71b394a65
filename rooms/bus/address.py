"""Addresses: ``tcp://HOST:PORT`` (and ``ipc:///PATH``), refused with a sentence."""

from __future__ import annotations

import re

import msgspec

from rooms.errors import BadAddress

__all__ = ["TcpAddress", "parse_ipc", "parse_tcp"]

PORT_MAX = 65_535
SUN_PATH_BYTES = 108
"""The room for a Unix socket's path, with its final zero (``unix(7)``)."""
_FORM = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|\*|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})")


class TcpAddress(msgspec.Struct, frozen=True):
    """A host, with the brackets of a literal IPv6 address, and a port; 0 asks for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.port}"


def parse_tcp(address: str, *, dialled: bool = False) -> TcpAddress:
    """Takes ``address`` apart; with ``dialled``, port 0 and the host ``*`` are refused too.

    Raises :class:`rooms.errors.BadAddress`, whose message shows the form that is wanted.
    """
    match = _FORM.fullmatch(address)
    if match is None or int(match["port"]) > PORT_MAX:
        raise BadAddress(
            f"{address!r} is not an address of the form tcp://HOST:PORT, "
            f"such as tcp://127.0.0.1:7101"
        )
    found = TcpAddress(match["host"], int(match["port"]))
    if dialled and (found.port == 0 or found.host == "*"):
        raise BadAddress(
            f"{address!r} cannot be dialled: it takes one host and its port, tcp://HOST:PORT"
        )
    return found


def parse_ipc(address: str) -> str | None:
    """Returns the path of ``ipc:///PATH``, or ``None`` for an address of another scheme.

    Raises :class:`rooms.errors.BadAddress` for a path that no Unix socket can have.
    """
    if not address.startswith("ipc://"):
        return None
    path = address.removeprefix("ipc://")
    if not path.startswith("/") or len(path.encode()) >= SUN_PATH_BYTES:
        raise BadAddress(
            f"{address!r} is not tcp://HOST:PORT, nor ipc:///PATH with an absolute path "
            f"of less than {SUN_PATH_BYTES} bytes"
        )
    return path
