"""The scenario ``move``: an api node leaves thousands of clients in rooms to another one.

The clients are idle, but every room says something before, while and after its players move, and
all of them must hear it once.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import Crowd, open_crowd, until
from lastcall.bench.load.load import no_collections
from lastcall.bench.nodes.fleet import Fleet, FleetPlan, Spent, open_fleet
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.bench.report.report import Figure, Report, exactly
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios.figures import failure_of, of_busiest, of_dials, of_times, of_verdict
from lastcall.policy import DrainPolicy
from lastcall.reasons import Close

__all__ = ["MoveSettings", "measure_move"]

LEAVES, STAYS = "api-1", "api-2"
GRACE_SECONDS = 25.0
REST_SECONDS = 2.0
ROUND_SECONDS = 2.0
"""Over which the rooms speak before and after the move."""
LATE_SECONDS = 10.0
LOOK_SECONDS = 0.1
MIB = 1024 * 1024
MICRO = 1e6


class MoveSettings(msgspec.Struct, frozen=True):
    """How much of it."""

    clients: int = 10_000
    seats: int = 50
    spread_seconds: float = 10.0

    @property
    def rooms(self) -> int:
        """All full but the last one, which has at least one player."""
        return -(-self.clients // self.seats)


async def measure_move(settings: MoveSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    drain = DrainPolicy(grace_seconds=GRACE_SECONDS, spread_seconds=settings.spread_seconds)
    plan = FleetPlan(clients="move", drain=drain)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        run = _Run(settings, fleet, crowd)
        with no_collections():
            await run.move(progress)
            verdict = await crowd.settle(progress)
        return run.report(verdict)


class _Run:
    def __init__(self, settings: MoveSettings, fleet: Fleet, crowd: Crowd) -> None:
        self._settings = settings
        self._fleet = fleet
        self._crowd = crowd
        self._told_at = 0.0
        self._before = self._last = Spent(0.0, {})
        self._resident: list[dict[str, int]] = []

    async def move(self, progress: Progress) -> None:
        """Seats all on one node, and has it leave."""
        settings, crowd, fleet = self._settings, self._crowd, self._fleet
        self._resident.append(fleet.resident())
        await crowd.seat_all(settings.clients, settings.seats, progress, doors=1)
        bar = progress.add_task("moving", total=3)
        speakers = [table[0] for table in crowd.tables]
        await _speak(speakers, ROUND_SECONDS)
        await trio.sleep(REST_SECONDS)
        progress.advance(bar)
        self._resident.append(fleet.resident())
        self._before = fleet.spent()
        leaving = fleet.nodes[LEAVES]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look)
            self._told_at = fleet.stop(LEAVES)
            await _speak(speakers, settings.spread_seconds)
            await until(self._all_moved, LATE_SECONDS)
            with trio.move_on_after(GRACE_SECONDS):
                await leaving.ended.wait()
            nursery.cancel_scope.cancel()
        progress.advance(bar)
        self._resident.append(fleet.resident())
        await _speak(speakers, ROUND_SECONDS)
        progress.advance(bar)

    def _all_moved(self) -> bool:
        return all(bot.dead or (bot.live and bot.node == STAYS) for bot in self._crowd.bots)

    async def _look(self) -> None:
        """What the leaving node has spent can be read only while it lives."""
        while True:
            spent = self._fleet.spent()
            self._last = Spent(spent.at, self._last.cpu | spent.cpu)
            await trio.sleep(LOOK_SECONDS)

    def report(self, verdict: Verdict) -> Report:
        """All that was found."""
        settings, crowd = self._settings, self._crowd
        moved = [one for one in crowd.returns if one.code == Close.SERVICE_RESTART]
        leaving = self._fleet.nodes[LEAVES]
        counted = leaving.finished.clients_moved if leaving.finished else 0
        code = leaving.exit_code
        return Report(
            scenario="move",
            settings=msgspec.to_builtins(settings),
            figures=[
                exactly("clients that got 1012 and came back", len(moved), settings.clients),
                exactly("clients_moved in drain.finished", counted, settings.clients),
                exactly("exit code", -1 if code is None else code, 0),
                Figure("sockets lost otherwise", len(crowd.returns) - len(moved), "", limit=0),
                *of_times("signal to resumed", [one.back_at - self._told_at for one in moved]),
                *of_times("without a place", [one.back_at - one.lost_at for one in moved]),
                *of_dials(moved),
                *of_busiest("moves", [one.lost_at for one in moved]),
                *of_busiest("resumes", [one.back_at for one in moved]),
                *of_verdict(verdict),
                *self._of_cpu(max(1, len(moved))),
                *self._of_memory(),
            ],
            failure=failure_of(verdict),
        )

    def _of_cpu(self, moved: int) -> list[Figure]:
        spent = {name: self._last.cpu[name] - was for name, was in self._before.cpu.items()}
        seconds = self._last.at - self._before.at
        total = [Figure("the move took", seconds, "s")]
        total += [Figure(f"processor, {name}", used, "s") for name, used in spent.items()]
        return total + [
            Figure(f"processor per client moved, {name}", MICRO * used / moved, "µs")
            for name, used in spent.items()
            if name != "bots"
        ]

    def _of_memory(self) -> list[Figure]:
        words = ("before the clients", "before the move", "after the move")
        return [
            Figure(f"memory {when}, {name}", used / MIB, "MiB")
            for when, resident in zip(words, self._resident, strict=True)
            for name, used in sorted(resident.items())
        ]


async def _speak(speakers: list[Bot], seconds: float) -> None:
    """One after the other, evenly over so many seconds."""
    begin = trio.current_time()
    for turn, speaker in enumerate(speakers):
        await trio.sleep_until(begin + seconds * turn / len(speakers))
        if not speaker.dead:
            speaker.say()
