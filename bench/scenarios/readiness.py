"""Two parts of ``drain``: the time until a node reports that it leaves, and until it has gone."""

from __future__ import annotations

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.crowd import open_crowd, wait_until
from lastcall.bench.nodes.fleet import open_pair
from lastcall.bench.nodes.probe import Probe, open_probe
from lastcall.bench.nodes.proc import allow_descriptors, wait_exit
from lastcall.bench.report.report import Figure
from lastcall.errors import ClusterFailed
from lastcall.ids import KindName
from lastcall.policy import DrainPolicy
from lastcall.wire import frames

DRAIN = DrainPolicy(grace_seconds=10, farewell_seconds=2, spread_seconds=5)
LOUNGE = frames.Join(kind=KindName("lounge"), new=True)
COUNTDOWN = frames.Join(kind=KindName("countdown"), new=True, options=msgspec.Raw(b'{"seconds":1}'))
NO_PROGRESS = Progress(disable=True)
LIMIT_SECONDS = 12.0
READY_LIMIT_MS = 50.0
GONE_LIMIT_MS = 150.0


async def measure_readiness(tier: str, clients: int) -> list[Figure]:
    """Measures from the signal to the first 503 of ``/readyz``, which is asked without a pause.

    An api node has ``clients`` clients outside rooms; a game node as many players, two to a room.
    """
    allow_descriptors(clients)
    async with open_pair(DRAIN) as fleet, open_crowd(fleet.urls) as crowd:
        if tier == "game":
            await crowd.seat(clients, 2, NO_PROGRESS, new_room=LOUNGE)
        else:
            await crowd.connect(clients)
        ready = fleet.nodes[f"{tier}-1"].ready
        assert ready is not None
        async with open_probe(ready.admin, "/readyz", 0.0) as probe:
            await trio.sleep(0.5)  # the probe needs answers from before the signal
            signalled_at = fleet.stop(f"{tier}-1")
            with trio.fail_after(LIMIT_SECONDS):
                await probe.ended.wait()
    ms = seconds_to_refusal(probe, signalled_at) * 1000
    where = "2 to a room" if tier == "game" else "outside rooms"
    name = f"{tier} node, {clients} clients {where}: signal to /readyz 503"
    return [Figure(name, ms, "ms", READY_LIMIT_MS)]


def seconds_to_refusal(probe: Probe, signalled_at: float) -> float:
    """The time from ``signalled_at`` to the first 503; raises :class:`ClusterFailed`."""
    last = probe.answers[-1]
    if last.status != 503 or last.answered < signalled_at:
        raise ClusterFailed(f"/readyz ended with {last.status}, not with 503 after the signal")
    return last.answered - signalled_at


async def measure_gone(tier: str) -> list[Figure]:
    """Measures from the ``ended`` of the last room, as its player sees it, to the process's end."""
    node = f"{tier}-1"
    async with open_pair(DRAIN) as fleet, open_crowd(fleet.urls) as crowd:
        await crowd.seat(1, 1, NO_PROGRESS, new_room=COUNTDOWN)
        (player,) = crowd.bots
        fleet.stop(node)
        with trio.fail_after(LIMIT_SECONDS):
            gone_at = await wait_exit(fleet.nodes[node].pid)
        # On a busy machine the bot may read the last frames only now.
        await wait_until(lambda: player.ended_at is not None, LIMIT_SECONDS)
    if player.ended_at is None:
        raise ClusterFailed("the player was not told that the room has ended")
    gone_ms = (gone_at - player.ended_at) * 1000
    return [Figure(f"{tier} node: last room's end to process gone", gone_ms, "ms", GONE_LIMIT_MS)]
