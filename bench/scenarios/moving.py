"""A part of ``drain``: a node moves thousands of idle clients without blocking its event loop."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from lastcall.bench.bots.crowd import Crowd, open_crowd
from lastcall.bench.nodes.fleet import MANY, Fleet, open_pair
from lastcall.bench.nodes.probe import Answer, open_probe
from lastcall.bench.nodes.proc import allow_descriptors, no_collections, wait_exit
from lastcall.bench.report.report import Figure, exactly
from lastcall.bench.scenarios import figures
from lastcall.policy import DrainPolicy
from lastcall.reasons import Close

POLL_SECONDS = 0.005
REST_SECONDS = 1.0
WINDOW_LIMIT_MEANS = 2.5
"""The fullest window holds at most this multiple of the mean: 5 % of all, of a spread of 5 s."""
BLOCKED_LIMITS_MS = {"max": 50.0}
LATE_SECONDS = 1.0
"""All clients are moved within the spread and this time."""
GRACE_SECONDS = 25.0


async def measure_moving(clients: int, spread_seconds: float) -> list[Figure]:
    """One api node moves ``clients`` idle clients, spread over ``spread_seconds``."""
    allow_descriptors(clients)
    drain = DrainPolicy(grace_seconds=GRACE_SECONDS, spread_seconds=spread_seconds)
    async with open_pair(drain, MANY) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.connect(clients)
        with no_collections():
            await trio.sleep(REST_SECONDS)
            return await _drain(fleet, crowd, clients, spread_seconds)


async def _drain(fleet: Fleet, crowd: Crowd, clients: int, spread_seconds: float) -> list[Figure]:
    child = fleet.nodes["api-1"]
    assert child.ready is not None
    async with open_probe(child.ready.admin, "/livez", POLL_SECONDS) as probe:
        await trio.sleep(REST_SECONDS)
        signalled_at = fleet.stop("api-1")
        with trio.fail_after(GRACE_SECONDS):
            gone_at = await wait_exit(child.pid)
            await probe.ended.wait()
            await child.ended.wait()
    moves = [one for one in crowd.losses if one.code == Close.SERVICE_RESTART]
    late = [one.lost_at - one.move_due for one in moves if one.move_due is not None]
    moved_at = sorted(one.lost_at for one in moves if one.move_due is not None)
    last_at = moved_at[-1] if moved_at else signalled_at
    counted = child.finished.clients_moved if child.finished else 0
    assert child.exit_code is not None
    blocked = gaps(probe.answers, signalled_at, last_at)
    return [
        exactly("clients that got a move and 1012", len(moved_at), clients),
        exactly("clients_moved in drain.finished", counted, clients),
        exactly("exit code", child.exit_code, 0),
        Figure("signal to first moved", 1000 * (moved_at[0] - signalled_at), "ms"),
        Figure(
            "signal to last moved",
            last_at - signalled_at,
            "s",
            least=spread_seconds,
            limit=spread_seconds + LATE_SECONDS,
        ),
        Figure(
            "most in any 100 ms",
            100 * figures.most_within(figures.WINDOW_SECONDS, moved_at) / clients,
            "%",
            100 * WINDOW_LIMIT_MEANS * figures.WINDOW_SECONDS / spread_seconds,
        ),
        *figures.times("moved later than was said", late, unit="ms"),
        *figures.times("between two answers of /livez", blocked, BLOCKED_LIMITS_MS, unit="ms"),
        Figure("last moved to process gone", 1000 * (gone_at - last_at), "ms"),
    ]


def gaps(answers: Sequence[Answer], begin: float, end: float) -> list[float]:
    """Seconds between successive answers, of those that arrived between ``begin`` and ``end``.

    The first gap begins at ``begin``, and the last one ends after ``end``. A gap includes the pause
    between two requests: it is an upper bound for how long the loop was blocked.
    """
    found, before = [], begin
    for answer in answers:
        if answer.answered > begin:
            found.append(answer.answered - before)
            before = answer.answered
        if before > end:
            break
    return found
