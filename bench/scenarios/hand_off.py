"""The scenario ``hand-off``: a game node gives all its rooms to another one while bots talk.

Every bot and every room keeps a ledger; a room's moves with it, as its state. At the end all
ledgers are compared.
"""

from __future__ import annotations

import httpx
import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import Crowd, open_crowd
from lastcall.bench.bots.settle import settle
from lastcall.bench.load.messages import MICROS
from lastcall.bench.nodes.fleet import (
    MANY,
    CpuReading,
    Fleet,
    FleetPlan,
    open_fleet,
)
from lastcall.bench.nodes.node_metrics import EVERY_SECONDS, read_metrics, wait_for_metrics
from lastcall.bench.nodes.proc import no_collections
from lastcall.bench.report.report import Figure, Report, exactly
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios import figures
from lastcall.bench.scenarios.repeated import RepeatedSettings, repeated
from lastcall.bench.scenarios.silences import loop_held, silences
from lastcall.local.admin_client import open_admin_client
from lastcall.policy import DrainPolicy

LEAVES, TAKES = "game-1", "game-2"
GRACE_SECONDS, FAREWELL_SECONDS = 60.0, 10.0
SILENCE_LIMITS = {"p50": 50.0, "p99": 250.0}
HELD_LIMIT_MS = 50.0


class HandOffSettings(RepeatedSettings, frozen=True):
    """The size of a run. The signal comes after ``warm_seconds`` and ``calm_seconds``."""

    rooms: int = 2_000
    every_ms: float = 800.0
    apis: int = 1
    warm_seconds: float = 3.0
    calm_seconds: float = 5.0
    after_seconds: float = 2.0


async def measure_hand_off(settings: HandOffSettings, progress: Progress) -> Report:
    """Runs the scenario; every run starts new nodes.

    Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``.
    """
    return await repeated("hand-off", settings, _run, progress)


async def _run(settings: HandOffSettings, progress: Progress) -> tuple[list[Figure], Verdict]:
    drain = DrainPolicy(grace_seconds=GRACE_SECONDS, farewell_seconds=FAREWELL_SECONDS)
    plan = FleetPlan(apis=settings.apis, games=1, drain=drain, limits=MANY, peers=True)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.seat(settings.bots, settings.seats, progress)
        await fleet.add_game()
        async with open_admin_client() as client:
            with no_collections():
                hand_off = await _talk(settings, fleet, crowd, client, progress)
                verdict = await settle(crowd, progress)
        return [*_figures(settings, fleet, crowd, hand_off), *figures.of_verdict(verdict)], verdict


class _HandOff(msgspec.Struct, frozen=True):
    """The time of the signal, the readings around the hand-off, and each node's metrics."""

    at: float
    start: CpuReading
    before: CpuReading
    end: CpuReading
    metrics: dict[str, list[str]]


async def _talk(
    settings: HandOffSettings,
    fleet: Fleet,
    crowd: Crowd,
    client: httpx.AsyncClient,
    progress: Progress,
) -> _HandOff:
    bar = progress.add_task("talking, handing off", total=3)
    await _wait_linked(fleet, client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.talk, settings.every_ms / 1000)
        await trio.sleep(settings.warm_seconds)
        progress.advance(bar)
        start = fleet.cpu()
        await trio.sleep(settings.calm_seconds)
        progress.advance(bar)
        metrics: dict[str, list[str]] = {LEAVES: [], TAKES: []}
        for name, texts in metrics.items():
            texts.append(await read_metrics(fleet, client, name))
            nursery.start_soon(_watch, fleet, client, name, texts)
        readings = [fleet.cpu()]
        nursery.start_soon(fleet.follow_cpu, readings)
        at = fleet.stop(LEAVES)
        with trio.move_on_after(GRACE_SECONDS):
            await fleet.nodes[LEAVES].ended.wait()
        progress.advance(bar)
        end = readings[-1]
        await trio.sleep(settings.after_seconds)
        nursery.cancel_scope.cancel()
    return _HandOff(at, start, readings[0], end, metrics)


async def _wait_linked(fleet: Fleet, client: httpx.AsyncClient) -> None:
    """Waits until the api nodes and the node that leaves know the one that takes the rooms."""
    wanted = {name: ("lastcall_links", 2.0) for name in fleet.nodes if name.startswith("api-")}
    await wait_for_metrics(fleet, client, wanted | {LEAVES: ("lastcall_peers", 1.0)})


async def _watch(fleet: Fleet, client: httpx.AsyncClient, name: str, texts: list[str]) -> None:
    """Adds the node's metrics until it is gone."""
    while not fleet.nodes[name].ended.is_set():
        await trio.sleep(EVERY_SECONDS)
        try:
            texts.append(await read_metrics(fleet, client, name))
        except httpx.TransportError:  # it may be ending now, or its loop is held
            continue


def _figures(
    settings: HandOffSettings, fleet: Fleet, crowd: Crowd, hand_off: _HandOff
) -> list[Figure]:
    leaving, counts = fleet.nodes[LEAVES], fleet.nodes[LEAVES].finished
    calm = silences(crowd.rooms, hand_off.start.at, hand_off.before.at)
    return [
        exactly("rooms handed off", counts.rooms_handed_off if counts else 0, settings.rooms),
        exactly("exit code", -1 if leaving.exit_code is None else leaving.exit_code, 0),
        Figure("sockets lost", len(crowd.losses), "", limit=0),
        *figures.times("silence", silences(crowd.rooms, hand_off.at), SILENCE_LIMITS, unit="ms"),
        *figures.times("silence before the signal", calm, unit="ms"),
        *(
            Figure(f"loop held, {name}", 1000 * loop_held(texts[0], texts[-1]), "ms", HELD_LIMIT_MS)
            for name, texts in hand_off.metrics.items()
        ),
        Figure("signal to the node's end", hand_off.end.at - hand_off.at, "s"),
        *_cpu_figures(settings, hand_off),
        Figure("the bots themselves were late by, max", 1000 * crowd.late_seconds, "ms"),
        Figure("inputs per second", 1000 / settings.every_ms * settings.bots, "1/s"),
    ]


def _cpu_figures(settings: HandOffSettings, hand_off: _HandOff) -> list[Figure]:
    """The processor time of the hand-off, by tier: without what the talk takes in that time."""
    usual = hand_off.before.since(hand_off.start)
    now = hand_off.end.since(hand_off.before)
    seconds = hand_off.end.at - hand_off.before.at
    more = {
        tier: sum(
            (now[name] - usual[name]) / 100 * seconds for name in usual if name.startswith(tier)
        )
        for tier in ("game", "api")
    }
    return [
        *figures.cpu("before", usual),
        *figures.cpu("hand-off", now),
        *(
            Figure(f"processor per room moved, {tier} nodes", MICROS * used / settings.rooms, "µs")
            for tier, used in more.items()
        ),
    ]
