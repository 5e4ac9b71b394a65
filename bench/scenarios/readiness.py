"""Two parts of ``drain``: how soon a node reports that it leaves, and how soon it has gone."""

from __future__ import annotations

import time

import trio

from lastcall.bench.load.at_once import for_each
from lastcall.bench.load.clients import Client, ClientPool
from lastcall.bench.nodes.fleet import Fleet, open_pair
from lastcall.bench.nodes.probe import Probe, open_probe
from lastcall.bench.nodes.proc import allow_descriptors, wait_exit
from lastcall.bench.report.report import Figure
from lastcall.errors import ClusterFailed
from lastcall.policy import DrainPolicy
from lastcall.wire import frames

DRAIN = DrainPolicy(grace_seconds=10, farewell_seconds=2, spread_seconds=5)
CONNECTING_AT_ONCE = 32
COUNTDOWN_SECONDS = 1
LIMIT_SECONDS = 12.0
READY_LIMIT_MS = 50.0
GONE_LIMIT_MS = 150.0


async def measure_readiness(tier: str, clients: int) -> list[Figure]:
    """From the signal to the first 503 of ``/readyz``, which is asked without a pause.

    An api node has ``clients`` clients outside rooms; a game node as many players, two to a room.
    """
    allow_descriptors(clients)
    async with open_pair(DRAIN) as fleet, trio.open_nursery() as nursery:
        pool = ClientPool(fleet.urls[0])
        nursery.start_soon(pool.run)
        everybody = await connect_all(pool, clients)
        if tier == "game":
            await _seat_pairs(everybody)
        ready = fleet.nodes[f"{tier}-1"].ready
        assert ready is not None
        async with open_probe(ready.admin, "/readyz", 0.0) as probe:
            await trio.sleep(0.5)  # of answers before the signal
            told_at = fleet.stop(f"{tier}-1")
            with trio.fail_after(LIMIT_SECONDS):
                await probe.ended.wait()
        nursery.cancel_scope.cancel()
    ms = seconds_to_refusal(probe, told_at) * 1000
    where = "2 to a room" if tier == "game" else "outside rooms"
    name = f"{tier} node, {clients} clients {where}: signal to /readyz 503"
    return [Figure(name, ms, "ms", READY_LIMIT_MS)]


def seconds_to_refusal(probe: Probe, told_at: float) -> float:
    """From ``told_at`` to the arrival of the first 503; raises :class:`ClusterFailed`."""
    last = probe.answers[-1]
    if last.status != 503 or last.answered < told_at:
        raise ClusterFailed(f"/readyz ended with {last.status}, not with 503 after the signal")
    return last.answered - told_at


async def connect_all(pool: ClientPool, count: int) -> list[Client]:
    """``count`` clients that may be moved."""
    clients: list[Client] = []

    async def connect(_number: int) -> None:
        client = await pool.connect()
        client.on_close = lambda _client: None
        clients.append(client)

    await for_each(range(count), connect, CONNECTING_AT_ONCE)
    return clients


async def _seat_pairs(clients: list[Client]) -> None:
    async def seat(pair: tuple[Client, Client]) -> None:
        first, second = pair
        await first.join(kind="lounge")
        await second.join(room=first.room)

    await for_each(zip(clients[::2], clients[1::2], strict=False), seat, CONNECTING_AT_ONCE)


async def measure_gone(tier: str) -> list[Figure]:
    """From ``ended`` of the last room, as its player sees it, to the end of the process."""
    async with open_pair(DRAIN) as fleet, trio.open_nursery() as nursery:
        pool = ClientPool(fleet.urls[0])
        nursery.start_soon(pool.run)
        gone_ms = await _play_to_the_end(fleet, f"{tier}-1", pool)
        nursery.cancel_scope.cancel()
    return [Figure(f"{tier} node: last room's end to process gone", gone_ms, "ms", GONE_LIMIT_MS)]


async def _play_to_the_end(fleet: Fleet, node: str, pool: ClientPool) -> float:
    ended_at: list[float] = []
    ended = trio.Event()

    def on_ended(_frame: frames.Ended) -> None:
        ended_at.append(time.monotonic())
        ended.set()

    (player,) = await connect_all(pool, 1)
    player.on_ended = on_ended
    await player.join(kind="countdown", seconds=COUNTDOWN_SECONDS)
    fleet.stop(node)
    with trio.fail_after(LIMIT_SECONDS):
        gone_at = await wait_exit(fleet.nodes[node].pid)
        await ended.wait()  # on a busy machine it may be read only now
    return (gone_at - ended_at[0]) * 1000
