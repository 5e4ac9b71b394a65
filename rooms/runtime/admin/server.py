"""The admin port: serves operators, orchestrators and Prometheus over HTTP.

hypercorn speaks HTTP; the accept loop is our own. With ``hypercorn.trio.serve``, an unexpected
error of one connection would end the node, and a shutdown would wait for a client that does not
read (it shields each send, without a deadline).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lastcall.bus.address import HostPort
from lastcall.errors import WrongEvent
from lastcall.runtime.address import unmapped
from lastcall.runtime.admin.auth import AdminAuth, AdminRequest
from lastcall.runtime.admin.static_files import static_routes
from lastcall.runtime.listeners import bound_address, open_listeners
from lastcall.wire.reports import Status

log = structlog.get_logger()

VERBS = ("cordon", "uncordon", "drain")
NO_FILES: Mapping[str, Path] = {}
FRESH = {"cache-control": "no-store"}
"""Answers must not be cached: a proxy that keeps a 200 of ``/readyz`` would undo the drain."""


class NodeView(Protocol):
    """The node as its admin port needs it; used at each request, in the node's own loop."""

    @property
    def unready(self) -> str:
        """Why balancers may not send clients here; empty if they may."""

    @property
    def auth(self) -> AdminAuth:
        """Decides who may send commands."""

    def status(self) -> Status:
        """The node's status at this moment."""

    def cordon(self) -> None:
        """Refuses new work without draining; raises :class:`WrongEvent`."""

    def uncordon(self) -> None:
        """Serves again; raises :class:`WrongEvent`."""

    def drain(self) -> None:
        """Drains the node, as its first signal does; a repeated command changes nothing."""


class AdminPort:
    """One node's admin port: bound by :meth:`open`, answering inside :meth:`serve`."""

    def __init__(self, listeners: list[trio.SocketListener], app: Starlette) -> None:
        self._listeners = listeners
        self._streams: set[trio.SocketStream] = set()
        self._app = wrap_app(app, 0, "asgi")  # type: ignore[arg-type]
        self._config = Config()
        self._config.accesslog = self._config.errorlog = None
        self._config.include_server_header = False
        self._context = WorkerContext(None)

    @classmethod
    async def open(
        cls,
        where: HostPort,
        view: NodeView,
        registry: CollectorRegistry,
        static: Mapping[str, Path] = NO_FILES,
    ) -> AdminPort:
        """Listens on ``where``; port 0 is a free port. Raises as ``open_listeners`` does.

        ``static`` are files to serve, by path; see :func:`static_routes`.
        """
        return cls(await open_listeners(where), _application(view, registry, static))

    @property
    def address(self) -> HostPort:
        """The address that it listens on, with the real port."""
        return bound_address(self._listeners[0])

    async def serve(
        self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answers until cancelled, and then ends at once, whatever its clients do."""
        async with trio.open_nursery() as connections:
            try:
                await trio.serve_listeners(
                    self._answer,
                    self._listeners,
                    handler_nursery=connections,
                    task_status=task_status,
                )
            finally:
                for stream in self._streams:
                    stream.socket.close()  # ends a shielded send, which no cancellation reaches

    async def _answer(self, stream: trio.SocketStream) -> None:
        self._streams.add(stream)
        try:
            state = ConnectionState({})
            await TCPServer(self._app, self._config, self._context, state, stream)  # type: ignore[arg-type]
        except* Exception:
            log.exception("admin.connection_failed")
        finally:
            self._streams.discard(stream)


def _application(
    view: NodeView, registry: CollectorRegistry, static: Mapping[str, Path]
) -> Starlette:
    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok", headers=FRESH)

    async def readyz(_request: Request) -> Response:
        if reason := view.unready:
            return PlainTextResponse(reason, 503, headers=FRESH)
        return PlainTextResponse("ok", headers=FRESH)

    async def status(_request: Request) -> Response:
        body = msgspec.json.encode(view.status())
        return Response(body, media_type="application/json", headers=FRESH)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers=FRESH | {"content-type": content_type})

    async def control(request: Request) -> Response:
        verb = request.url.path.removeprefix("/")
        if (refusal := view.auth.refusal(_admin_request(request))) is not None:
            return PlainTextResponse(refusal, 403, headers=FRESH)
        try:
            getattr(view, verb)()
        except WrongEvent as wrong:
            return PlainTextResponse(str(wrong), 409, headers=FRESH)
        log.info("admin.command", verb=verb)
        return await status(request)

    routes = [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/status", status),
        Route("/metrics", metrics),
        *(Route(f"/{verb}", control, methods=["POST"]) for verb in VERBS),
        *static_routes(static),
    ]
    app = Starlette(routes=routes, exception_handlers={Exception: _failed})
    app.router.redirect_slashes = False
    return app


def _admin_request(request: Request) -> AdminRequest:
    host, port = request.scope["server"][:2]
    client = request.client.host if request.client is not None else ""
    server = HostPort(unmapped(host), port or 0)
    return AdminRequest(dict(request.headers), unmapped(client), server)


async def _failed(request: Request, error: Exception) -> Response:
    log.error("admin.request_failed", path=request.url.path, exc_info=error)
    return PlainTextResponse("Internal Server Error", 500)
