"""What a local cluster is to consist of."""

from __future__ import annotations

from importlib import metadata

import msgspec

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.policy import DrainPolicy

__all__ = ["PORTS", "Plan"]

PORTS = 65_536
"""How many there are."""


class Plan(msgspec.Struct, frozen=True):
    """What a cluster consists of at its start.

    ``client`` is where clients connect. Node number i answers for its admin at ``admin`` plus i,
    api nodes first; with port 0 each takes a free one. ``clients`` is what an api node that leaves
    does with clients in rooms: they resume on the next (``move``), or it waits for their rooms.
    """

    apis: int = 2
    games: int = 2
    client: HostPort = HostPort("127.0.0.1", 8080)
    admin: HostPort = HostPort("127.0.0.1", 9000)
    rooms: str = "lastcall.game.examples"
    clients: str = "move"
    drain: DrainPolicy = DrainPolicy()
    version: str = msgspec.field(default_factory=lambda: metadata.version("lastcall"))

    def __post_init__(self) -> None:
        if self.apis < 1 or self.games < 1:
            raise UsageError("a cluster has one api node and one game node at least")
        if self.admin.port and self.admin.port + self.apis + self.games > PORTS:
            raise UsageError(f"--admin {self.admin}: there are no ports for so many nodes from it")
        last = self.admin.port + self.apis + self.games - 1
        if self.admin.port and self.admin.port <= self.client.port <= last:
            raise UsageError(
                f"--port {self.client.port} is one of the nodes' admin ports, {self.admin.port} to "
                f"{last}: choose another, or other admin ports with --admin HOST:PORT"
            )

    def admin_of(self, number: int) -> HostPort:
        """Where node ``number``, from 0, answers for its admin."""
        return HostPort(self.admin.host, self.admin.port and self.admin.port + number)
