"""A part of ``drain``: every node of a cluster of 2 + 2 is replaced while bots play."""

from __future__ import annotations

import random

import trio

from lastcall.bench.load.messages import LoadFailed
from lastcall.bench.nodes.proc import allow_descriptors, no_collections
from lastcall.bench.report.report import Figure
from lastcall.bus.address import HostPort
from lastcall.errors import ClusterFailed
from lastcall.local.bots.bots import Bots
from lastcall.local.bots.ledger import Ledger, Mark, at_quantile
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster, open_cluster
from lastcall.local.control.messages import AskRoll, Players, RollReport
from lastcall.local.plan import Plan
from lastcall.local.roll.service import Rolls

FREE_PORT = HostPort("127.0.0.1", 0)
ARRIVAL_SECONDS = 2.0
CALM_SECONDS = 5.0
"""The time that the bots play before the roll, for comparison."""
LAST_MATCH_SECONDS = 10.0
WAIT_LIMIT_MS = 300.0


async def measure_roll(bots: int) -> list[Figure]:
    """Measures the bots' waits for a seat while every node is replaced.

    Raises ``ClusterFailed`` and ``LoadFailed``.
    """
    allow_descriptors(bots)
    plan = Plan(apis=2, games=2, client=FREE_PORT, admin=FREE_PORT)
    ledger = Ledger(trio.current_time)
    dead: list[Child] = []
    async with open_cluster(plan, dead.append) as cluster:
        await cluster.wait_ready()
        calm, report = await _play_and_roll(cluster, ledger, bots)
        cluster.stop()
        await cluster.wait_ended()
    if report.failure or dead:
        deaths = ", ".join(child.how_it_ended() for child in dead)
        raise ClusterFailed(f"the roll failed: {report.failure or deaths}")
    players = report.players
    if players is None or not players.joins:
        raise LoadFailed(f"the bots did not play: {ledger.error_texts}")
    return _figures(calm, report, players)


async def _play_and_roll(
    cluster: LocalCluster, ledger: Ledger, count: int
) -> tuple[Mark, RollReport]:
    """Returns the bots' waits before the roll, and the report of the roll."""
    rolls = Rolls(cluster, ledger, count, lambda _told, _text: None)
    bots = Bots([cluster.url], count, ledger, random.Random())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rolls.run, stop := trio.Event())
        nursery.start_soon(bots.run)
        await trio.sleep(ARRIVAL_SECONDS)
        with no_collections():
            before = ledger.mark()
            await trio.sleep(CALM_SECONDS)
            calm = ledger.mark().since(before)
            report = await _roll(rolls)
        stop.set()
        bots.stop()
        nursery.cancel_scope.deadline = trio.current_time() + LAST_MATCH_SECONDS
    return calm, report


async def _roll(rolls: Rolls) -> RollReport:
    async for message in rolls.roll(AskRoll()):
        if isinstance(message, RollReport):
            return message
    raise ClusterFailed("the roll has ended without a report")


def _figures(calm: Mark, report: RollReport, players: Players) -> list[Figure]:
    return [
        Figure("before the roll: joined after, p99", 1000 * at_quantile(calm.waits, 0.99), "ms"),
        Figure("before the roll: joined after, max", 1000 * at_quantile(calm.waits, 1), "ms"),
        Figure("during the roll: joined after, p50", 1000 * players.wait_p50, "ms"),
        Figure("during the roll: joined after, p99", 1000 * players.wait_p99, "ms"),
        Figure("during the roll: joined after, max", 1000 * players.wait_max, "ms", WAIT_LIMIT_MS),
        Figure("joins during the roll", players.joins, ""),
        Figure("players who noticed", players.noticed, "", limit=0),
        Figure("hops of any bot, at most", players.hops_max, ""),
        Figure("the roll's exit code", report.exit_code, "", limit=0),
        Figure("the roll took", report.seconds, "s"),
    ]
