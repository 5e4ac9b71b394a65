"""Serves static files on an admin port; they are read once, at the start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
}
SHARED = frozenset({".js", ".ts"})
"""Suffixes that pages of other origins may import: a library is public, and a page is not."""


def static_routes(files: Mapping[str, Path]) -> list[Route]:
    """One route for each path of a URL, such as ``/lastcall.js``.

    Raises ``OSError`` for a file that cannot be read, and ``KeyError`` for an unknown type. A
    client may cache an answer and must revalidate it (``no-cache`` and an ``ETag``): the file
    changes with the node's version.
    """
    return [_route(path, file) for path, file in sorted(files.items())]


def _route(path: str, file: Path) -> Route:
    body = file.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"cache-control": "no-cache", "etag": tag, "x-content-type-options": "nosniff"}
    if file.suffix in SHARED:
        headers["access-control-allow-origin"] = "*"
    media_type = MEDIA_TYPES[file.suffix]

    async def answer(request: Request) -> Response:
        kept = request.headers.get("if-none-match", "")
        if tag in (part.strip().removeprefix("W/") for part in kept.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    return Route(path, answer)
