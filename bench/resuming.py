"""The scenario ``resume``: what one resume costs the nodes, and the room."""

from __future__ import annotations

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


class _Run:
    def __init__(self, settings: ResumeSettings, fleet: Fleet, crowd: Crowd) -> None:
        self._settings = settings
        self._fleet = fleet
        self._crowd = crowd
        self._idle: dict[str, float] = {}

    async def run(self, progress: Progress) -> Report:
        """In a row, at once, and, when the ledgers have been checked, with messages missed."""
        settings, crowd = self._settings, self._crowd
        bar = progress.add_task("resuming", total=3 * settings.resumes)
        await trio.sleep(1.0)
        before = self._fleet.spent()
        await trio.sleep(REST_SECONDS)
        self._idle = self._fleet.spent().since(before)
        await crowd.ask_tallies()
        events = _events(crowd)
        figures = await self._resume("in a row", 1, 0, progress, bar)
        figures += await self._resume(
            f"{settings.at_once} at once", settings.at_once, 0, progress, bar
        )
        verdict = await crowd.settle(progress)
        figures += _of_events(_events(crowd) - events, 2 * settings.resumes)
        figures += of_verdict(verdict)
        missed = f"in a row, {settings.missed} messages missed"
        figures += await self._resume(missed, 1, settings.missed, progress, bar)
        return Report("resume", msgspec.to_builtins(settings), figures, failure=failure_of(verdict))

    async def _resume(
        self, how: str, at_once: int, missed: int, progress: Progress, bar: TaskID
    ) -> list[Figure]:
        """So many bots at a time lose their socket and take their place again."""
        seconds: list[float] = []
        turns = iter(range(self._settings.resumes))
        bots = self._crowd.bots

        async def some(own: Sequence[Bot]) -> None:
            """These are one task's own, so that no bot is in two resumes."""
            for turn in turns:
                begin = time.perf_counter()
                await own[turn % len(own)].renew(missed)
                seconds.append(time.perf_counter() - begin)
                progress.advance(bar)

        before = self._fleet.spent()
        try:
            async with trio.open_nursery() as nursery:
                for first in range(min(at_once, len(bots))):
                    nursery.start_soon(some, bots[first::at_once])
        except* DialFailed as failed:
            raise LoadFailed(str(failed.exceptions[0])) from failed
        return self._figures(how, sorted(seconds), self._used(before), limited=not missed)

    def _used(self, before: Spent) -> dict[str, float]:
        """Processor seconds since then, less what the nodes use at rest."""
        now = self._fleet.spent()
        took = now.at - before.at
        return {
            name: percent / 100 * took - self._idle[name] / 100 * took
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
            Figure(f"{how}: processor per resume, game node", each * used["game-1"], "µs", limit),
            Figure(f"{how}: processor per resume, api node", each * used["api-1"], "µs"),
            Figure(f"{how}: processor per resume, bots", each * used["bots"], "µs"),
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
