"""The scenario ``resume``: what one resume costs the nodes, and the room."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import msgspec
import trio
from rich.progress import Progress, TaskID

from bench.bot import Bot
from bench.crowd import Crowd, open_crowd
from bench.dial import DialFailed
from bench.fleet import Fleet, FleetPlan, Spent, open_fleet
from bench.judged import failure_of, of_verdict
from bench.load import LoadFailed, no_collections
from bench.report import Figure, Report, percentile
from bench.servers import allow_descriptors

__all__ = ["ResumeSettings", "measure_resume"]

TALK_PER_SECOND = 2_000
BUSY_PER_SECOND = 1_000
RESUMES_AMONG_TALK = 250
"""A second: so few that talk and resumes together do not fill a core."""
REST_SECONDS = 3.0
GAME_LIMIT_US = 100.0
EVENTS_LIMIT = 1.0
MICRO = 1e6
NO_EVENT_OF_A_RESUME = {"Said"}


class ResumeSettings(msgspec.Struct, frozen=True):
    """How much of it. ``history`` messages of each room go before."""

    rooms: int = 50
    seats: int = 4
    history: int = 200
    resumes: int = 5_000
    at_once: int = 64
    missed: int = 20

    @property
    def bots(self) -> int:
        """How many bots there are in all."""
        return self.rooms * self.seats


async def measure_resume(settings: ResumeSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.bots)
    plan = FleetPlan(apis=1, games=1)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.seat(settings.rooms, settings.seats, progress)
        await _make_history(crowd, settings)
        with no_collections():
            return await _Run(settings, fleet, crowd).run(progress)


async def _make_history(crowd: Crowd, settings: ResumeSettings) -> None:
    seconds = settings.history * settings.rooms / TALK_PER_SECOND
    with trio.move_on_after(seconds):
        await crowd.talk(settings.bots / TALK_PER_SECOND)


class _Part(msgspec.Struct, frozen=True):
    """One way to resume: how it is called, how many at once, and at most how many a second."""

    how: str
    at_once: int = 1
    missed: int = 0
    per_second: float = math.inf


class _Run:
    def __init__(self, settings: ResumeSettings, fleet: Fleet, crowd: Crowd) -> None:
        self._settings = settings
        self._fleet = fleet
        self._crowd = crowd
        self._otherwise: dict[str, float] = {}
        """What the nodes use without a resume, in percent of a core."""

    async def run(self, progress: Progress) -> Report:
        """In a row, at once, among talk; and, when the ledgers are checked, with a replay."""
        settings, crowd = self._settings, self._crowd
        bar = progress.add_task("resuming", total=4 * settings.resumes)
        await trio.sleep(1.0)
        await self._measure_otherwise()
        await crowd.ask_tallies()
        events = _events(crowd)
        at_once = _Part(f"{settings.at_once} at once", settings.at_once)
        figures = await self._resume(_Part("in a row"), progress, bar)
        figures += await self._resume(at_once, progress, bar)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.talk, settings.bots / BUSY_PER_SECOND)
            await trio.sleep(1.0)
            await self._measure_otherwise()
            among = _Part("among talk", settings.at_once, per_second=RESUMES_AMONG_TALK)
            figures += await self._resume(among, progress, bar)
            nursery.cancel_scope.cancel()
        verdict = await crowd.settle(progress)
        figures += _of_events(_events(crowd) - events, 3 * settings.resumes)
        figures += of_verdict(verdict)
        await self._measure_otherwise()
        replay = _Part(f"{settings.missed} to replay", missed=settings.missed)
        figures += await self._resume(replay, progress, bar)
        return Report("resume", msgspec.to_builtins(settings), figures, failure=failure_of(verdict))

    async def _measure_otherwise(self) -> None:
        before = self._fleet.spent()
        await trio.sleep(REST_SECONDS)
        self._otherwise = self._fleet.spent().since(before)

    async def _resume(self, part: _Part, progress: Progress, bar: TaskID) -> list[Figure]:
        """So many bots at a time lose their socket and take their place again."""
        seconds: list[float] = []
        turns = iter(range(self._settings.resumes))
        bots = self._crowd.bots
        start = trio.current_time()

        async def some(own: Sequence[Bot]) -> None:
            """These are one task's own, so that no bot is in two resumes."""
            for turn in turns:
                await trio.sleep_until(start + turn / part.per_second)
                begin = time.perf_counter()
                await own[turn % len(own)].renew(part.missed)
                seconds.append(time.perf_counter() - begin)
                progress.advance(bar)

        before = self._fleet.spent()
        try:
            async with trio.open_nursery() as nursery:
                for first in range(min(part.at_once, len(bots))):
                    nursery.start_soon(some, bots[first :: part.at_once])
        except* DialFailed as failed:
            raise LoadFailed(str(failed.exceptions[0])) from failed
        used = self._used(before)
        return self._figures(part.how, sorted(seconds), used, limited=not part.missed)

    def _used(self, before: Spent) -> dict[str, float]:
        """Processor seconds since then, less what the nodes use without a resume."""
        now = self._fleet.spent()
        took = now.at - before.at
        return {
            name: (percent - self._otherwise[name]) / 100 * took
            for name, percent in now.since(before).items()
        }

    def _figures(
        self, how: str, seconds: Sequence[float], used: dict[str, float], *, limited: bool
    ) -> list[Figure]:
        each = MICRO / len(seconds)
        limit = GAME_LIMIT_US if limited else None
        return [
            Figure(f"{how}: dial to resumed, p50", 1000 * percentile(seconds, 0.5), "ms"),
            Figure(f"{how}: dial to resumed, p99", 1000 * percentile(seconds, 0.99), "ms"),
            Figure(f"{how}: processor a resume, game", each * used["game-1"], "µs", limit),
            Figure(f"{how}: processor a resume, api", each * used["api-1"], "µs"),
            Figure(f"{how}: processor a resume, bots", each * used["bots"], "µs"),
        ]


def _events(crowd: Crowd) -> Counter[str]:
    """What all rooms have seen, by type, when they told it last."""
    events: Counter[str] = Counter()
    for bot in crowd.bots:
        if bot.tally is not None:
            events.update(bot.tally.events)
    return events


def _of_events(events: Counter[str], resumes: int) -> list[Figure]:
    count = sum(number for name, number in events.items() if name not in NO_EVENT_OF_A_RESUME)
    return [Figure("events of the room per resume", count / resumes, "", EVENTS_LIMIT)]
