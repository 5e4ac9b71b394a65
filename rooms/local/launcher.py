"""Makes the child process of a node: its name, its ports, its command."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import trio

from lastcall.bus.address import HostPort
from lastcall.limits import write_limits
from lastcall.local.child import Child, Spawn, spawn
from lastcall.local.plan import PORTS, Plan

NodeCommand = Callable[..., list[str]]
"""``(tier, *arguments)`` → the command that starts such a node; tests start fakes."""


class Launcher:
    """Makes the nodes of one cluster. ``folder`` gets the files that they read: the limits of
    ``plan``, and the list of the game nodes.

    Api nodes inherit ``listener``. ``show`` gets the nodes' warnings and errors, ``on_event`` each
    event of their logs.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        listener: trio.SocketListener,
        folder: Path,
        start: NodeCommand,
        spawns: Mapping[str, Spawn],
        show: Callable[[str], None],
        on_event: Callable[[bytes], None],
    ) -> None:
        self._plan = plan
        self._listener = listener.socket.fileno()
        self._games_file = folder / "games"
        self._limits_file = folder / "limits.toml"
        self._start = start
        self._spawns = spawns
        self._show = show
        self._on_event = on_event
        self._admins: dict[Child, HostPort] = {}
        self._limits_file.write_text(write_limits(plan.limits), encoding="utf-8")
        self.write_games([])

    def launch(self, tier: str, version: str, admin: HostPort | None = None) -> Child:
        """A node under the next free name, which the caller runs; ``admin`` is free, or None."""
        if admin is None:
            admin = _free_admin(tier, self._plan.admin_of(0), self._admins)
        names = (child.name for child in self._admins if child.tier == tier)
        number = max((int(name.removeprefix(f"{tier}-")) for name in names), default=0) + 1
        name = f"{tier}-{number}"
        child = Child(
            name,
            tier,
            self._start(tier, *self._arguments(tier, name, version, admin)),
            [self._listener] if tier == "api" else [],
            version=version,
            spawn=self._spawns.get(tier, spawn),
            show=self._show,
            on_event=self._on_event,
        )
        self._admins[child] = admin
        return child

    def forget(self, child: Child) -> None:
        """The node has ended, and another one may get its name and its port."""
        self._admins.pop(child, None)

    def write_games(self, children: Iterable[Child]) -> None:
        """Writes the list that all nodes read: the game nodes of ``children`` that are ready and
        live. It is renamed into place, so no reader sees half.
        """
        games = (child for child in children if child.tier == "game" and not child.ended.is_set())
        urls = [child.ready.listen for child in games if child.ready is not None]
        new_file = self._games_file.with_suffix(".new")
        new_file.write_text("".join(f"{url}\n" for url in urls), encoding="utf-8")
        new_file.replace(self._games_file)

    def _arguments(self, tier: str, name: str, version: str, admin: HostPort) -> list[str]:
        plan = self._plan
        of_tier = {
            "api": [
                *("--listen", f"fd:{self._listener}", "--clients", plan.clients),
                *plan.auth.arguments(),
            ],
            "game": ["--listen", "tcp://127.0.0.1:0", "--rooms", plan.rooms],
        }
        return [
            *("--name", name, "--version", version, "--admin", str(admin)),
            *("--games", f"file://{self._games_file}", "--feed", "tcp://127.0.0.1:0"),
            *(*of_tier[tier], *plan.node_arguments(), "--log-format", "json"),
            *("--config", str(self._limits_file)),
        ]


def _free_admin(tier: str, first: HostPort, given: Mapping[Child, HostPort]) -> HostPort:
    """The first admin port that can be bound, that no living node has, and that no ``given`` one of
    the other tier ever had: behind a noted address, there is no node of another kind.
    """
    used = {
        admin.port
        for child, admin in given.items()
        if child.tier != tier or not child.ended.is_set()
    }
    for port in range(first.port, PORTS) if first.port else ():
        if port not in used and _can_bind(first.host, port):
            return HostPort(first.host, port)
    return HostPort(first.host, 0)


def _can_bind(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True
