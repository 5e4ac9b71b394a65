"""Two parts of ``drain``: how soon a node says that it leaves, and how soon it then is gone."""

from __future__ import annotations

import time

import trio

from lastcall.bench.load.load import Client, Load
from lastcall.bench.nodes.probe import Probe, open_probe
from lastcall.bench.nodes.proc import wait_gone
from lastcall.bench.nodes.servers import Servers, allow_descriptors, open_servers
from lastcall.bench.report.report import Figure
from lastcall.errors import ClusterFailed
from lastcall.policy import DrainPolicy
from lastcall.wire import frames

__all__ = ["measure_gone", "measure_readiness", "seconds_to_refusal"]

DRAIN = DrainPolicy(grace_seconds=10, farewell_seconds=2, spread_seconds=5)
CONNECTING_AT_ONCE = 32
COUNTDOWN_SECONDS = 1
PATIENCE_SECONDS = 12.0
READY_LIMIT_MS = 50.0
GONE_LIMIT_MS = 150.0


async def measure_readiness(tier: str, clients: int) -> list[Figure]:
    """From the signal to the first 503 of ``/readyz``, asked for without a pause.

    On an api node under so many clients outside rooms; on a game node with so many players, two to
    a room.
    """
    allow_descriptors(clients)
    async with open_servers(DRAIN) as servers, trio.open_nursery() as nursery:
        load = Load(servers.url)
        nursery.start_soon(load.run)
        everybody = await connect_all(load, clients)
        if tier == "game":
            await _seat_pairs(everybody)
        child = servers.node(tier)
        assert child.ready is not None
        async with open_probe(child.ready.admin, "/readyz", 0.0) as probe:
            await trio.sleep(0.5)  # of answers while nothing happens
            told_at = servers.stop(tier)
            with trio.fail_after(PATIENCE_SECONDS):
                await probe.ended.wait()
        nursery.cancel_scope.cancel()
    ms = seconds_to_refusal(probe, told_at) * 1000
    whom = "2 to a room" if tier == "game" else "outside rooms"
    name = f"{tier} node, {clients} clients {whom}: signal to /readyz 503"
    return [Figure(name, ms, "ms", READY_LIMIT_MS)]


def seconds_to_refusal(probe: Probe, told_at: float) -> float:
    """How long after ``told_at`` the first 503 had come; raises :class:`ClusterFailed`."""
    last = probe.answers[-1]
    if last.status != 503 or last.answered < told_at:
        raise ClusterFailed(f"/readyz ended with {last.status}, not with 503 after the signal")
    return last.answered - told_at


async def connect_all(load: Load, count: int) -> list[Client]:
    """So many clients, who may be moved."""
    clients: list[Client] = []
    some = trio.CapacityLimiter(CONNECTING_AT_ONCE)

    async def connect() -> None:
        async with some:
            client = await load.connect()
            client.on_close = lambda _client: None
            clients.append(client)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(connect)
    return clients


async def _seat_pairs(clients: list[Client]) -> None:
    some = trio.CapacityLimiter(CONNECTING_AT_ONCE)

    async def seat(first: Client, second: Client) -> None:
        async with some:
            await first.join(kind="lounge")
            await second.join(room=first.room)

    async with trio.open_nursery() as nursery:
        for pair in zip(clients[::2], clients[1::2], strict=False):
            nursery.start_soon(seat, *pair)


async def measure_gone(tier: str) -> list[Figure]:
    """From ``ended`` of the last room, as its player sees it, to the end of the process."""
    async with open_servers(DRAIN) as servers, trio.open_nursery() as nursery:
        load = Load(servers.url)
        nursery.start_soon(load.run)
        gone_at = await _play_to_the_end(servers, tier, load)
        nursery.cancel_scope.cancel()
    return [Figure(f"{tier} node: last room's end to process gone", gone_at, "ms", GONE_LIMIT_MS)]


async def _play_to_the_end(servers: Servers, tier: str, load: Load) -> float:
    ended_at: list[float] = []

    def ended(_frame: frames.Ended) -> None:
        ended_at.append(time.monotonic())

    (player,) = await connect_all(load, 1)
    player.on_ended = ended
    await player.join(kind="countdown", seconds=COUNTDOWN_SECONDS)
    servers.stop(tier)
    with trio.fail_after(PATIENCE_SECONDS):
        gone_at = await wait_gone(servers.node(tier).pid)
    return (gone_at - ended_at[0]) * 1000
