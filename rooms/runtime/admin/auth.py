"""Authorises what is asked of the admin port: by the node's operator, and not by web pages.

A page in an operator's browser can send requests to their loopback. But it cannot set its own
header without a preflight request (CORS), it cannot hide its ``Origin``, and if it resolves its
name to our address (DNS rebinding), that name is in ``Host``. So all three are checked for a
command, and ``Host`` for what is read. A command also needs the node's bearer token, from loopback
too, where a proxy or a sidecar may speak for anybody. Without a token, only loopback may command.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.errors import BadAddress, UsageError
from lastcall.runtime.address import is_loopback
from lastcall.runtime.admin.hosts import KnownHosts
from lastcall.runtime.rated_log import RatedLog

HEADER = "x-lastcall"
TOKEN_BYTES_MAX = 4096
NOT_CONFIGURED = (
    "beyond loopback a token is required: start the node with --admin-token-file FILE, "
    "and give lastcall the same option"
)
NOT_GIVEN = (
    "the header Authorization: Bearer with the node's token is missing or wrong; "
    "lastcall sends it with --admin-token-file FILE"
)


class AdminRequest(msgspec.Struct, frozen=True):
    """A request to authorise: its headers (lower case), its client's host, and our address."""

    headers: Mapping[str, str]
    client: str
    server: HostPort


class AdminAuth:
    """The rules of one node. ``hosts`` are further hosts by which the node is known."""

    def __init__(self, hosts: Iterable[str] = (), token_file: Path | None = None) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._known = KnownHosts(self._hosts)
        self._token_file = token_file
        self._token = b"" if token_file is None else read_token(token_file)
        self._unreadable = RatedLog("admin.token_unreadable", clock=time.monotonic)

    def host_refusal(self, host: str) -> str | None:
        """Why nothing is shown to somebody who asks ``host``; None if it may be shown."""
        if host in self._known:
            return None
        return (
            f"the Host {host!r} is not this node's: ask by its IP address, or start the node with "
            "--admin-hosts NAME"
        )

    def command_refusal(self, request: AdminRequest) -> str | None:
        """Why a command is refused, in a sentence; None if it is allowed."""
        if request.headers.get(HEADER) != "1":
            return "the header X-Lastcall: 1 is missing"
        host = request.headers.get("host", "")
        if not self._is_ours(host, request.server):
            return f"the Host {host!r} is not this node's: use {request.server}"
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return f"a page of {origin!r} may not send commands"
        if self._token_file is None:
            return None if is_loopback(request.client) else NOT_CONFIGURED
        return self._token_refusal(request.headers.get("authorization", ""), self._token_file)

    def _is_ours(self, host: str, server: HostPort) -> bool:
        try:
            asked = parse_host_port(host)
        except BadAddress:
            return False
        hosts = self._hosts | {server.host}
        if is_loopback(server.host):
            hosts |= {"localhost"}
        return asked.port == server.port and asked.host.lower() in hosts

    def _token_refusal(self, authorization: str, file: Path) -> str | None:
        expected, given = self._expected(file), bearer_token(authorization)
        if given is None or not hmac.compare_digest(given, expected):
            return NOT_GIVEN
        return None

    def _expected(self, file: Path) -> bytes:
        """The token, read each time, so that it can be changed while the node runs.

        While the file is missing or half-written, or there is no descriptor to read it, the last
        one stays.
        """
        try:
            self._token = read_token(file)
        except UsageError as error:
            self._unreadable.warning(reason=str(error))
        return self._token


def bearer_token(authorization: str) -> bytes | None:
    """The token in the header ``Authorization``, or None if it has none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip().encode() if scheme.lower() == "bearer" else None


def read_token(file: Path) -> bytes:
    """The token in ``file``; raises :class:`UsageError` if it is unreadable or not a token."""
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--admin-token-file {file} cannot be read: {error.strerror}") from error
    if not 16 <= len(token) <= TOKEN_BYTES_MAX:
        raise UsageError(
            f"--admin-token-file {file} has {len(token)} bytes: a token needs 16 to "
            f"{TOKEN_BYTES_MAX}"
        )
    return token
