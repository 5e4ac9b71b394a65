"""Which web pages may open a WebSocket here: their origins (RFC 6454), as browsers send them.

An origin is a scheme, a host and a port, and matches as a whole. A request without one does not
come from a browser, so it passes: what it may do is the identity check's affair. Browsers say
``null`` for pages without an origin (a sandboxed frame, a ``file:`` URL).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

from lastcall.errors import UsageError

NULL = "null"
DEFAULT_PORTS = {"http": 80, "https": 443}
"""Browsers leave these out, and so does :func:`normalized`."""

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)


def normalized(origin: str) -> str | None:
    """The one spelling of ``origin``; None if it is not an origin."""
    if origin == NULL:
        return NULL
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"] or DEFAULT_PORTS.get(scheme, 0))
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    if port > 65_535:
        return None
    return f"{scheme}://{host}" + ("" if port == DEFAULT_PORTS.get(scheme, 0) else f":{port}")


def parse_origins(text: str) -> frozenset[str]:
    """Parses ``--origins``; raises :class:`UsageError`."""
    allowed = set()
    for part in text.split(","):
        origin = normalized(part.strip())
        if origin is None:
            raise UsageError(
                f"{part.strip()!r} is not an origin: write scheme, host and any unusual port, "
                "without a path, such as https://play.example or http://localhost:8000; a name in "
                "other letters as browsers send it (xn--…)"
            )
        allowed.add(origin)
    return frozenset(allowed)


def admits(allowed: frozenset[str] | None, sent: Sequence[str]) -> bool:
    """Whether a request with these ``Origin`` headers may pass; ``None`` allows any."""
    if allowed is None or not sent:
        return True
    return len(sent) == 1 and normalized(sent[0]) in allowed
