"""The answers of the admin port: probes, status, metrics, commands, static files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lastcall.errors import WrongEvent
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.cluster_routes import (
    FRESH,
    admin_request,
    for_known_hosts,
    json_answer,
    text,
)
from lastcall.runtime.admin.http import App
from lastcall.runtime.admin.node_page import VERBS, NodePage
from lastcall.runtime.admin.static_files import static_routes
from lastcall.runtime.admin.thread import NodeLoop
from lastcall.runtime.loop_lag import Pulse
from lastcall.wire.reports import Status

log = structlog.get_logger()

UNCHECKED = frozenset({"/livez", "/readyz", *(f"/{verb}" for verb in VERBS)})
"""Probes, since a balancer may send any ``Host`` or none; and commands, which check more."""
WAKE_SECONDS = 0.5
DEAD_SECONDS = 10.0
"""``/livez`` is 503 when the node's loop has not run for this long."""


class NodeView(Protocol):
    """The node as its admin port needs it at each request, in the node's own loop."""

    @property
    def auth(self) -> AdminAuth:
        """Decides who may read and send commands; used by the admin port only."""

    @property
    def pulse(self) -> Pulse:
        """When the node's loop last ran; any thread may ask."""

    @property
    def unready(self) -> str:
        """Why balancers may not send clients here; empty if they may."""

    def status(self) -> Status:
        """The node's status at this moment."""

    def cordon(self) -> None:
        """Refuses new work without draining; raises :class:`WrongEvent`."""

    def uncordon(self) -> None:
        """Serves again; raises :class:`WrongEvent`."""

    def drain(self) -> None:
        """Drains the node, as its first signal does; a repeated command changes nothing."""


class _Answers:
    """The answers of one node, which is asked in its own loop."""

    def __init__(self, view: NodeView, registry: CollectorRegistry) -> None:
        self._view = view
        self._registry = registry
        self._node = NodeLoop()

    async def livez(self, _request: Request) -> Response:
        pulse = self._view.pulse
        if pulse.age_seconds > DEAD_SECONDS:  # perhaps the whole process was stopped until now
            with trio.move_on_after(WAKE_SECONDS):
                await self._node.call(pulse.beat)
        if (seconds := pulse.age_seconds) > DEAD_SECONDS:
            return text(f"the event loop has not run for {seconds:.0f} s", 503)
        return text("ok")

    async def readyz(self, _request: Request) -> Response:
        reason = await self._node.call(lambda: self._view.unready)
        return text(reason, 503) if reason else text("ok")

    async def status(self, _request: Request) -> Response:
        return _json(await self._node.call(self._view.status))

    async def metrics(self, request: Request) -> Response:
        encode, content_type = _encoder(request.headers.get("accept", ""))
        samples = await self._node.call(lambda: encode(self._registry))
        return Response(samples, headers=FRESH | {"content-type": content_type})

    async def command(self, request: Request) -> Response:
        verb = request.url.path.removeprefix("/")
        if (refusal := self._view.auth.command_refusal(admin_request(request))) is not None:
            return text(refusal, 403)

        def obey() -> Status:
            getattr(self._view, verb)()
            return self._view.status()

        try:
            status = await self._node.call(obey)
        except WrongEvent as wrong:
            return text(str(wrong), 409)
        log.info("admin.command", verb=verb)
        return _json(status)


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """The format of ``/metrics`` that a client asks for, or the text format. The library fails at a
    version that it cannot read.
    """
    try:
        return choose_encoder(accept)
    except Exception:  # noqa: BLE001 - it fails in many ways
        return choose_encoder("")


def application(
    view: NodeView,
    registry: CollectorRegistry,
    static: Mapping[str, Path],
    page: NodePage | None = None,
) -> App:
    """The ASGI application of a node, made in the node's loop; it may run in another one.

    ``static`` are files to serve, by path; see :func:`static_routes`. ``page`` shows the node.
    """
    answers = _Answers(view, registry)
    routes = [
        Route("/livez", answers.livez),
        Route("/readyz", answers.readyz),
        Route("/status", answers.status),
        Route("/metrics", answers.metrics),
        *(Route(f"/{verb}", answers.command, methods=["POST"]) for verb in VERBS),
        *(() if page is None else page.routes()),
        *static_routes(static),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return for_known_hosts(app, view.auth, UNCHECKED)


def _json(status: Status) -> Response:
    return json_answer(msgspec.json.encode(status))
