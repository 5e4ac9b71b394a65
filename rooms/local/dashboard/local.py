"""The page of ``lastcall up``: its nodes, its bots and its rolls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import trio
from msgspec.structs import replace

from lastcall.errors import ClusterFailed, UsageError
from lastcall.exception_groups import lone_error
from lastcall.local.admin_client import command, open_admin_client, token_in
from lastcall.local.bots.ledger import Ledger
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster
from lastcall.local.control.messages import AskRoll
from lastcall.local.dashboard.cards import NO_ANSWER, Generations, find_serving_game
from lastcall.local.dashboard.collector import LEAST_SECONDS, LOOK_SECONDS, Collector, ask_kinds
from lastcall.local.dashboard.server import serve_page
from lastcall.local.roll.service import Rolls
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.cluster_routes import Order
from lastcall.runtime.admin.event_hub import EventHub
from lastcall.runtime.log_tap import short_line
from lastcall.wire import UNREADABLE
from lastcall.wire.views import (
    ClusterNow,
    FiguresNow,
    LogLine,
    NodeCard,
    NodeNow,
    PlayerFigures,
    Problem,
)

VERBS = ("roll", "cordon", "uncordon", "drain", "kill")


class LocalPage:
    """The page of ``cluster``. ``ledger`` is the bots', if there are any.

    The nodes' log is read from their output, whether somebody watches or not.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        rolls: Rolls,
        ledger: Ledger | None,
        verbs: tuple[str, ...] = VERBS,
    ) -> None:
        self.verbs = verbs
        self.cluster = cluster
        self._rolls = rolls
        self._ledger = ledger
        self._problem: Problem | None = None
        self._news = trio.Event()
        self._generations = Generations()
        self.hub = EventHub(self)

    def on_output(self, line: bytes) -> None:
        """A node has written an event of its log."""
        try:
            event = msgspec.json.decode(line, type=dict[str, object])
        except UNREADABLE:
            return
        short = short_line(event, time.time())
        if short is not None:
            self.on_log(short)

    def on_death(self, child: Child) -> None:
        """A node has ended that served."""
        how = child.how_it_ended().removeprefix(f"{child.name} ")
        level = "info" if child.drained else "error"
        self.on_log(LogLine(time.time(), child.name, level, "node.ended", how))

    def on_roll(self, node: str, text: str) -> None:
        """A roll is one step further."""
        self.on_log(LogLine(time.time(), node, "info", "roll.progress", text))

    def on_problem(self, problem: Problem | None) -> None:
        """The author's code has a problem, or none any more."""
        self._problem = problem
        self._news.set()

    def on_log(self, line: LogLine) -> None:
        """One more line of the log."""
        self.hub.add_log(line)
        self._news.set()

    async def watch(self, hub: EventHub) -> None:
        """Asks all nodes once a second, and sooner when something happens, until cancelled."""
        figures_at = 0.0
        async with open_admin_client() as client:
            collector = Collector(client)
            while True:
                began = trio.current_time()
                self._news = trio.Event()
                answers = await _ask(collector, self._shown())
                self._show(hub, answers)
                if began >= figures_at:
                    figures_at = began + LOOK_SECONDS
                    hub.show_figures(self._figures(answers))
                with trio.move_on_at(figures_at):
                    await self._news.wait()
                await trio.sleep_until(began + LEAST_SECONDS)

    def _shown(self) -> list[Child]:
        """The nodes that run or have died; not those that have drained."""
        cluster = self.cluster
        dead = set(cluster.dead())
        return [child for child in cluster.children if child in dead or not child.ended.is_set()]

    def _show(self, hub: EventHub, answers: dict[Child, NodeNow | None]) -> None:
        asked = [child for child in self._shown() if child in answers]  # some may have drained
        cards = self._generations.numbered([_card(child, answers[child]) for child in asked])
        urls = (self.cluster.url,)
        now = ClusterNow(time.time(), "cluster", urls, self.verbs, cards)
        hub.show_cluster(replace(now, roll=self._rolls.now, problem=self._problem))

    def _figures(self, answers: dict[Child, NodeNow | None]) -> FiguresNow:
        figures = {now.card.name: now.figures for now in answers.values() if now is not None}
        players = None if self._ledger is None else _player_figures(self._ledger)
        return FiguresNow(time.time(), figures, players)

    async def kinds(self) -> bytes:
        """The kinds of rooms, as the newest game node tells them."""
        games = [
            NodeCard(child.name, child.tier, child.version, "serving", admin=child.ready.admin)
            for child in reversed(self.cluster.living("game"))
            if child.ready is not None
        ]
        async with open_admin_client() as client:
            return await ask_kinds(client, find_serving_game(games))

    async def obey(self, verb: str, order: Order, token: bytes | None) -> None:  # noqa: ARG002
        """Carries out a command, with the token of the plan: this one was authorised with it."""
        if verb == "roll":
            if order.tier not in {"all", "api", "game"}:
                raise UsageError(f"tier is all, api or game; got {order.tier!r}")
            self._rolls.roll(AskRoll(order.tier)).close()  # type: ignore[arg-type]
            node, text = "", f"verb=roll tier={order.tier}"
        else:
            await self._command(verb, order.node)
            node, text = order.node, f"verb={verb}"
        self.on_log(LogLine(time.time(), node, "info", "page.command", text))

    async def _command(self, verb: str, name: str) -> None:
        child = next((one for one in self.cluster.living() if one.name == name), None)
        if child is None:
            raise UsageError(f"no node {name!r} runs here")
        if verb == "kill":
            child.kill()
        elif child.ready is None:
            raise ClusterFailed(f"{child.name} is still starting")
        else:
            async with open_admin_client() as client:
                file = self.cluster.plan.admin_token_file
                await command(client, child.ready.admin, verb, token_in(file))


@asynccontextmanager
async def serving(page: LocalPage) -> AsyncIterator[None]:
    """Serves the page at its cluster's port, inside the block."""
    plan = page.cluster.plan
    auth = AdminAuth([plan.admin.host], plan.admin_token_file)
    with lone_error():
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_page, page.cluster.page_listeners, page, auth))
            yield
            nursery.cancel_scope.cancel()


async def _ask(collector: Collector, children: Sequence[Child]) -> dict[Child, NodeNow | None]:
    admins = {
        child: child.ready.admin
        for child in children
        if child.ready is not None and not child.ended.is_set()
    }
    found = await collector.ask(list(admins.values()))
    return {child: found.get(admins.get(child, "")) for child in children}


def _card(child: Child, now: NodeNow | None) -> NodeCard:
    if now is not None and not child.ended.is_set():
        return replace(now.card, pid=child.pid)
    admin = "" if child.ready is None else child.ready.admin
    card = NodeCard(child.name, child.tier, child.version, NO_ANSWER, admin=admin, pid=child.pid)
    if child.ended.is_set():
        how = child.how_it_ended().removeprefix(f"{child.name} ").removeprefix("was ")
        return replace(card, phase="dead", dead=how)
    return card if child.ready is not None else replace(card, phase="starting")


def _player_figures(ledger: Ledger) -> PlayerFigures:
    """The round trips of the last inputs, and the counts of everything that should not be."""
    seen, ordered = ledger.mark(), sorted(ledger.round_trips)
    half, most = (
        (round(ordered[share * (len(ordered) - 1) // 100], 6) if ordered else 0.0)
        for share in (50, 99)
    )
    return PlayerFigures(half, most, seen.refused, seen.cut, seen.lost, seen.repeated)
