"""A node's own page: what it shows of itself, and the commands that it takes there.

The node is asked in its own loop, once a second, while somebody watches. A line of its log is
passed on at once, and followed by a look at the node, at most four a second.
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec
import structlog
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.cluster_routes import Order, cluster_routes, encoded, json_answer
from lastcall.runtime.admin.event_hub import EventHub
from lastcall.runtime.admin.thread import NodeLoop
from lastcall.runtime.log_tap import LogTap, tapped
from lastcall.wire.views import ClusterNow, FiguresNow, KindView, LogLine, NodeNow

log = structlog.get_logger()

VERBS = ("cordon", "uncordon", "drain")
LOOK_SECONDS = 1.0
LEAST_SECONDS = 0.25


class NodeLook(Protocol):
    """The node, as its page needs it; called in the node's own loop."""

    auth: AdminAuth

    def now(self) -> NodeNow:
        """The node at this moment, without its log."""

    def kinds(self) -> list[KindView]:
        """The kinds of rooms that it runs."""

    def cordon(self) -> None:
        """Refuses new work without draining; raises :class:`lastcall.errors.WrongEvent`."""

    def uncordon(self) -> None:
        """Serves again; raises :class:`lastcall.errors.WrongEvent`."""

    def drain(self) -> None:
        """Drains the node, as its first signal does."""


class NodePage:
    """The page of the node that ``look`` shows, at its admin port. Made in the node's loop.

    The figures are shown every ``look_seconds``.
    """

    verbs = VERBS

    def __init__(
        self, look: NodeLook, admin: HostPort, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._look = look
        self._look_seconds = look_seconds
        self._admin = str(admin)
        self._node = NodeLoop()
        self._kinds = b""
        self._news = trio.Event()
        self.hub = EventHub(self)

    def routes(self) -> list[Route]:
        """The paths below ``/cluster``."""
        return [Route("/cluster/node", self._answer), *cluster_routes(self, self._look.auth)]

    async def kinds(self) -> bytes:
        """The kinds of rooms, as JSON; read once, since they stay as they are."""
        if not self._kinds:
            self._kinds = encoded(await self._node.call(self._look.kinds))
        return self._kinds

    async def obey(self, verb: str, order: Order, token: bytes | None) -> None:  # noqa: ARG002
        """Carries out a command; raises :class:`UsageError` if it is for another node."""

        def carry_out() -> None:
            name = self._look.now().card.name
            if order.node != name:
                raise UsageError(f"this is the admin port of {name!r}, not of {order.node!r}")
            getattr(self._look, verb)()

        await self._node.call(carry_out)
        log.info("admin.command", verb=verb)
        self._news.set()

    async def watch(self, hub: EventHub) -> None:
        """Publishes what the node is and says, until cancelled."""
        tap = LogTap()
        try:
            with tapped(tap):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._look_often, hub)
                    while True:
                        for line in await tap.wait():
                            hub.add_log(line)
                        self._news.set()
        finally:
            hub.forget()

    async def _look_often(self, hub: EventHub) -> None:
        """Looks for the streams; a request for one answer does not need it."""
        figures_at = 0.0
        while True:
            await hub.wait_streaming()
            began = trio.current_time()
            self._news = trio.Event()
            now, at = await self._now(), time.time()
            hub.show_cluster(ClusterNow(at, "node", now.clients, VERBS, (now.card,)))
            if began >= figures_at:
                figures_at = began + self._look_seconds
                hub.show_figures(FiguresNow(at, {now.card.name: now.figures}))
            with trio.move_on_at(max(figures_at, began + LEAST_SECONDS)):
                await self._news.wait()
            await trio.sleep_until(began + LEAST_SECONDS)

    async def _now(self) -> NodeNow:
        now = await self._node.call(self._look.now)
        card = msgspec.structs.replace(now.card, admin=self._admin)
        return msgspec.structs.replace(now, card=card)

    async def _answer(self, request: Request) -> Response:
        """``GET /cluster/node``: all of it in one answer, for those who ask many nodes."""
        self.hub.touch()
        now = await self._now()
        had = request.headers.get("last-event-id", "")
        events = self.hub.ring.after(had)
        logs = (msgspec.json.decode(one.data, type=LogLine) for one in events if one.name == "log")
        return json_answer(
            msgspec.json.encode(
                msgspec.structs.replace(now, logs=tuple(logs), last_id=self.hub.ring.last_id)
            )
        )
