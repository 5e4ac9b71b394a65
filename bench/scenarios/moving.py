"""A part of ``drain``: thousands of idle clients are moved, and the node's loop turns on."""

from __future__ import annotations

import time
from collections.abc import Sequence

import trio

from lastcall.bench.load.load import Client, Load, no_collections
from lastcall.bench.nodes.probe import Answer, open_probe
from lastcall.bench.nodes.proc import wait_gone
from lastcall.bench.nodes.servers import Servers, allow_descriptors, open_servers
from lastcall.bench.report.report import Figure, exactly, percentile
from lastcall.bench.scenarios.readiness import connect_all
from lastcall.policy import DrainPolicy
from lastcall.reasons import Close

__all__ = ["gaps", "measure_moving", "most_within"]

ASK_EVERY_SECONDS = 0.005
REST_SECONDS = 1.0
WINDOW_SECONDS = 0.1
WINDOW_LIMIT_MEANS = 2.5
"""In the fullest window go at most so many times the mean: 5 % of all, of a spread of 5 s."""
BLOCKED_LIMIT_MS = 50.0
LATE_SECONDS = 1.0
"""All are moved within the spread and so much more."""
GRACE_SECONDS = 25.0


async def measure_moving(clients: int, spread_seconds: float) -> list[Figure]:
    """One api node leaves ``clients`` idle clients, spread over so many seconds."""
    allow_descriptors(clients)
    drain = DrainPolicy(grace_seconds=GRACE_SECONDS, spread_seconds=spread_seconds)
    async with open_servers(drain) as servers, trio.open_nursery() as nursery:
        load = Load(servers.url)
        nursery.start_soon(load.run)
        crowd = await connect_all(load, clients)
        watch = _Watch(crowd)
        with no_collections():
            await trio.sleep(REST_SECONDS)
            figures = await _drain(servers, watch, spread_seconds)
        nursery.cancel_scope.cancel()
    return figures


class _Watch:
    """When each client was closed, and how."""

    def __init__(self, crowd: Sequence[Client]) -> None:
        self.clients = len(crowd)
        self.moved_at: list[float] = []
        self.late: list[float] = []
        for client in crowd:
            client.on_close = self._closed

    def _closed(self, client: Client) -> None:
        if client.close_code == Close.SERVICE_RESTART and client.move_due is not None:
            now = time.monotonic()
            self.moved_at.append(now)
            self.late.append(now - client.move_due)


async def _drain(servers: Servers, watch: _Watch, spread_seconds: float) -> list[Figure]:
    child = servers.node("api")
    assert child.ready is not None
    async with open_probe(child.ready.admin, "/livez", ASK_EVERY_SECONDS) as probe:
        await trio.sleep(REST_SECONDS)
        told_at = servers.stop("api")
        with trio.fail_after(GRACE_SECONDS):
            gone_at = await wait_gone(child.pid)
            await probe.ended.wait()
            await child.ended.wait()
    moved_at, late = sorted(watch.moved_at), sorted(watch.late)
    last_at = moved_at[-1] if moved_at else told_at
    counted = child.finished.clients_moved if child.finished else 0
    assert child.exit_code is not None
    return [
        exactly("clients that got a move and 1012", len(moved_at), watch.clients),
        exactly("clients_moved in drain.finished", counted, watch.clients),
        exactly("exit code", child.exit_code, 0),
        Figure("signal to first moved", 1000 * (moved_at[0] - told_at), "ms"),
        Figure(
            "signal to last moved",
            last_at - told_at,
            "s",
            least=spread_seconds,
            limit=spread_seconds + LATE_SECONDS,
        ),
        Figure(
            "most in any 100 ms",
            100 * most_within(WINDOW_SECONDS, moved_at) / watch.clients,
            "%",
            100 * WINDOW_LIMIT_MEANS * WINDOW_SECONDS / spread_seconds,
        ),
        *_of_times("moved later than was said", late),
        *_of_blocking(gaps(probe.answers, told_at, last_at)),
        Figure("last moved to process gone", 1000 * (gone_at - last_at), "ms"),
    ]


def _of_times(name: str, ordered: Sequence[float]) -> list[Figure]:
    return [
        Figure(f"{name}, {word}", 1000 * percentile(ordered, share), "ms")
        for word, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]


def _of_blocking(between: Sequence[float]) -> list[Figure]:
    *some, worst = _of_times("between two answers of /livez", sorted(between))
    return [*some, Figure(worst.name, worst.value, worst.unit, BLOCKED_LIMIT_MS)]


def gaps(answers: Sequence[Answer], begin: float, end: float) -> list[float]:
    """Seconds between each two answers, of those that came between ``begin`` and ``end``.

    The first is counted from ``begin``, and the last is the one that goes on beyond ``end``. They
    hold the pause between two questions: a loop that was blocked was so for at most this long.
    """
    found, before = [], begin
    for answer in answers:
        if answer.answered > begin:
            found.append(answer.answered - before)
            before = answer.answered
        if before > end:
            break
    return found


def most_within(window: float, ordered: Sequence[float]) -> int:
    """How many of the rising ``ordered`` lie within any one ``window``, at most."""
    most = first = 0
    for index, at in enumerate(ordered):
        while at - ordered[first] > window:
            first += 1
        most = max(most, index - first + 1)
    return most
