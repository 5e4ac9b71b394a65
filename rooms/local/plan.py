"""The plan of a local cluster: its nodes and their ports."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import msgspec

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.limits import Limits
from lastcall.policy import DrainPolicy
from lastcall.runtime.auth_options import AuthOptions

PORTS = 65_536
"""The number of TCP ports."""
START_SECONDS = 20.0


class Plan(msgspec.Struct, frozen=True):
    """The nodes that a cluster starts with, and their options.

    ``client`` is where clients connect. ``admin`` is where the cluster has its page; the nodes'
    admin ports are the next ones, api nodes first. With port 0, each takes a free one. ``clients``
    is what an api node that drains does with clients in rooms: it moves them (``move``), or waits
    for the end of their rooms (``finish``). ``admin_token_file`` has the token that all nodes
    require for commands. ``auth`` says who clients are.
    """

    apis: int = 2
    games: int = 2
    client: HostPort = HostPort("127.0.0.1", 8080)
    admin: HostPort = HostPort("127.0.0.1", 9000)
    rooms: str = "lastcall.game.examples"
    clients: str = "move"
    admin_token_file: Path | None = None
    drain: DrainPolicy = DrainPolicy()
    auth: AuthOptions = AuthOptions()
    limits: Limits = Limits()
    start_seconds: float = START_SECONDS
    """Within which a node that is started has to be ready."""
    free_ports: bool = False
    """The nodes' admin ports are free ones, on loopback."""
    version: str = msgspec.field(default_factory=lambda: metadata.version("lastcall"))

    def __post_init__(self) -> None:
        if self.apis < 1 or self.games < 1:
            raise UsageError("a cluster needs at least one api node and one game node")
        last = self.admin.port + (0 if self.free_ports else self.apis + self.games)
        if self.admin.port and last >= PORTS:
            raise UsageError(f"--admin {self.admin}: too few ports from there for that many nodes")
        if self.admin.port and self.admin.port <= self.client.port <= last:
            flag = "--listen" if self.free_ports else "--port"
            raise UsageError(
                f"{flag} {self.client.port} is one of the admin ports, {self.admin.port} to "
                f"{last}: choose another, or other admin ports with --admin HOST:PORT"
            )

    def admin_of(self, number: int) -> HostPort:
        """The admin address of node ``number``, counted from 0."""
        if self.free_ports:
            return HostPort("127.0.0.1", 0)
        return HostPort(self.admin.host, self.admin.port and self.admin.port + 1 + number)

    def node_arguments(self) -> list[str]:
        """The settings that every node gets, as its options."""
        token = self.admin_token_file
        return [
            *self._drain_arguments(),
            *(() if token is None else ("--admin-token-file", str(token))),
        ]

    def _drain_arguments(self) -> list[str]:
        drain = self.drain
        return [
            *("--grace", f"{drain.grace_seconds:g}"),
            *("--lame-duck", f"{drain.lame_duck_seconds:g}"),
            *("--farewell", f"{drain.farewell_seconds:g}"),
            *("--spread", f"{drain.spread_seconds:g}"),
        ]
