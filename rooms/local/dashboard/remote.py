"""``lastcall dashboard``: one page for nodes that run anywhere, by their admin ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import httpx
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.local.admin_client import command_by_name, open_admin_client
from lastcall.local.dashboard.cards import RemoteCards, find_serving_game
from lastcall.local.dashboard.collector import LOOK_SECONDS, NODES_MAX, Collector, ask_kinds
from lastcall.local.dashboard.options import AdminSource
from lastcall.local.dashboard.server import serve_page
from lastcall.local.dashboard.sources import Addresses
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.cluster_routes import Order
from lastcall.runtime.admin.event_hub import EventHub
from lastcall.runtime.admin.node_page import VERBS
from lastcall.runtime.listeners import bound_address, open_listeners
from lastcall.wire.views import ClusterNow, FiguresNow, LogLine, NodeCard, NodeNow


class RemoteCluster:
    """The nodes at ``sources``, as one page. At most 100 of them are asked."""

    verbs = VERBS

    def __init__(self, sources: Sequence[AdminSource], client: httpx.AsyncClient) -> None:
        self._addresses = Addresses(sources)
        self._client = client
        self._cards: tuple[NodeCard, ...] = ()
        self.hub = EventHub(self)

    async def watch(self, hub: EventHub) -> None:
        """Asks all nodes once a second, until cancelled."""
        collector, cards, left_out = Collector(self._client), RemoteCards(), 0
        try:
            while True:
                began = trio.current_time()
                admins = await self._addresses.read()
                if len(admins) - NODES_MAX > max(left_out, 0):
                    left_out = len(admins) - NODES_MAX
                    text = f"{left_out} more nodes are not shown: a dashboard shows {NODES_MAX}"
                    hub.add_log(LogLine(time.time(), "", "warning", "dashboard.full", text))
                answers = await collector.ask(admins[:NODES_MAX])
                self._cards = cards.update(answers)
                _publish(hub, self._cards, [now for now in answers.values() if now is not None])
                await trio.sleep_until(began + LOOK_SECONDS)
        finally:
            self._cards = ()
            hub.forget()

    async def kinds(self) -> bytes:
        """The kinds of rooms, as a game node tells them."""
        return await ask_kinds(self._client, find_serving_game(await self._known()))

    async def obey(self, verb: str, order: Order, token: bytes | None) -> None:
        """Passes a command on to the node, with the token that came with it."""
        admins = [card.admin for card in await self._known() if card.name == order.node]
        if not admins:
            raise UsageError(f"there is no node {order.node!r} here")
        await command_by_name(self._client, admins[0], verb, order.node, token)

    async def _known(self) -> tuple[NodeCard, ...]:
        """The nodes; asked now if nobody has watched yet."""
        if not self._cards:
            admins = (await self._addresses.read())[:NODES_MAX]
            self._cards = RemoteCards().update(await Collector(self._client).ask(admins))
        return self._cards


def _publish(hub: EventHub, cards: tuple[NodeCard, ...], answers: Sequence[NodeNow]) -> None:
    at = time.time()
    clients = tuple(dict.fromkeys(url for now in answers for url in now.clients))
    hub.show_cluster(ClusterNow(at, "cluster", clients, VERBS, cards))
    hub.show_figures(FiguresNow(at, {now.card.name: now.figures for now in answers}))
    for line in sorted((line for now in answers for line in now.logs), key=lambda line: line.at):
        hub.add_log(line)


async def run_dashboard(
    sources: Sequence[AdminSource],
    listen: HostPort,
    auth: AdminAuth,
    show: Callable[[str], None],
) -> None:
    """Serves the page until cancelled; ``show`` gets its URL. Raises
    :class:`lastcall.errors.AddressInUse`.
    """
    listeners = await open_listeners(listen)
    show(f"http://{bound_address(listeners[0]).from_here}/")
    async with open_admin_client() as client:
        await serve_page(listeners, RemoteCluster(sources, client), auth)
