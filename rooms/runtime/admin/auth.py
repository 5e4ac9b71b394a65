"""Who may tell a node what to do over HTTP: its operator, and no web page.

A page in an operator's browser can send requests to his loopback. It cannot set a header of its
own without asking first (CORS), cannot hide its ``Origin``, and when it has its name resolved to
our address (DNS rebinding), that name is in ``Host``. So each of the three is looked at; beyond
loopback a bearer token is wanted too.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import msgspec

from lastcall.bus.address import HostPort, parse_host_port
from lastcall.errors import BadAddress, UsageError

__all__ = ["AdminAuth", "AdminRequest", "read_token"]

HEADER = "x-lastcall"
TOKEN_BYTES_MAX = 4096


class AdminRequest(msgspec.Struct, frozen=True):
    """A request to be judged: its headers (lower case), its peer, and where it arrived."""

    headers: Mapping[str, str]
    client: str
    server: HostPort


class AdminAuth:
    """The rules, for one node. ``names`` are further hosts by which the node is known."""

    def __init__(self, names: frozenset[str] = frozenset(), token_file: Path | None = None) -> None:
        self._names = names
        self._token_file = token_file
        if token_file is not None:
            read_token(token_file)

    def refusal(self, visit: AdminRequest) -> str | None:
        """Why the request is refused, in a sentence; None if it may pass."""
        if visit.headers.get(HEADER) != "1":
            return "this needs the header X-Lastcall: 1"
        host = visit.headers.get("host", "")
        if not self._is_ours(host, visit.server):
            return f"the Host {host!r} is not this node's; it is {visit.server}"
        origin = visit.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return f"a page of {origin!r} may not do this"
        if _is_loopback(visit.client):
            return None
        return self._token_refusal(visit.headers.get("authorization", ""))

    def _is_ours(self, host: str, server: HostPort) -> bool:
        try:
            asked = parse_host_port(host)
        except BadAddress:
            return False
        names = self._names | {server.host}
        if _is_loopback(server.host):
            names |= {"localhost"}
        return asked.port == server.port and asked.host in names

    def _token_refusal(self, authorization: str) -> str | None:
        if self._token_file is None:
            return (
                "beyond loopback this needs a token: start the node with --admin-token-file FILE, "
                "and give lastcall the same option"
            )
        # Read anew each time, so that it can be changed while the node runs.
        wanted = read_token(self._token_file)
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, wanted):
            return (
                "this needs the header Authorization: Bearer, with the node's token; "
                "lastcall sends it with --admin-token-file FILE"
            )
        return None


def read_token(file: Path) -> bytes:
    """The token in ``file``; raises :class:`UsageError` for a file that is none."""
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--admin-token-file {file} cannot be read: {error.strerror}") from error
    if not 16 <= len(token) <= TOKEN_BYTES_MAX:
        raise UsageError(
            f"--admin-token-file {file} holds {len(token)} bytes; a token has 16 at least"
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
