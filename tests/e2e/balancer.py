"""Runs HAProxy with ``deploy/proxies/haproxy.cfg`` and the addresses of the test."""

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
CONFIG = ROOT / "deploy" / "proxies" / "haproxy.cfg"
HOSTS = ("127.0.0.1", "127.0.0.2")
HTTP, TCP = "api", "api-tcp"
"""The names of the two proxies in that file, which lead to the same nodes."""


class ServerSlot(NamedTuple):
    """The addresses at which the balancer expects an api node: client port and admin port."""

    name: str
    host: str
    listen: str
    admin: str


class Balancer:
    """HAProxy with four server slots, two on each host, which are empty at first.

    Until :meth:`close` the addresses are reserved by sockets that are bound and do not listen, so
    that the system gives these ports to no other process before the nodes start.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._reserved = ExitStack()
        self.http, self.tcp, self._stats = (self._reserve(HOSTS[0]) for _ in range(3))
        self.slots = [
            ServerSlot(f"api-{number}", host, self._reserve(host), self._reserve(host))
            for number, host in enumerate(HOSTS * 2, 1)
        ]
        environment = {
            "LASTCALL_HTTP": self.http,
            "LASTCALL_TCP": self.tcp,
            "LASTCALL_STATS": self._stats,
        }
        for number, slot in enumerate(self.slots, 1):
            environment[f"LASTCALL_API_{number}"] = slot.listen
            environment[f"LASTCALL_API_{number}_CHECK"] = slot.admin
        assert HAPROXY is not None
        command = (HAPROXY, "-db", "-f", str(CONFIG))
        self._process = nodes.run("haproxy", *command, env=environment)

    def _reserve(self, host: str) -> str:
        sock = self._reserved.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the node sets it, too
        sock.bind((host, 0))
        return f"{host}:{sock.getsockname()[1]}"

    async def wait_up(self, slot: ServerSlot) -> None:
        """Waits until a health check of the slot has succeeded."""
        await self._wait_row(slot, status="UP", check_status="L7OK")

    async def wait_down(self, slot: ServerSlot) -> None:
        """Waits until a health check has failed; before the first check a slot counts as up."""
        await self._wait_row(slot, status="DOWN")

    async def _wait_row(self, slot: ServerSlot, **expected: str) -> None:
        with trio.fail_after(START_SECONDS):
            while not expected.items() <= (await self._row(HTTP, slot)).items():
                await trio.sleep(POLL_SECONDS)

    async def wait_sessions(self, proxy: str, slot: ServerSlot, count: int) -> None:
        """Waits until ``proxy`` has sent ``count`` connections in total to the slot."""
        with trio.fail_after(START_SECONDS):
            while int((await self._row(proxy, slot))["stot"]) < count:
                await trio.sleep(POLL_SECONDS)

    async def _row(self, proxy: str, slot: ServerSlot) -> dict[str, str]:
        """The slot's row on the statistics page; empty while there is no page yet."""
        try:
            page = await trio.to_thread.run_sync(http_get, self._stats, "/;csv")
        except ConnectionRefusedError:
            assert self._process.running, self._process.stderr_text
            return {}
        rows = csv.DictReader(io.StringIO(page.body.removeprefix("# ")))
        return next(r for r in rows if (r["pxname"], r["svname"]) == (proxy, slot.name))

    def close(self) -> None:
        """Releases the addresses."""
        self._reserved.close()
