"""The admin port: serves operators, orchestrators and Prometheus over HTTP.

Its connections are bounded in number and time, and have descriptors of their own, so that whatever
strangers do to the node's other ports, ``/livez`` answers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
import trio
from prometheus_client import CollectorRegistry

from lastcall.bus.address import HostPort
from lastcall.core.connection_slots import ConnectionSlots
from lastcall.limits import Limits, address_account
from lastcall.runtime.address import unmapped
from lastcall.runtime.admin.application import NodeView, application
from lastcall.runtime.admin.event_hub import EventHub
from lastcall.runtime.admin.http import App, HttpConnection
from lastcall.runtime.admin.node_page import NodePage
from lastcall.runtime.descriptors import NO_RESERVE, Reserve
from lastcall.runtime.listeners import bound_address, open_listeners
from lastcall.runtime.rated_log import RatedLog

log = structlog.get_logger()

NO_FILES: Mapping[str, Path] = {}
Slots = ConnectionSlots[trio.CancelScope]
"""Fewer than the reserve has descriptors."""
RETRY_SECONDS = 0.01
LAST_ANSWER_SECONDS = 0.5


class AdminPort:
    """One node's admin port: bound by :meth:`open`, answering inside :meth:`serve`.

    ``reserve`` has the descriptors for its connections: strangers on other ports cannot use them.
    ``slots`` bounds these; by default as :class:`lastcall.limits.Limits` says. ``hub`` has the
    events that the application streams.
    """

    def __init__(
        self,
        listeners: list[trio.SocketListener],
        app: App,
        reserve: Reserve = NO_RESERVE,
        slots: Slots | None = None,
        hub: EventHub | None = None,
    ) -> None:
        self.address = bound_address(listeners[0])
        """The address that it listens on, with the real port."""
        self._listeners = [_stdlib_socket(listener) for listener in listeners]
        self._app = app
        self._reserve = reserve
        self._hub = hub
        self._slots = Slots(Limits().admin_connections) if slots is None else slots
        self._connections: dict[HttpConnection, trio.CancelScope] = {}
        self._stopping = False
        self._descriptors: set[int] = set()
        self._failed = RatedLog("admin.accept_failed")
        self._request_failed = RatedLog("admin.request_failed")

    @classmethod
    async def open(
        cls,
        where: HostPort,
        view: NodeView,
        registry: CollectorRegistry,
        static: Mapping[str, Path] = NO_FILES,
        *,
        reserve: Reserve = NO_RESERVE,
        slots: Slots | None = None,
        page: Callable[[HostPort], NodePage] | None = None,
    ) -> AdminPort:
        """Listens on ``where``; port 0 is a free port. Raises as ``open_listeners`` does.

        ``static`` are files to serve, by path; see :func:`static_routes`. ``page`` makes the page
        of the node, from the real address.
        """
        listeners = await open_listeners(where)
        shown = None if page is None else page(bound_address(listeners[0]))
        app = application(view, registry, static, shown)
        return cls(listeners, app, reserve, slots, None if shown is None else shown.hub)

    async def serve(
        self, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answers until cancelled. Then it finishes the answers that are under way, such as that
        to the command which ends the node, within half a second.
        """
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(self._accept_all, listener, nursery)
            if self._hub is not None:
                nursery.start_soon(self._hub.run)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._stop()

    def _stop(self) -> None:
        self._stopping = True
        if self._hub is not None:
            self._hub.close()
        for connection, scope in self._connections.items():
            connection.finish()
            scope.deadline = trio.current_time() + LAST_ANSWER_SECONDS

    async def _accept_all(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        with listener:
            while True:
                await trio.lowlevel.wait_readable(listener)
                try:
                    accepted = self._reserve.accept(listener, lambda: self._descriptors)
                except (BlockingIOError, ConnectionAbortedError):
                    continue  # the client has gone already
                except OSError as error:
                    self._failed.warning(reason=str(error))
                    await trio.sleep(RETRY_SECONDS)
                else:
                    self._descriptors.add(accepted.fileno())
                    nursery.start_soon(self._answer, accepted)

    async def _answer(self, accepted: socket.socket) -> None:
        descriptor = accepted.fileno()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
        try:
            await self._serve(stream)
        except Exception:
            log.exception("admin.connection_failed")
        finally:
            self._descriptors.discard(descriptor)
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            client = _host_port(stream.socket.getpeername())
            server = _host_port(stream.socket.getsockname())
        except OSError:  # it has gone already
            return
        if self._stopping:
            return
        with trio.CancelScope(shield=True) as scope:  # a stop sets its deadline
            oldest = self._slots.add(scope, address_account(client.host))
            if oldest is not None:
                oldest.cancel()
            connection = HttpConnection(
                stream, self._app, client=client, server=server, failed=self._request_failed
            )
            self._connections[connection] = scope
            try:
                await connection.serve()
            finally:
                del self._connections[connection]
                self._slots.remove(scope)


def _stdlib_socket(listener: trio.SocketListener) -> socket.socket:
    """The listening socket itself: trio's ``accept`` lets other tasks run while it accepts."""
    taken = socket.socket(fileno=listener.socket.detach())
    taken.setblocking(False)
    return taken


def _host_port(address: tuple[Any, ...]) -> HostPort:
    return HostPort(unmapped(address[0]), address[1])
