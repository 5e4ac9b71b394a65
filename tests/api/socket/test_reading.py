"""A client's kernel shows whether the client reads, however much our own kernel holds back."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
import trio
import trio.testing

from lastcall.api.socket.cork import Cork
from lastcall.api.socket.kernel_buffer import tcp_socket
from lastcall.api.socket.pump import Pump
from lastcall.api.socket.pumped_stream import PumpedStream
from lastcall.api.socket.reading import Reading


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end of a TCP connection, and ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    for end in (client, ours):
        end.setblocking(False)
    with client, ours:
        yield client, ours


def stream(ours: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(ours))


def pumped(ours: socket.socket) -> PumpedStream:
    return PumpedStream(stream(ours), Pump(Cork()), frame_bytes=1_000)


def encrypted(ours: socket.socket) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return trio.SSLStream(stream(ours), context, server_side=True)


@pytest.mark.parametrize("wrap", [stream, pumped, encrypted])
async def test_a_client_must_read_before_its_kernel_takes_all(
    wrap: Callable[[socket.socket], trio.abc.Stream],
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, ours = ends
    reading = Reading(tcp_socket(wrap(ours)), 0.0)
    sent = received = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += ours.send(bytes(100_000))
    assert reading.taken(0) < sent, "our own kernel holds the rest"
    with trio.fail_after(10):
        while received < sent or reading.taken(0) < sent:
            with contextlib.suppress(BlockingIOError):
                received += len(client.recv(65_536))
            await trio.lowlevel.checkpoint()


async def test_where_the_clients_kernel_is_not_known_what_leaves_counts() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for unknown in (stream(ours), trio.testing.memory_stream_pair()[0]):
            reading = Reading(tcp_socket(unknown), 0.0)
            assert [reading.taken(7), reading.taken(8)] == [7, 8]


def test_the_time_is_that_of_the_last_note_that_showed_more() -> None:
    reading = Reading(tcp_socket(trio.testing.memory_stream_pair()[0]), 0.0)
    times = []
    for now, sent in enumerate([5, 5, 9, 9, 9], 1):
        reading.note(sent, now)
        times.append(reading.at)
    assert times == [1, 1, 3, 3, 3]
    reading.forget()
    reading.note(9, 10)
    assert reading.at == 10
