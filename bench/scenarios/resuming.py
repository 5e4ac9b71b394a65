"""The scenario ``resume``: what one resume costs the nodes, and the room.

By turns: in a row, many at once, and among talk. In a row each finds the nodes asleep: what wakes
them costs more than what they are woken for, so an input by itself is measured beside it.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import msgspec
import trio
from rich.progress import Progress, TaskID

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import Crowd, open_crowd
from lastcall.bench.load.dial import DialFailed
from lastcall.bench.load.load import LoadFailed, no_collections
from lastcall.bench.nodes.fleet import Fleet, FleetPlan, Spent, open_fleet
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.report.report import Figure, Report, percentile
from lastcall.bench.scenarios.figures import failure_of, of_verdict

__all__ = ["ResumeSettings", "measure_resume"]

TALK_PER_SECOND = 2_000
BUSY_PER_SECOND = 1_000
RESUMES_AMONG_TALK = 250
"""A second: so few that talk and resumes together do not fill a core."""
LONE_PER_SECOND = 200
"""Inputs, about as many as there are resumes in a row."""
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


class _Used(msgspec.Struct, frozen=True):
    """What each process has used of a core, and for how long."""

    percent: dict[str, float]
    seconds: float

    @classmethod
    def since(cls, before: Spent, now: Spent) -> _Used:
        return cls(now.since(before), now.at - before.at)


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
        figures = await self._inputs_alone()
        figures += await self._resume(_Part("in a row"), progress, bar)
        figures += await self._resume(at_once, progress, bar)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.talk, settings.bots / BUSY_PER_SECOND)
            await trio.sleep(1.0)
            figures += await self._resume_among_talk(progress, bar)
            nursery.cancel_scope.cancel()
        verdict = await crowd.settle(progress)
        figures += _of_events(_events(crowd) - events, 3 * settings.resumes)
        figures += of_verdict(verdict)
        await self._measure_otherwise()
        replay = _Part(f"{settings.missed} to replay", missed=settings.missed)
        figures += await self._resume(replay, progress, bar)
        return Report("resume", msgspec.to_builtins(settings), figures, failure=failure_of(verdict))

    async def _measure_otherwise(self) -> None:
        self._otherwise = await self._spent_otherwise()

    async def _spent_otherwise(self) -> dict[str, float]:
        before = self._fleet.spent()
        await trio.sleep(REST_SECONDS)
        return self._fleet.spent().since(before)

    async def _inputs_alone(self) -> list[Figure]:
        crowd = self._crowd
        before, said = self._fleet.spent(), crowd.inputs
        with trio.move_on_after(REST_SECONDS):
            await crowd.talk(self._settings.bots / LONE_PER_SECOND)
        used, count = self._used(before), crowd.inputs - said
        return [
            Figure(f"an input alone: processor, {tier}", MICRO * used[f"{tier}-1"] / count, "µs")
            for tier in ("game", "api")
        ]

    async def _resume_among_talk(self, progress: Progress, bar: TaskID) -> list[Figure]:
        """What the talk costs is measured before and after, as it drifts."""
        part = _Part("among talk", self._settings.at_once, per_second=RESUMES_AMONG_TALK)
        talk = await self._spent_otherwise()
        used, seconds = await self._resumed(part, progress, bar)
        after = await self._spent_otherwise()
        self._otherwise = {name: (talk[name] + after[name]) / 2 for name in talk}
        return self._figures(part, seconds, self._less_otherwise(used))

    async def _resume(self, part: _Part, progress: Progress, bar: TaskID) -> list[Figure]:
        used, seconds = await self._resumed(part, progress, bar)
        return self._figures(part, seconds, self._less_otherwise(used))

    async def _resumed(
        self, part: _Part, progress: Progress, bar: TaskID
    ) -> tuple[_Used, list[float]]:
        """So many bots at a time lose their socket and take their place again.

        Returns what was used meanwhile, and how long each took, in order.
        """
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
        return _Used.since(before, self._fleet.spent()), sorted(seconds)

    def _used(self, before: Spent) -> dict[str, float]:
        return self._less_otherwise(_Used.since(before, self._fleet.spent()))

    def _less_otherwise(self, used: _Used) -> dict[str, float]:
        """Processor seconds, less what the nodes use without a resume."""
        return {
            name: (percent - self._otherwise[name]) / 100 * used.seconds
            for name, percent in used.percent.items()
        }

    def _figures(
        self, part: _Part, seconds: Sequence[float], used: dict[str, float]
    ) -> list[Figure]:
        how, each = part.how, MICRO / len(seconds)
        limit = GAME_LIMIT_US if part.at_once > 1 else None
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
