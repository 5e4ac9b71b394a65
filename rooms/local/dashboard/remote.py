"""``lastcall dashboard``: one page for nodes that run anywhere, by their admin ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import httpx
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.local.admin_client import command_by_name, open_admin_client
from lastcall.local.dashboard.cards import (
    NO_ANSWER,
    RemoteCards,
    figures_by_key,
    find_serving_game,
)
from lastcall.local.dashboard.collector import LOOK_SECONDS, NODES_MAX, Collector, ask_kinds
from lastcall.local.dashboard.options import AdminDns, AdminSource
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
        collector, cards, troubles = Collector(self._client), RemoteCards(), _Troubles(hub)
        try:
            while True:
                began = trio.current_time()
                admins = await self._addresses.read()
                troubles.tell(len(admins) - NODES_MAX, self._addresses.unresolved)
                answers = await collector.ask(admins[:NODES_MAX])
                self._cards = cards.update(answers)
                _publish(hub, self._cards, answers)
                await trio.sleep_until(began + LOOK_SECONDS)
        finally:
            self._cards = ()
            hub.forget()

    async def kinds(self) -> bytes:
        """The kinds of rooms, as a game node tells them."""
        return await ask_kinds(self._client, find_serving_game(await self._known()))

    async def obey(self, verb: str, order: Order, token: bytes | None) -> None:
        """Passes a command on to the node, with the token that came with it."""
        admin = _only(order.node, await self._known(), verb)
        await command_by_name(self._client, admin, verb, order.node, token)

    async def _known(self) -> tuple[NodeCard, ...]:
        """The nodes; asked now if nobody has watched yet."""
        if not self._cards:
            admins = (await self._addresses.read())[:NODES_MAX]
            self._cards = RemoteCards().update(await Collector(self._client).ask(admins))
        return self._cards


class _Troubles:
    """Tells ``hub`` what is not shown, once for each trouble."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._left_out = 0
        self._unresolved: frozenset[AdminDns] = frozenset()

    def tell(self, left_out: int, unresolved: Mapping[AdminDns, str]) -> None:
        """``left_out`` nodes are too many; ``unresolved`` are the names without addresses now."""
        if left_out > self._left_out:
            self._left_out = left_out
            text = f"{left_out} more nodes are not shown: a dashboard shows {NODES_MAX}"
            self._warn("dashboard.full", text)
        for name in unresolved.keys() - self._unresolved:
            self._warn("dashboard.unresolved", f"{name}: {unresolved[name]}")
        self._unresolved = frozenset(unresolved)

    def _warn(self, event: str, text: str) -> None:
        self._hub.add_log(LogLine(time.time(), "", "warning", event, text))


def _only(name: str, cards: Sequence[NodeCard], verb: str) -> str:
    """The address of the one node of that name, of those that answer if any does."""
    named = [card for card in cards if card.name == name]
    admins = [card.admin for card in named if card.phase != NO_ANSWER]
    admins = admins or [card.admin for card in named]
    if not admins:
        raise UsageError(f"there is no node {name!r} here")
    if len(admins) > 1:
        raise UsageError(
            f"{name!r} is the name of {len(admins)} nodes, at {', '.join(admins)}: "
            f"choose one with `lastcall {verb} --admin HOST:PORT`"
        )
    return admins[0]


def _publish(
    hub: EventHub, cards: tuple[NodeCard, ...], answers: Mapping[str, NodeNow | None]
) -> None:
    at = time.time()
    nodes = {admin: now for admin, now in answers.items() if now is not None}
    clients = tuple(dict.fromkeys(url for now in nodes.values() for url in now.clients))
    hub.show_cluster(ClusterNow(at, "cluster", clients, VERBS, cards))
    hub.show_figures(FiguresNow(at, figures_by_key(cards, nodes)))
    lines = (line for now in nodes.values() for line in now.logs)
    for line in sorted(lines, key=lambda line: line.at):
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
