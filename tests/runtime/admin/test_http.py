"""One connection of the admin port: what strangers may send, and for how long."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from lastcall.bus.address import HostPort
from lastcall.runtime.admin.http import BODY_BYTES, HttpConnection, Message, Receive, Send
from tests.harness.garbage import left_by

CLIENT, SERVER = HostPort("10.0.0.9", 4000), HostPort("10.0.0.5", 9001)
GET = b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n"


class Echo:
    """An application that answers with the path, the host and the body, and notes each request."""

    def __init__(self, answer: bytes = b"") -> None:
        self.scopes: list[Message] = []
        self._answer = answer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body = (await receive())["body"]
        text = self._answer or f"{scope['path']} {self.host}".encode() + body
        headers = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    @property
    def host(self) -> str:
        hosts = [value for name, value in self.scopes[-1]["headers"] if name == b"host"]
        return b",".join(hosts).decode()


async def broken(_scope: Message, _receive: Receive, _send: Send) -> None:
    raise ZeroDivisionError("a bug in a node")


App = Callable[[Message, Receive, Send], Awaitable[None]]


async def talk(request: bytes, app: App | None = None) -> bytes:
    """Sends ``request`` and the end of the stream; returns all that the connection answers."""
    ours, theirs = memory_stream_pair()
    connection = HttpConnection(theirs, app or Echo(), client=CLIENT, server=SERVER)
    answer = bytearray()

    async def serve() -> None:
        async with theirs:
            await connection.serve()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await ours.send_all(request)
        await ours.send_eof()
        async for data in ours:
            answer += data
    return bytes(answer)


def status(answer: bytes) -> int:
    return int(answer.split(None, 2)[1])


async def test_requests_of_one_connection_are_answered_one_after_the_other(
    autojump_clock: MockClock,
) -> None:
    answer = await talk(GET + GET.replace(b"status", b"metrics"))
    first, second = answer.index(b"/status a"), answer.index(b"/metrics a")
    assert first < second
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2


async def test_http_1_0_without_a_host_is_answered_and_closed(autojump_clock: MockClock) -> None:
    answer = await talk(b"GET /livez HTTP/1.0\r\n\r\n")
    assert status(answer) == 200
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"/livez ")


async def test_http_2_with_prior_knowledge_is_refused_with_505(autojump_clock: MockClock) -> None:
    app = Echo()
    answer = await talk(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), app)
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert app.scopes == []


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "anything/1"])
async def test_an_upgrade_is_ignored(autojump_clock: MockClock, protocol: str) -> None:
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
    settings = "HTTP2-Settings: AAMAAABkAAQAAP__"
    upgrade = f"Upgrade: {protocol}\r\nConnection: Upgrade, HTTP2-Settings"
    request = f"GET /status HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n{settings}\r\n{key}\r\n\r\n"
    answer = await talk(request.encode() + GET)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b" 101 " not in answer


async def test_the_host_of_an_absolute_target_replaces_the_header(
    autojump_clock: MockClock,
) -> None:
    app = Echo()
    await talk(b"GET http://rebound.example:80/status?a=b HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n", app)
    assert app.host == "rebound.example:80"
    assert (app.scopes[0]["path"], app.scopes[0]["query_string"]) == ("/status", b"a=b")


@pytest.mark.parametrize(
    "request_line",
    [
        *("GET * HTTP/1.1", "CONNECT a:80 HTTP/1.1", "GET https://a/status HTTP/1.1"),
        *("GET http:///status HTTP/1.1", "GET http://[ HTTP/1.1", "GET status HTTP/1.1"),
        *("GET / HTTP/1.1\r\nHost: a\r\nHost: b", "GET /\x80 HTTP/1.1", "GET / HTTP/x"),
    ],
)
async def test_a_target_or_a_host_that_is_not_clear_is_refused_with_400(
    autojump_clock: MockClock, request_line: str
) -> None:
    app = Echo()
    head = request_line if "\r\n" in request_line else f"{request_line}\r\nHost: a"
    answer = await talk(f"{head}\r\n\r\n".encode("latin-1"), app)
    assert (status(answer), app.scopes) == (400, [])


async def test_a_request_of_http_1_1_without_a_host_is_refused_with_400(
    autojump_clock: MockClock,
) -> None:
    assert status(await talk(b"GET /status HTTP/1.1\r\n\r\n")) == 400


async def test_a_head_or_a_body_beyond_the_bound_is_refused_without_the_application(
    autojump_clock: MockClock,
) -> None:
    app = Echo()
    assert status(await talk(b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"x" * 40_000, app)) == 431
    post = b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    assert status(await talk(post % 10**12 + bytes(BODY_BYTES + 1), app)) == 413
    chunked = b"POST /drain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"1000\r\n" + bytes(4096) + b"\r\n"
    assert status(await talk(chunked + chunks * 17, app)) == 413
    assert app.scopes == []
    assert status(await talk(post % BODY_BYTES + bytes(BODY_BYTES), app)) == 200


async def test_a_client_that_waits_for_100_continue_gets_it(autojump_clock: MockClock) -> None:
    head = b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert (await talk(head + b"ok")).endswith(b"/drain aok")
    ours, theirs = memory_stream_pair()
    connection = HttpConnection(theirs, Echo(), client=CLIENT, server=SERVER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await ours.send_all(head)
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 100 ")
        await ours.send_all(b"ok")
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 200 ")
        nursery.cancel_scope.cancel()


async def test_head_has_the_headers_of_get_and_no_body(autojump_clock: MockClock) -> None:
    answer = await talk(GET.replace(b"GET", b"HEAD") + GET)
    assert answer.count(b"content-length: 9") == 2
    assert answer.count(b"/status a") == 1


async def test_an_error_of_the_application_is_logged_and_answered_with_500(
    autojump_clock: MockClock,
) -> None:
    with capture_logs() as logs:
        assert status(await talk(GET, broken)) == 500
    [line] = logs
    assert (line["event"], line["log_level"]) == ("admin.request_failed", "error")


async def seconds_until_the_end(send: Callable[[trio.abc.Stream], Awaitable[None]]) -> float:
    """How long a connection lives on which a client does ``send``."""
    ours, theirs = memory_stream_pair()
    connection = HttpConnection(theirs, Echo(), client=CLIENT, server=SERVER)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(send, ours))
        await connection.serve()
        nursery.cancel_scope.cancel()
    return trio.current_time() - began


async def test_a_connection_without_a_request_ends_after_5_s(autojump_clock: MockClock) -> None:
    async def nothing(_stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    assert await seconds_until_the_end(nothing) == 5


async def test_a_head_that_comes_a_byte_a_second_ends_after_5_s(autojump_clock: MockClock) -> None:
    async def drip(stream: trio.abc.Stream) -> None:
        for byte in GET:
            await trio.sleep(0.9)
            await stream.send_all(bytes([byte]))

    assert await seconds_until_the_end(drip) == 5


async def test_a_body_that_comes_a_byte_a_second_ends_after_5_s(autojump_clock: MockClock) -> None:
    async def drip(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        while True:
            await trio.sleep(0.9)
            await stream.send_all(b"x")

    assert await seconds_until_the_end(drip) == 5


async def test_a_connection_in_use_ends_5_s_after_its_last_request(
    autojump_clock: MockClock,
) -> None:
    async def three(stream: trio.abc.Stream) -> None:
        for _ in range(3):
            await stream.send_all(GET)
            await trio.sleep(4)

    assert await seconds_until_the_end(three) == 8 + 5


async def says_nothing() -> None:
    async def nothing(_stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    await seconds_until_the_end(nothing)


async def does_not_read() -> None:
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, GET)
        await HttpConnection(theirs, Echo(), client=CLIENT, server=SERVER).serve()


@pytest.mark.parametrize("ending", [says_nothing, does_not_read])
async def test_a_connection_that_is_given_up_leaves_no_garbage(
    ending: Callable[[], Awaitable[None]], autojump_clock: MockClock
) -> None:
    assert not await left_by(ending, "lastcall.")


async def without_end(_scope: Message, receive: Receive, send: Send) -> None:
    """An application that sends until the client is gone."""

    async def send_all() -> None:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 9999, "more_body": True})
            await trio.lowlevel.checkpoint()

    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        await receive()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("app", "request_bytes"), [(Echo(), GET[:9]), (without_end, GET)])
async def test_a_connection_that_is_reset_leaves_no_garbage(app: App, request_bytes: bytes) -> None:
    async def reset() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener, trio.open_nursery() as nursery:
            ours = await trio.testing.open_stream_to_socket_listener(listener)
            theirs = await listener.accept()
            connection = HttpConnection(theirs, app, client=CLIENT, server=SERVER)
            nursery.start_soon(connection.serve)
            await ours.send_all(request_bytes)
            await trio.testing.wait_all_tasks_blocked()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await trio.aclose_forcefully(ours)
        await trio.aclose_forcefully(theirs)

    assert not await left_by(reset)


async def test_a_client_that_does_not_read_its_answer_is_given_up_after_5_s(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = lockstep_stream_pair()  # a send waits for the reader
    app = Echo(b"x" * 1000)
    connection = HttpConnection(theirs, app, client=CLIENT, server=SERVER)
    began = trio.current_time()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, GET)
            await connection.serve()
    assert trio.current_time() - began == 5
    assert (len(app.scopes), logs) == (1, [])


async def test_a_connection_that_is_finished_ends_after_its_answer_or_at_once_without_one(
    autojump_clock: MockClock,
) -> None:
    async def slow(scope: Message, receive: Receive, send: Send) -> None:
        await trio.sleep(3)
        await Echo()(scope, receive, send)

    for request, seconds in ((b"", 1), (b"GET /sta", 1), (GET, 3)):
        ours, theirs = memory_stream_pair()
        connection = HttpConnection(theirs, slow, client=CLIENT, server=SERVER)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.serve)
            await ours.send_all(request)
            await trio.sleep(1)
            connection.finish()
        assert trio.current_time() - began == seconds
        if request == GET:
            assert (await ours.receive_some()).startswith(b"HTTP/1.1 200 ")


HEADS = st.binary(max_size=80) | st.from_regex(
    rb"(GET|POST|HEAD|PRI|CONNECT|[A-Z]{1,9}) [ -~]{1,30} HTTP/[0-9]\.[0-9]\r\n"
    rb"((Host|Upgrade|Connection|Transfer-Encoding|Content-Length|Expect)"
    rb": ?[ -\xff]{0,20}\r\n){0,4}"
    rb"\r\n.{0,30}",
    fullmatch=True,
)


@given(pieces=st.lists(HEADS, min_size=1, max_size=4))
def test_no_bytes_of_a_stranger_make_an_error_or_keep_a_connection(pieces: list[bytes]) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            answer = await talk(b"".join(pieces))
        assert not answer or answer.startswith(b"HTTP/1.1 ")

    with capture_logs() as logs:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert logs == []
