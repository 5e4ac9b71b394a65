"""The page of a local cluster: the demo and the JavaScript client, from whichever api node answers.

An address that ``lastcall up`` prints must outlive the nodes, so this process keeps the port. It
passes on these files only: through it, a command would reach a node's admin port from loopback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lastcall.local.admin_client import admin_url, open_admin_client
from lastcall.local.child import Child
from lastcall.runtime.admin.server import AdminPort

PATHS = ("/demo", "/lastcall.js", "/lastcall.d.ts")
HEADERS = (
    "content-type",
    "cache-control",
    "content-security-policy",
    "x-content-type-options",
    "access-control-allow-origin",
)


async def serve_page(
    listeners: list[trio.SocketListener], apis: Callable[[], Sequence[Child]]
) -> None:
    """Answers until cancelled, with the newest of ``apis()`` that answers; 503 if none does."""
    async with open_admin_client() as client:

        async def answer(request: Request) -> Response:
            for child in reversed(apis()):
                if child.ready is not None:
                    found = await _fetch(client, admin_url(child.ready.admin, request.url.path[1:]))
                    if found is not None:
                        return found
            return PlainTextResponse("no api node answers", 503)

        await AdminPort(
            listeners, Starlette(routes=[Route(path, answer) for path in PATHS])
        ).serve()


async def _fetch(client: httpx.AsyncClient, url: str) -> Response | None:
    try:
        found = await client.get(url)
    except httpx.HTTPError:
        return None
    headers = {name: found.headers[name] for name in HEADERS if name in found.headers}
    return Response(found.content, found.status_code, headers)
