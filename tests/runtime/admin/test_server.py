import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry, Gauge
from structlog.testing import capture_logs

from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse, WrongEvent
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.server import AdminPort
from lastcall.runtime.loop_lag import Pulse
from lastcall.wire.reports import Status

ANY_PORT = HostPort("127.0.0.1", 0)
BOUND_SECONDS = 10.0


class NodeView:
    """The node as the admin port sees it."""

    def __init__(self) -> None:
        self.phase = "serving"
        self.why: tuple[str, ...] = ()
        self.auth = AdminAuth()
        self.pulse = Pulse()

    def cordon(self) -> None:
        if self.phase != "serving":
            raise WrongEvent(f"a node that is {self.phase} cannot be cordoned")
        self.phase = "cordoned"

    def uncordon(self) -> None:
        self.phase = "serving"

    def drain(self) -> None:
        self.phase = "draining"

    @property
    def unready(self) -> str:
        return "" if self.phase == "serving" else self.phase

    def status(self) -> Status:
        return Status(
            name="api-1",
            tier="api",
            version="7",
            phase=self.phase,
            rooms=1,
            clients=2,
            seconds_left=5.5 if self.unready else None,
            why=self.why,
        )


class BrokenView(NodeView):
    def status(self) -> Status:
        raise ZeroDivisionError("a bug in a node")


@asynccontextmanager
async def serving(
    view: NodeView, where: HostPort = ANY_PORT
) -> AsyncIterator[tuple[AdminPort, httpx.AsyncClient]]:
    """An admin port that answers; at the end it must stop at once."""
    registry = CollectorRegistry()
    Gauge("lastcall_rooms", "Rooms.", registry=registry).set(3)
    port = await AdminPort.open(where, view, registry)
    with trio.fail_after(BOUND_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: port.serve(task_status=task_status))
            url = f"http://{port.address}"
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                yield port, client
                nursery.cancel_scope.cancel()


async def test_livez_answers_ok_in_any_phase() -> None:
    view = NodeView()
    view.phase = "cutting"
    async with serving(view) as (_, client):
        answer = await client.get("/livez")
        assert (answer.status_code, answer.text) == (200, "ok")


async def test_readyz_is_200_while_ready_and_503_with_the_reason_otherwise() -> None:
    view = NodeView()
    async with serving(view) as (_, client):
        assert (await client.get("/readyz")).status_code == 200

        view.phase = "draining"

        answer = await client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "draining")
        assert answer.headers["cache-control"] == "no-store"


async def test_status_has_exactly_the_documented_keys() -> None:
    view = NodeView()
    view.phase, view.why = "draining", ("room game-1.x is 40 s old",)
    async with serving(view) as (_, client):
        answer = await client.get("/status")
        assert answer.headers["content-type"] == "application/json"
        assert msgspec.json.decode(answer.content) == {
            "name": "api-1",
            "tier": "api",
            "version": "7",
            "phase": "draining",
            "rooms": 1,
            "clients": 2,
            "seconds_left": 5.5,
            "why": ["room game-1.x is 40 s old"],
        }


@pytest.mark.parametrize("version", ["abc", "1.x", ""])
@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
async def test_a_version_of_the_metrics_that_nobody_can_read_is_no_error(
    version: str, kind: str
) -> None:
    with capture_logs() as logs:
        async with serving(NodeView()) as (_, client):
            answer = await client.get("/metrics", headers={"accept": f"{kind}; version={version}"})
    assert (answer.status_code, logs) == (200, [])


async def test_metrics_are_prometheus_text() -> None:
    async with serving(NodeView()) as (_, client):
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "lastcall_rooms 3.0" in answer.text.splitlines()


async def test_other_paths_and_methods_are_refused_in_plain_text() -> None:
    async with serving(NodeView()) as (_, client):
        missing = await client.get("/livez/")
        assert (missing.status_code, missing.text) == (404, "Not Found")
        refused = await client.post("/livez")
        assert refused.status_code == 405
        assert "GET" in refused.headers["allow"]
        head = await client.head("/status")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv4 and IPv6 in one socket")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_command_reaches_every_interface_by_both_protocols(host: str) -> None:
    async with serving(NodeView(), HostPort("::", 0)) as (port, client):
        url = f"http://{host}:{port.address.port}/cordon"
        answer = await client.post(url, headers={"X-Lastcall": "1"})
        assert (answer.status_code, answer.json()["phase"]) == (200, "cordoned"), answer.text


async def test_an_error_in_the_node_is_answered_with_500_and_logged() -> None:
    with capture_logs() as logs:
        async with serving(BrokenView()) as (_, client):
            assert (await client.get("/status")).status_code == 500
            assert (await client.get("/livez")).status_code == 200
    [line] = [entry for entry in logs if entry["event"] == "admin.request_failed"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_client_that_does_not_speak_http_does_not_affect_others() -> None:
    async with serving(NodeView()) as (port, client):
        async with await trio.open_tcp_stream("127.0.0.1", port.address.port) as stream:
            await stream.send_all(b"\x16\x03\x01 not http\r\n\r\n")
            assert b"400" in await stream.receive_some()
        assert (await client.get("/livez")).status_code == 200


async def test_a_port_in_use_is_reported_in_one_line() -> None:
    async with serving(NodeView()) as (port, _):
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{port.address.port} is in use"):
            await AdminPort.open(port.address, NodeView(), CollectorRegistry())


async def stop_in_the_middle(view: NodeView, request: bytes, *, reply_bytes: int = 0) -> bytes:
    """Stops an admin port in the middle of a connection, and checks that the stop does not wait."""
    async with trio.open_nursery() as nursery:
        async with serving(view) as (port, _):
            stream = await trio.open_tcp_stream("127.0.0.1", port.address.port)
            await stream.send_all(request)
            got = b""
            while len(got) < reply_bytes:
                got += await stream.receive_some(1024)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(fail_if_the_stop_waits, stream)
        nursery.cancel_scope.cancel()
    await stream.aclose()
    return got


async def fail_if_the_stop_waits(stream: trio.SocketStream) -> None:
    await trio.sleep(2)  # only if the stop hangs: the close then ends it
    await stream.aclose()
    pytest.fail("the stop waited for a client")


async def test_idle_connections_and_incomplete_requests_do_not_delay_the_stop() -> None:
    await stop_in_the_middle(NodeView(), b"")
    await stop_in_the_middle(NodeView(), b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", reply_bytes=15)
    await stop_in_the_middle(NodeView(), b"GET /livez HTT")


async def test_a_client_that_does_not_read_does_not_delay_the_stop() -> None:
    view = NodeView()
    view.why = ("x" * 1_000_000,) * 40  # more than any socket buffer holds
    head = await stop_in_the_middle(
        view, b"GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n", reply_bytes=1
    )
    assert head.startswith(b"HTTP/1.1 200")


async def test_a_stopped_admin_port_has_closed_its_sockets() -> None:
    async with serving(NodeView()) as (port, _):
        address = port.address
    with socket.socket() as probe:
        assert probe.connect_ex((address.host, address.port)) != 0


async def test_a_command_is_answered_with_the_status_after_it() -> None:
    view = NodeView()
    async with serving(view) as (_, client):
        answer = await client.post("/cordon", headers={"X-Lastcall": "1"})
        assert (answer.status_code, answer.json()["phase"]) == (200, "cordoned")
        assert (await client.get("/readyz")).status_code == 503
        answer = await client.post("/uncordon", headers={"X-Lastcall": "1"})
        assert (answer.status_code, answer.json()["phase"]) == (200, "serving")
        answer = await client.post("/drain", headers={"X-Lastcall": "1"})
        assert (answer.status_code, answer.json()["phase"]) == (200, "draining")


async def test_a_command_that_the_phase_does_not_allow_is_answered_with_409_and_a_message() -> None:
    view = NodeView()
    view.phase = "draining"
    async with serving(view) as (_, client):
        answer = await client.post("/cordon", headers={"X-Lastcall": "1"})
        assert (answer.status_code, view.phase) == (409, "draining")
        assert "draining cannot be cordoned" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Lastcall": "0"},
        {"X-Lastcall": "1", "Host": "evil.example"},
        {"X-Lastcall": "1", "Host": "evil.example:80"},
        {"X-Lastcall": "1", "Origin": "https://evil.example"},
        {"X-Lastcall": "1", "Origin": "null"},
    ],
)
async def test_a_web_page_cannot_send_a_command(headers: dict[str, str]) -> None:
    view = NodeView()
    async with serving(view) as (_, client):
        answer = await client.post("/drain", headers=headers)
        assert (answer.status_code, view.phase) == (403, "serving")


async def test_a_command_cannot_be_sent_by_get() -> None:
    view = NodeView()
    async with serving(view) as (_, client):
        answer = await client.get("/drain", headers={"X-Lastcall": "1"})
        assert (answer.status_code, view.phase) == (405, "serving")
