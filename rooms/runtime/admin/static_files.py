"""Serves static files on an admin port; they are read once, at the start."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
}
SHARED = frozenset({".js", ".ts"})
"""Suffixes of a library, which pages of other origins may import."""
PAGE_PATH = "/page/"
"""Where a page's own files are, which only that page needs."""

_INLINE = re.compile(rb"<(script|style)\b(?![^>]*\ssrc=)[^>]*>(.*?)</\1>", re.DOTALL)


def static_routes(files: Mapping[str, Path]) -> list[Route]:
    """One route for each path of a URL, such as ``/lastcall.js``.

    Raises ``OSError`` for a file that cannot be read, and ``KeyError`` for an unknown type. A
    client may cache an answer and must revalidate it (``no-cache`` and an ``ETag``): the file
    changes with the node's version. A client that takes gzip gets it: the page has a third of its
    size then.
    """
    return [_route(path, file) for path, file in sorted(files.items())]


def page_policy(page: bytes) -> str:
    """The ``Content-Security-Policy`` of a page: what is written in it may run, and this server's
    scripts and styles; nothing that was injected, since each script and style in the page is named
    by its hash (CSP 3 §6.7.3). It may open WebSockets, and no other page may frame it.
    """
    allowed = {"script": ["'self'"], "style": ["'self'"]}
    for tag, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        allowed[tag.decode()].append(f"'sha256-{digest}'")
    sources = "; ".join(f"{tag}-src {' '.join(names)}" for tag, names in allowed.items())
    return (
        f"default-src 'none'; {sources}; img-src 'self'; connect-src 'self' ws: wss:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _route(path: str, file: Path) -> Route:
    body = file.read_bytes()
    headers = {
        "cache-control": "no-cache",
        "content-type": MEDIA_TYPES[file.suffix],
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
    }
    if file.suffix in SHARED and not path.startswith(PAGE_PATH):
        headers["access-control-allow-origin"] = "*"
    if file.suffix == ".html":
        headers["content-security-policy"] = page_policy(body)
    tag = hashlib.sha256(body).hexdigest()[:16]
    plain = _Coded(body, {**headers, "etag": f'"{tag}"'})
    packed_headers = {**headers, "etag": f'"{tag}-gzip"', "content-encoding": "gzip"}

    @cache
    def packed() -> _Coded:
        """Made for the first who asks: most nodes' pages are never opened."""
        return _Coded(gzip.compress(body, mtime=0), packed_headers)

    async def answer(request: Request) -> Response:
        coded = packed() if _takes_gzip(request.headers.get("accept-encoding", "")) else plain
        kept = request.headers.get("if-none-match", "")
        if coded.headers["etag"] in (part.strip().removeprefix("W/") for part in kept.split(",")):
            return Response(status_code=304, headers=coded.headers)
        return Response(coded.body, headers=coded.headers)

    return Route(path, answer)


class _Coded(NamedTuple):
    body: bytes
    headers: Mapping[str, str]


def _takes_gzip(accepted: str) -> bool:
    """Whether a client that sends this ``Accept-Encoding`` can read gzip (RFC 9110 §12.5.3)."""
    for part in accepted.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "").rstrip("0") not in {"q=", "q=0."}
    return False
