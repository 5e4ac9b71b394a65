"""An admin port that strangers crowd, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from prometheus_client import CollectorRegistry

from lastcall.bus.address import HostPort
from lastcall.limits import Limits
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.server import AdminPort
from lastcall.runtime.admin.thread import serve_in_thread
from lastcall.runtime.loop_lag import Pulse
from lastcall.wire.reports import Status
from tests.e2e.nodes import http_get

LIMIT_SECONDS = 20
PROBE = b"GET /livez HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n"


class StoppedClock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class QuietNode:
    """A node of which nothing is asked."""

    unready = ""

    def __init__(self, clock: StoppedClock) -> None:
        self.auth = AdminAuth({"game-1"})
        self.pulse = Pulse(clock)

    def status(self) -> Status:
        return Status("game-1", "game", "1", "serving", 0, 0, None, ())

    def cordon(self) -> None: ...

    def uncordon(self) -> None: ...

    def drain(self) -> None: ...


@asynccontextmanager
async def serving(clock: StoppedClock | None = None) -> AsyncIterator[AdminPort]:
    view = QuietNode(clock or StoppedClock())
    port = await AdminPort.open(HostPort("127.0.0.1", 0), view, CollectorRegistry())
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: port.serve(task_status=task_status))
            yield port
            nursery.cancel_scope.cancel()


async def connect(port: AdminPort, source: str = "127.0.0.1") -> trio.SocketStream:
    sock = trio.socket.socket()
    await sock.bind((source, 0))
    await sock.connect((port.address.host, port.address.port))
    return trio.SocketStream(sock)


async def ask(port: AdminPort, request: bytes = PROBE, source: str = "127.0.0.1") -> bytes:
    async with await connect(port, source) as stream:
        await stream.send_all(request)
        answer = bytearray()
        async for data in stream:
            answer += data
        return bytes(answer)


async def test_a_probe_is_answered_while_a_stranger_holds_every_connection() -> None:
    async with serving() as port:
        strangers = [await connect(port, "127.0.0.2") for _ in range(Limits().admin_connections)]
        waiting = await connect(port)
        assert (await ask(port)).endswith(b"\r\n\r\nok")
        for oldest in strangers[:2]:
            assert await oldest.receive_some() == b"", "two have given way"
        await waiting.send_all(PROBE)
        assert (await waiting.receive_some()).startswith(b"HTTP/1.1 200 ")
        with trio.move_on_after(0) as still_open:
            await strangers[-1].receive_some()
        assert still_open.cancelled_caught
        for stream in (waiting, *strangers):
            await stream.aclose()


@pytest.mark.parametrize("path", ["/status", "/metrics", "/nothing"])
@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:9001", "game-1.example", ""])
async def test_what_is_read_by_a_strange_host_is_refused(path: str, host: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    async with serving() as port:
        assert (await ask(port, request.encode())).startswith(b"HTTP/1.1 403 ")
        right = request.replace(f"Host: {host}", "Host: game-1:1234").encode()
        expected = b"404" if path == "/nothing" else b"200"
        assert (await ask(port, right)).split()[1] == expected


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize(
    "head", ["HTTP/1.1\r\nHost: balancer.example", "HTTP/1.1\r\nHost: 10.1.2.3", "HTTP/1.0"]
)
async def test_probes_may_send_any_host_or_none(path: str, head: str) -> None:
    async with serving() as port:
        answer = await ask(port, f"GET {path} {head}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_an_absolute_target_with_a_strange_host_is_refused_whatever_the_header_says() -> None:
    request = "GET http://rebound.example/status HTTP/1.1\r\nHost: game-1\r\nConnection: close\r\n"
    async with serving() as port:
        assert (await ask(port, f"{request}\r\n".encode())).startswith(b"HTTP/1.1 403 ")


def livez(port: AdminPort) -> tuple[int, str]:
    """Asks without letting this loop run."""
    answer = http_get(str(port.address), "/livez")
    return answer.status, answer.body


async def test_livez_is_200_while_the_nodes_loop_stands_for_10_s_and_then_503() -> None:
    clock = StoppedClock()
    view = QuietNode(clock)
    port = await AdminPort.open(HostPort("127.0.0.1", 0), view, CollectorRegistry())
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_in_thread, port.serve)
            clock.now = 10.0
            assert livez(port) == (200, "ok")
            clock.now = 11.0
            assert livez(port) == (503, "the event loop has not run for 11 s")
            nursery.cancel_scope.cancel()


async def test_livez_is_200_after_the_whole_process_was_stopped_for_a_minute() -> None:
    clock = StoppedClock()
    async with serving(clock) as port:
        clock.now = 60.0
        assert (await ask(port)).startswith(b"HTTP/1.1 200 ")


async def test_an_admin_port_that_is_cancelled_at_once_closes_its_socket_and_raises_nothing() -> (
    None
):
    view = QuietNode(StoppedClock())
    port = await AdminPort.open(HostPort("127.0.0.1", 0), view, CollectorRegistry())
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.serve)
            nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((port.address.host, port.address.port), timeout=5)
