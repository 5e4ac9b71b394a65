"""The admin port: serves operators, orchestrators and Prometheus over HTTP.

Its connections are bounded in number and time, and have descriptors of their own, so that whatever
strangers do to the node's other ports, ``/livez`` answers.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lastcall.bus.address import HostPort
from lastcall.core.connection_slots import ConnectionSlots
from lastcall.core.edge.ticket_rate_limit import origin
from lastcall.errors import WrongEvent
from lastcall.runtime.address import unmapped
from lastcall.runtime.admin.auth import AdminAuth, AdminRequest
from lastcall.runtime.admin.http import App, HttpConnection, Message, Receive, Send
from lastcall.runtime.admin.static_files import static_routes
from lastcall.runtime.descriptors import NO_RESERVE, Reserve
from lastcall.runtime.listeners import bound_address, open_listeners
from lastcall.runtime.rated_log import RatedLog
from lastcall.wire.reports import Status

log = structlog.get_logger()

VERBS = ("cordon", "uncordon", "drain")
UNCHECKED = frozenset({"/livez", "/readyz", *(f"/{verb}" for verb in VERBS)})
NO_FILES: Mapping[str, Path] = {}
CONNECTIONS_MAX = 64
"""Fewer than the reserve has descriptors."""
RETRY_SECONDS = 0.01
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
    """One node's admin port: bound by :meth:`open`, answering inside :meth:`serve`.

    ``reserve`` has the descriptors for its connections: strangers on other ports cannot use them.
    """

    def __init__(
        self, listeners: list[trio.SocketListener], app: App, reserve: Reserve = NO_RESERVE
    ) -> None:
        self.address = bound_address(listeners[0])
        """The address that it listens on, with the real port."""
        self._listeners = [_stdlib_socket(listener) for listener in listeners]
        self._app = app
        self._reserve = reserve
        self._slots = ConnectionSlots[trio.CancelScope](CONNECTIONS_MAX)
        self._descriptors: set[int] = set()
        self._failed = RatedLog()

    @classmethod
    async def open(
        cls,
        where: HostPort,
        view: NodeView,
        registry: CollectorRegistry,
        static: Mapping[str, Path] = NO_FILES,
        reserve: Reserve = NO_RESERVE,
    ) -> AdminPort:
        """Listens on ``where``; port 0 is a free port. Raises as ``open_listeners`` does.

        ``static`` are files to serve, by path; see :func:`static_routes`.
        """
        return cls(await open_listeners(where), _application(view, registry, static), reserve)

    async def serve(
        self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answers until cancelled, and then ends at once, whatever its clients do."""
        try:
            async with trio.open_nursery() as nursery:
                for listener in self._listeners:
                    nursery.start_soon(self._accept_all, listener, nursery)
                task_status.started()
        finally:
            for listener in self._listeners:
                trio.lowlevel.notify_closing(listener)
                listener.close()

    async def _accept_all(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                accepted = self._reserve.accept(listener, lambda: self._descriptors)
            except (BlockingIOError, ConnectionAbortedError):
                continue  # the client has gone already
            except OSError as error:
                self._failed.warning("admin.accept_failed", reason=str(error))
                await trio.sleep(RETRY_SECONDS)
            else:
                self._descriptors.add(accepted.fileno())
                nursery.start_soon(self._answer, accepted)

    async def _answer(self, accepted: socket.socket) -> None:
        descriptor = accepted.fileno()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        try:
            await self._serve(stream)
        except Exception:
            log.exception("admin.connection_failed")
        finally:
            self._descriptors.discard(descriptor)
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            client = _host_port(stream.socket.getpeername())
            server = _host_port(stream.socket.getsockname())
        except OSError:  # it has gone already
            return
        with trio.CancelScope() as scope:
            oldest = self._slots.add(scope, origin(client.host))
            if oldest is not None:
                oldest.cancel()
            try:
                await HttpConnection(stream, self._app, client=client, server=server).serve()
            finally:
                self._slots.remove(scope)


def _stdlib_socket(listener: trio.SocketListener) -> socket.socket:
    """The listening socket itself: trio's ``accept`` lets other tasks run while it accepts."""
    taken = socket.socket(fileno=listener.socket.detach())
    taken.setblocking(False)
    return taken


def _host_port(address: tuple[Any, ...]) -> HostPort:
    return HostPort(unmapped(address[0]), address[1])


def _application(view: NodeView, registry: CollectorRegistry, static: Mapping[str, Path]) -> App:
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
        if (refusal := view.auth.command_refusal(_admin_request(request))) is not None:
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
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return _for_known_hosts(app, view)


def _for_known_hosts(app: App, view: NodeView) -> App:
    """Refuses what is asked of a strange host, but for probes (a balancer may send any ``Host``, or
    none) and for commands, which check more.
    """

    async def checked(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] not in UNCHECKED:
            host = Request(scope).headers.get("host", "")
            if (refusal := view.auth.host_refusal(host)) is not None:
                await PlainTextResponse(refusal, 403, headers=FRESH)(scope, receive, send)
                return
        await app(scope, receive, send)

    return checked


def _admin_request(request: Request) -> AdminRequest:
    host, port = request.scope["server"]
    client, _ = request.scope["client"]
    return AdminRequest(dict(request.headers), client, HostPort(host, port))
