"""The scenario ``move``: an api node drains and moves thousands of clients in rooms to another one.

The clients are idle, but every room says something before, during and after the move, and all its
players must hear it once.
"""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot
from lastcall.bench.bots.crowd import Crowd, open_crowd, wait_until
from lastcall.bench.bots.settle import settle
from lastcall.bench.load.messages import MICROS
from lastcall.bench.nodes.fleet import (
    MANY,
    WIDE_LIMITS,
    CpuReading,
    Fleet,
    FleetPlan,
    open_fleet,
)
from lastcall.bench.nodes.proc import allow_descriptors, no_collections
from lastcall.bench.report.report import Figure, Report, exactly
from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios import figures
from lastcall.policy import DrainPolicy
from lastcall.reasons import Close

LEAVES, STAYS = "api-1", "api-2"
GRACE_SECONDS = 25.0
REST_SECONDS = 2.0
ROUND_SECONDS = 2.0
"""The time in which each room speaks once, before the move and after it."""
LATE_SECONDS = 10.0


class MoveSettings(msgspec.Struct, frozen=True):
    """The size of the run. All rooms are full but the last one."""

    clients: int = 10_000
    seats: int = 50
    spread_seconds: float = 10.0


async def measure_move(settings: MoveSettings, progress: Progress) -> Report:
    """Runs the scenario. Raises :class:`UsageError`, ``ClusterFailed`` and ``LoadFailed``."""
    allow_descriptors(settings.clients)
    drain = DrainPolicy(grace_seconds=GRACE_SECONDS, spread_seconds=settings.spread_seconds)
    plan = FleetPlan(clients="move", drain=drain, limits=MANY)
    async with open_fleet(plan) as fleet, open_crowd(fleet.urls) as crowd:
        with no_collections():
            move = await _move(settings, fleet, crowd, progress)
            verdict = await settle(crowd, progress)
        return _report(settings, fleet, crowd, move, verdict)


class _Move(msgspec.Struct, frozen=True):
    """The time of the signal to the node, and the readings around the move."""

    signalled_at: float
    before: CpuReading
    last: CpuReading
    resident: dict[str, dict[str, int]]


async def _move(settings: MoveSettings, fleet: Fleet, crowd: Crowd, progress: Progress) -> _Move:
    """Seats all clients on one node, and makes it leave."""
    resident = {"before the clients": fleet.resident()}
    await crowd.seat(settings.clients, settings.seats, progress, apis=1)
    bar = progress.add_task("moving", total=3)
    speakers = [room[0] for room in crowd.rooms]
    await _speak(speakers, ROUND_SECONDS)
    await trio.sleep(REST_SECONDS)
    progress.advance(bar)
    resident["before the move"] = fleet.resident()
    readings = [fleet.cpu()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.follow_cpu, readings)
        signalled_at = fleet.stop(LEAVES)
        await _speak(speakers, settings.spread_seconds)
        await wait_until(lambda: _all_moved(crowd), LATE_SECONDS)
        with trio.move_on_after(GRACE_SECONDS):
            await fleet.nodes[LEAVES].ended.wait()
        nursery.cancel_scope.cancel()
    progress.advance(bar)
    resident["after the move"] = fleet.resident()
    await _speak(speakers, ROUND_SECONDS)
    progress.advance(bar)
    return _Move(signalled_at, readings[0], readings[-1], resident)


def _all_moved(crowd: Crowd) -> bool:
    return all(bot.dead or (bot.live and bot.node == STAYS) for bot in crowd.bots)


def _report(
    settings: MoveSettings, fleet: Fleet, crowd: Crowd, move: _Move, verdict: Verdict
) -> Report:
    moved = [one for one in crowd.returns if one.code == Close.SERVICE_RESTART]
    leaving = fleet.nodes[LEAVES]
    counted = leaving.finished.clients_moved if leaving.finished else 0
    code = leaving.exit_code
    return Report(
        scenario="move",
        settings=msgspec.to_builtins(settings) | WIDE_LIMITS,
        figures=[
            exactly("clients that got 1012 and came back", len(moved), settings.clients),
            exactly("clients_moved in drain.finished", counted, settings.clients),
            exactly("exit code", -1 if code is None else code, 0),
            Figure("sockets lost otherwise", len(crowd.returns) - len(moved), "", limit=0),
            *figures.times("signal to resumed", [one.back_at - move.signalled_at for one in moved]),
            *figures.times("without a place", [one.back_at - one.lost_at for one in moved]),
            *figures.dials(moved),
            *figures.peaks("moves", [one.lost_at for one in moved]),
            *figures.peaks("resumes", [one.back_at for one in moved]),
            *figures.of_verdict(verdict),
            *_cpu_figures(move, max(1, len(moved))),
            *(
                Figure(f"memory {when}, {name}", used / figures.MIB, "MiB")
                for when, resident in move.resident.items()
                for name, used in sorted(resident.items())
            ),
        ],
        failure=figures.failure_of(verdict),
    )


def _cpu_figures(move: _Move, moved: int) -> list[Figure]:
    used = {name: move.last.seconds[name] - was for name, was in move.before.seconds.items()}
    return [
        Figure("the move took", move.last.at - move.before.at, "s"),
        *(Figure(f"processor, {name}", seconds, "s") for name, seconds in used.items()),
        *(
            Figure(f"processor per client moved, {name}", MICROS * seconds / moved, "µs")
            for name, seconds in used.items()
            if name != "bots"
        ),
    ]


async def _speak(speakers: list[Bot], seconds: float) -> None:
    """Each speaker says one thing, evenly over the time."""
    begin = trio.current_time()
    for turn, speaker in enumerate(speakers):
        await trio.sleep_until(begin + seconds * turn / len(speakers))
        if not speaker.dead:
            speaker.say()
