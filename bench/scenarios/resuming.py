"""The scenario ``resume``: the cost of one resume for the nodes and for the room.

There are three parts: one resume after another, many at once, and many among talk. In the first
part each resume finds the nodes asleep, and waking them costs more than the resume itself; so the
cost of a single input is measured as well.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import BotSettings, Crowd, for_each, open_crowd
from lastcall.bench.bots.settle import ask_tallies, settle
from lastcall.bench.load.messages import MICROS
from lastcall.bench.nodes.fleet import CpuReading, Fleet, FleetPlan, open_fleet
from lastcall.bench.nodes.proc import allow_descriptors, no_collections
from lastcall.bench.report.report import Figure, Report
from lastcall.bench.scenarios import figures

HISTORY_PER_SECOND = 2_000
TALK_PER_SECOND = 1_000
RESUMES_AMONG_TALK = 250
"""The rate per second: talk and resumes together must not fill a core."""
LONE_PER_SECOND = 200
"""Single inputs: about the rate of the resumes in a row."""
REST_SECONDS = 3.0
GAME_LIMIT_US = 100.0
EVENTS_LIMIT = 1.0
NO_EVENT_OF_A_RESUME = {"Said"}


class ResumeSettings(BotSettings, frozen=True):
    """The size of the run. Each room first gets ``history`` messages."""

    rooms: int = 50
    history: int = 200
    resumes: int = 5_000
    at_once: int = 64
    missed: int = 20


async def measure_resume(settings: ResumeSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.bots)
    plan = FleetPlan(apis=1, games=1)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.seat(settings.bots, settings.seats, progress)
        with trio.move_on_after(settings.history * settings.rooms / HISTORY_PER_SECOND):
            await crowd.talk(settings.bots / HISTORY_PER_SECOND)
        with no_collections():
            return await _Run(settings, fleet, crowd, progress).run()


class _Part(msgspec.Struct, frozen=True):
    """One way to resume: its name, how many at once, and at most how many a second."""

    name: str
    at_once: int = 1
    missed: int = 0
    per_second: float = math.inf


class _Measured(msgspec.Struct, frozen=True):
    """The results of a part: the seconds of each resume, and the processor readings around them."""

    seconds: list[float]
    before: CpuReading
    after: CpuReading


class _Run:
    def __init__(
        self, settings: ResumeSettings, fleet: Fleet, crowd: Crowd, progress: Progress
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._crowd = crowd
        self._progress = progress
        self._bar = progress.add_task("resuming", total=4 * settings.resumes)

    async def run(self) -> Report:
        """All parts; last, once the ledgers are checked, resumes with a replay."""
        settings, crowd = self._settings, self._crowd
        await trio.sleep(1.0)
        idle = await self._background()
        await ask_tallies(crowd)
        events = _events(crowd)
        found = await self._inputs_alone(idle)
        for part in (_Part("in a row"), _Part(f"{settings.at_once} at once", settings.at_once)):
            found += _figures(part, await self._resume(part), idle)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.talk, settings.bots / TALK_PER_SECOND)
            await trio.sleep(1.0)
            found += await self._resume_among_talk()
            nursery.cancel_scope.cancel()
        verdict = await settle(crowd, self._progress)
        found.append(_event_figure(_events(crowd) - events, 3 * settings.resumes))
        found += figures.of_verdict(verdict)
        idle = await self._background()
        replay = _Part(f"{settings.missed} to replay", missed=settings.missed)
        found += _figures(replay, await self._resume(replay), idle)
        return Report(
            "resume", msgspec.to_builtins(settings), found, failure=figures.failure_of(verdict)
        )

    async def _background(self) -> dict[str, float]:
        """The use of the nodes without a resume, in percent of a core."""
        before = self._fleet.cpu()
        await trio.sleep(REST_SECONDS)
        return self._fleet.cpu().since(before)

    async def _inputs_alone(self, idle: dict[str, float]) -> list[Figure]:
        crowd = self._crowd
        before, said = self._fleet.cpu(), crowd.inputs
        with trio.move_on_after(REST_SECONDS):
            await crowd.talk(self._settings.bots / LONE_PER_SECOND)
        used, count = _net_seconds(before, self._fleet.cpu(), idle), crowd.inputs - said
        return [
            Figure(f"an input alone: processor, {tier}", MICROS * used[f"{tier}-1"] / count, "µs")
            for tier in ("game", "api")
        ]

    async def _resume_among_talk(self) -> list[Figure]:
        """The cost of the talk drifts, so it is measured before and after."""
        part = _Part("among talk", self._settings.at_once, per_second=RESUMES_AMONG_TALK)
        talk = await self._background()
        measured = await self._resume(part)
        after = await self._background()
        return _figures(part, measured, {name: (talk[name] + after[name]) / 2 for name in talk})

    async def _resume(self, part: _Part) -> _Measured:
        """Bots lose their socket and resume, ``part.at_once`` of them at a time."""
        seconds: list[float] = []
        turns = iter(range(self._settings.resumes))
        bots = self._crowd.bots
        start = trio.current_time()

        async def resume(share: Sequence[Bot]) -> None:
            """Each task has its own share of the bots, so that no bot is in two resumes."""
            for turn in turns:
                await trio.sleep_until(start + turn / part.per_second)
                begin = time.perf_counter()
                bot = share[turn % len(share)]
                bot.close()
                await bot.enter(bot.place.resume(part.missed))
                seconds.append(time.perf_counter() - begin)
                self._progress.advance(self._bar)

        before = self._fleet.cpu()
        shares = [bots[first :: part.at_once] for first in range(min(part.at_once, len(bots)))]
        await for_each(shares, resume, part.at_once)
        return _Measured(seconds, before, self._fleet.cpu())


def _net_seconds(
    before: CpuReading, after: CpuReading, background: dict[str, float]
) -> dict[str, float]:
    """Processor seconds between the readings, less the background (percent of a core)."""
    return {
        name: (percent - background[name]) / 100 * (after.at - before.at)
        for name, percent in after.since(before).items()
    }


def _figures(part: _Part, measured: _Measured, background: dict[str, float]) -> list[Figure]:
    used = _net_seconds(measured.before, measured.after, background)
    name, each = part.name, MICROS / len(measured.seconds)
    limit = GAME_LIMIT_US if part.at_once > 1 else None
    p50, p99, _ = figures.times(f"{name}: dial to resumed", measured.seconds, unit="ms")
    return [
        *(p50, p99),
        Figure(f"{name}: processor a resume, game", each * used["game-1"], "µs", limit),
        Figure(f"{name}: processor a resume, api", each * used["api-1"], "µs"),
        Figure(f"{name}: processor a resume, bots", each * used["bots"], "µs"),
    ]


def _events(crowd: Crowd) -> Counter[str]:
    """The events of all rooms, by type, as of their last tallies."""
    events: Counter[str] = Counter()
    for bot in crowd.bots:
        if bot.place.tally is not None:
            events.update(bot.place.tally.events)
    return events


def _event_figure(events: Counter[str], resumes: int) -> Figure:
    count = sum(number for name, number in events.items() if name not in NO_EVENT_OF_A_RESUME)
    return Figure("events of the room per resume", count / resumes, "", EVENTS_LIMIT)
