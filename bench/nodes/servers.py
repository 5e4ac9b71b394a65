"""The servers of a bench: one api node and one game node as processes of their own."""

from __future__ import annotations

import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from lastcall.bus.address import HostPort
from lastcall.errors import ClusterFailed, UsageError
from lastcall.local.child import Child
from lastcall.local.cluster import LocalCluster, Plan, open_cluster
from lastcall.policy import DrainPolicy
from lastcall.reasons import ExitCode

__all__ = ["Servers", "allow_descriptors", "open_servers"]

FREE_PORT = HostPort("127.0.0.1", 0)
SPARE_DESCRIPTORS = 200
PEACE = {ExitCode.DRAINED, ExitCode.CUT}
DRAIN = DrainPolicy(grace_seconds=10, farewell_seconds=2, spread_seconds=0)


class Servers:
    """Where clients connect, and the pids for the accounting."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.url = cluster.url
        self._nodes = {child.tier: child for child in cluster.children}

    @property
    def api(self) -> int:
        """The api node's pid."""
        return self._nodes["api"].pid

    @property
    def game(self) -> int:
        """The game node's pid."""
        return self._nodes["game"].pid

    def node(self, tier: str) -> Child:
        """The node of that tier."""
        return self._nodes[tier]

    def stop(self, tier: str) -> float:
        """Sends SIGTERM to one node; returns when, in the seconds of ``time.monotonic``."""
        now = time.monotonic()
        self._nodes[tier].stop()
        return now


@asynccontextmanager
async def open_servers(drain: DrainPolicy = DRAIN) -> AsyncIterator[Servers]:
    """Starts both nodes on free ports and waits until they are ready; drains them at the end.

    Raises :class:`ClusterFailed` when one does not come up, or ends before the block does and
    was not told to.
    """
    plan = Plan(apis=1, games=1, client=FREE_PORT, admin=FREE_PORT, drain=drain)
    crashed: list[Child] = []
    body = trio.CancelScope()
    try:
        async with open_cluster(plan, lambda _child: body.cancel()) as cluster:
            await cluster.wait_ready()
            try:
                with body:
                    yield Servers(cluster)
            finally:
                cluster.stop()
                with trio.CancelScope(shield=True):  # bounded: it kills after the grace
                    await cluster.wait_ended()
                crashed = [child for child in cluster.children if child.exit_code not in PEACE]
    finally:
        for child in crashed:  # this says more than what it has done to the clients
            words = child.last_output()
            raise ClusterFailed(
                f"{child.how_it_ended()} during the bench. Its last output:\n{words}"
            )


def allow_descriptors(clients: int) -> None:
    """Raises the limit of open files, for us and for the nodes, to what so many clients take.

    Raises :class:`UsageError` where the hard limit is lower.
    """
    wanted = clients + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise UsageError(
                f"{clients} clients take {wanted} open files a process, and the hard limit is "
                f"{hard}: raise it (as root: ulimit -Hn {wanted}; in a container: docker run "
                f"--ulimit nofile={wanted}), or run fewer clients"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
