"""HAProxy as a process, which runs ``deploy/haproxy.cfg`` itself with the test's addresses."""

from __future__ import annotations

import csv
import io
import shutil
import socket
from contextlib import ExitStack
from typing import NamedTuple

import trio

from tests.e2e.nodes import POLL_SECONDS, ROOT, START_SECONDS, Nodes, http_get

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
CONFIG = ROOT / "deploy" / "haproxy.cfg"
HOSTS = ("127.0.0.1", "127.0.0.2")
HTTP, TCP = "api", "api-tcp"
"""What the file calls the two ways to the same nodes."""


class Place(NamedTuple):
    """Where the balancer looks for an api node: its client port, and its admin port."""

    name: str
    host: str
    listen: str
    admin: str


class Balancer:
    """In front of four places, two on each host; at first nobody is in them.

    The addresses are reserved until :meth:`close`: bound and not listening. So no outgoing
    connection, and nobody who asks for any port, gets one of them before its node does.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._reserved = ExitStack()
        self.http, self.tcp, self._stats = (self._reserve(HOSTS[0]) for _ in range(3))
        self.places = [
            Place(f"api-{number}", host, self._reserve(host), self._reserve(host))
            for number, host in enumerate(HOSTS * 2, 1)
        ]
        environment = {
            "LASTCALL_HTTP": self.http,
            "LASTCALL_TCP": self.tcp,
            "LASTCALL_STATS": self._stats,
        }
        for number, place in enumerate(self.places, 1):
            environment[f"LASTCALL_API_{number}"] = place.listen
            environment[f"LASTCALL_API_{number}_CHECK"] = place.admin
        assert HAPROXY is not None
        command = (HAPROXY, "-db", "-f", str(CONFIG))
        self._process = nodes.run("haproxy", *command, env=environment)

    def _reserve(self, host: str) -> str:
        sock = self._reserved.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # whoever listens sets it, too
        sock.bind((host, 0))
        return f"{host}:{sock.getsockname()[1]}"

    async def finds_ready(self, place: Place) -> None:
        """Waits until it sends clients to the place because a check has succeeded."""
        await self._reads(place, status="UP", check_status="L7OK")

    async def finds_nobody(self, place: Place) -> None:
        """Waits until a check has failed: before the first, a place counts as up."""
        await self._reads(place, status="DOWN")

    async def _reads(self, place: Place, **wanted: str) -> None:
        with trio.fail_after(START_SECONDS):
            while not wanted.items() <= (await self._row(HTTP, place)).items():
                await trio.sleep(POLL_SECONDS)

    async def has_sent(self, backend: str, place: Place, sockets: int) -> None:
        """Waits until so many sockets, in all, went to the place through ``backend``."""
        with trio.fail_after(START_SECONDS):
            while int((await self._row(backend, place))["stot"]) < sockets:
                await trio.sleep(POLL_SECONDS)

    async def _row(self, backend: str, place: Place) -> dict[str, str]:
        """What its page says of the place; nothing while there is no page."""
        try:
            page = await trio.to_thread.run_sync(http_get, self._stats, "/;csv")
        except ConnectionRefusedError:
            assert self._process.running, self._process.words
            return {}
        rows = csv.DictReader(io.StringIO(page.body.removeprefix("# ")))
        return next(r for r in rows if (r["pxname"], r["svname"]) == (backend, place.name))

    def close(self) -> None:
        """Gives the addresses back."""
        self._reserved.close()
