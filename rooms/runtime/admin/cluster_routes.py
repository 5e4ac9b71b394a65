"""The paths below ``/cluster``, by which the page sees a node or a cluster, and leads it."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lastcall.bus.address import HostPort
from lastcall.errors import ClusterFailed, CommandForbidden, UsageError, WrongEvent
from lastcall.runtime.admin.auth import AdminAuth, AdminRequest, bearer_token
from lastcall.runtime.admin.event_hub import EventHub, EventStream
from lastcall.runtime.admin.http import App, Message, Receive, Send
from lastcall.wire import UNREADABLE

FRESH = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Answers must not be cached: a proxy that keeps a 200 of ``/readyz`` would undo the drain."""


class Order(msgspec.Struct, frozen=True):
    """The body of a command: the node, or for ``roll`` the tier."""

    node: str = ""
    tier: str = "all"


class Leader(Protocol):
    """A node, or a whole cluster, as these paths show and lead it."""

    @property
    def hub(self) -> EventHub:
        """The events."""

    @property
    def verbs(self) -> tuple[str, ...]:
        """The commands that it takes."""

    async def kinds(self) -> bytes:
        """The kinds of rooms, as JSON; raises :class:`ClusterFailed`."""

    async def obey(self, verb: str, order: Order, token: bytes | None) -> None:
        """Carries out a command that was authorised; ``token`` came with it. Raises
        :class:`UsageError`, :class:`WrongEvent`, :class:`CommandForbidden` or
        :class:`ClusterFailed`, which say why not.
        """


def cluster_routes(leader: Leader, auth: AdminAuth) -> list[Route]:
    """The routes of ``leader``; ``auth`` says who may command."""

    async def events(request: Request) -> Response:
        return EventStream(leader.hub, request.headers.get("last-event-id", ""))

    async def kinds(_request: Request) -> Response:
        try:
            return json_answer(await leader.kinds())
        except ClusterFailed as failed:
            return text(str(failed), 503)

    async def command(request: Request) -> Response:
        verb = request.url.path.rpartition("/")[2]
        if (refusal := auth.command_refusal(admin_request(request))) is not None:
            return text(refusal, 403)
        try:
            order = msgspec.json.decode(await request.body() or b"{}", type=Order)
            await leader.obey(verb, order, bearer_token(request.headers.get("authorization", "")))
        except UNREADABLE as wrong:
            return text(f'the body is JSON, such as {{"node":"game-1"}}: {wrong}', 400)
        except (UsageError, WrongEvent, ClusterFailed) as refused:
            return text(str(refused), _status_of(refused))
        return json_answer(b"{}")

    return [
        Route("/cluster/events", events),
        Route("/cluster/kinds", kinds),
        *(Route(f"/cluster/{verb}", command, methods=["POST"]) for verb in leader.verbs),
    ]


def _status_of(refused: UsageError | WrongEvent | ClusterFailed) -> int:
    match refused:
        case UsageError():
            return 400
        case WrongEvent():
            return 409
        case CommandForbidden():
            return 403
        case _:
            return 502


def for_known_hosts(app: App, auth: AdminAuth, unchecked: frozenset[str] = frozenset()) -> App:
    """Refuses what a page may have asked that has rebound its name to this node's address."""

    async def checked(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] not in unchecked:
            refusal = auth.host_refusal(Request(scope).headers.get("host", ""))
            if refusal is not None:
                await text(refusal, 403)(scope, receive, send)
                return
        await app(scope, receive, send)

    return checked


def admin_request(request: Request) -> AdminRequest:
    """The part of a request that authorises it."""
    host, port = request.scope["server"]
    client, _ = request.scope["client"]
    return AdminRequest(dict(request.headers), client, HostPort(host, port))


def text(words: str, status: int = 200) -> Response:
    """An answer for people, which must not be cached."""
    return PlainTextResponse(words, status, headers=FRESH)


def json_answer(body: bytes) -> Response:
    """An answer that must not be cached."""
    return Response(body, media_type="application/json", headers=FRESH)


def encoded(value: Any) -> bytes:
    """``value`` as JSON, also of a schema, whose defaults may be anything."""
    return msgspec.json.encode(value, enc_hook=repr)
