"""A client's opening request: its bytes, and what is wrong with it (RFC 6455 §4.2.1).

The protocol library takes a request that RFC 6455 refuses (a key that is not one, HTTP/1.0, a body)
and fails at bytes that HTTP allows (obs-text, RFC 9110 §5.5). So requests are checked here, on h11,
and the library is given :func:`plain_request` in place of the client's bytes: it cannot see more in
them than we have, and keeps no cookies.
"""

from __future__ import annotations

import base64
import binascii
import re
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlsplit

import h11
import msgspec

HEAD_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100
KEY_BYTES = 16
VERSION = "13"

_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]+")
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")

Headers = tuple[tuple[str, str], ...]


class OpeningRequest(msgspec.Struct, frozen=True):
    """A request for a WebSocket that RFC 6455 allows."""

    path: str
    query: str
    """As it was sent, without the question mark; it may hold a token, and must not be logged."""
    headers: Headers
    """Names in lower case, values as Latin-1; in their order, and as often as they came."""
    subprotocols: tuple[str, ...]
    key: str

    def values(self, name: str) -> list[str]:
        """The values of the header ``name`` (in lower case), in their order."""
        return _values(self.headers, name)


class Refusal(msgspec.Struct, frozen=True):
    """An HTTP answer in place of a WebSocket; ``reason`` is its body."""

    status: int
    reason: str
    headers: Headers = ()


TOO_LARGE = Refusal(431, "the request's head is too large")
"""More than :data:`HEAD_BYTES_MAX`, or more than :data:`HEADERS_MAX`."""


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class OpeningReader:
    """Reads one request, cut at any byte: of at most 16 KiB (and one read more) and 100 headers."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._method = b""

    def read(self, data: bytes) -> OpeningRequest | Refusal | None:
        """The request, once it is whole, or the answer to a wrong one; None if more is to come.

        Raises nothing; ``data`` must not be empty. After a result it must not be called again.
        """
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            # It is in a frame of its own traceback: a cycle that only a full collection ends.
            error.__traceback__ = None
            if error.error_status_hint == 431:
                return TOO_LARGE
            return Refusal(400, f"not a request of HTTP/1.1 ({str(error).partition(':')[0]})")
        if not isinstance(event, h11.Request):
            return None
        self._method = event.method
        try:
            return _checked(event)
        except _Refused as refused:
            return refused.refusal

    @property
    def early(self) -> bytes:
        """The bytes behind the request: frames of a client that did not wait for the answer."""
        return self._http.trailing_data[0]

    def answer(self, refusal: Refusal) -> bytes:
        """The HTTP response that says ``refusal``, and that the connection ends with it."""
        body = refusal.reason.encode(errors="replace")
        headers = [
            *refusal.headers,
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        phrase = HTTPStatus(refusal.status).phrase.encode()
        response = h11.Response(status_code=refusal.status, reason=phrase, headers=headers)
        content = [] if self._method == b"HEAD" else [h11.Data(data=body)]
        parts = (response, *content, h11.EndOfMessage())
        return b"".join(self._http.send(part) or b"" for part in parts)


def plain_request(request: OpeningRequest, subprotocol: str | None) -> bytes:
    """The bytes of a request that means the same to the protocol library, and nothing more."""
    offer = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return (
        "GET / HTTP/1.1\r\nHost: lastcall\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {request.key}\r\n{offer}\r\n"
    ).encode()


def _checked(event: h11.Request) -> OpeningRequest:
    """Raises :class:`_Refused`; h11 has seen to the syntax of HTTP and to one ``Host``."""
    headers = tuple((name.decode(), value.decode("latin-1")) for name, value in event.headers)
    _check_http(event, headers)
    _check_upgrade(headers)
    path, query = _split(event.target.decode())
    return OpeningRequest(
        path=path,
        query=query,
        headers=headers,
        subprotocols=_subprotocols(headers),
        key=_key(headers),
    )


def _check_http(event: h11.Request, headers: Headers) -> None:
    if event.method != b"GET":
        raise _Refused(Refusal(405, "a WebSocket begins with GET", (("Allow", "GET"),)))
    if not b"1.1" <= event.http_version < b"2":
        _refuse("a WebSocket needs HTTP/1.1")
    if len(headers) > HEADERS_MAX:
        raise _Refused(TOO_LARGE)
    if _values(headers, "transfer-encoding") or any(
        length.strip("0") for length in _values(headers, "content-length")
    ):
        _refuse("a WebSocket's request has no body")
    if not _HOST.fullmatch(_one(headers, "host")):
        _refuse("Host is not a host")


def _check_upgrade(headers: Headers) -> None:
    if "upgrade" not in _elements(headers, "connection"):
        _refuse("this port speaks WebSocket: Connection does not say Upgrade")
    if "websocket" not in _elements(headers, "upgrade"):
        _refuse("this port speaks WebSocket: Upgrade does not say websocket")
    if _one(headers, "sec-websocket-version") != VERSION:
        wanted = (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", VERSION),
        )
        raise _Refused(Refusal(426, f"Sec-WebSocket-Version must be {VERSION}", wanted))


def _key(headers: Headers) -> str:
    key = _one(headers, "sec-websocket-key")
    try:
        size = len(base64.b64decode(key, validate=True)) if key.isascii() else 0
    except binascii.Error:
        size = 0
    if size != KEY_BYTES:
        _refuse("Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _split(target: str) -> tuple[str, str]:
    """The path and the query; a target may be a whole URL (RFC 9112 §3.2.2)."""
    if not target.startswith("/"):
        try:
            scheme, _, path, query, _ = urlsplit(target)
        except ValueError:
            scheme = ""
        if scheme not in {"http", "https", "ws", "wss"}:
            _refuse("the request's target is neither a path nor a URL")
        return path or "/", query
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def _subprotocols(headers: Headers) -> tuple[str, ...]:
    offered = ",".join(_values(headers, "sec-websocket-protocol")).split(",")
    names = tuple(name for name in (one.strip() for one in offered) if name)
    if not all(map(_TOKEN.fullmatch, names)):
        _refuse("Sec-WebSocket-Protocol is not a list of names")
    return names


def _values(headers: Headers, name: str) -> list[str]:
    return [value for one, value in headers if one == name]


def _elements(headers: Headers, name: str) -> set[str]:
    """The elements of a list, in lower case; it may come in several headers (RFC 9110 §5.3)."""
    return {one.strip().lower() for one in ",".join(_values(headers, name)).split(",")}


def _one(headers: Headers, name: str) -> str:
    """The value of a header that must come once (its name is told as the RFC writes it)."""
    values = _values(headers, name)
    if len(values) != 1:
        _refuse(f"the header {name} must come once, and came {len(values)} times")
    return values[0]


def _refuse(reason: str) -> NoReturn:
    raise _Refused(Refusal(400, reason))
