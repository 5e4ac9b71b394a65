import socket
import time
from collections.abc import Iterator

import pytest

from lastcall.api.socket.frame_builder import close_frame, text_frame
from lastcall.bench.load.clients import LOST, Client, LoadFailed
from lastcall.bench.load.frame_builder import CLOSE, masked
from lastcall.wire import frames

MOVE = text_frame(frames.encode(frames.Move(2.0)))


@pytest.fixture
def pair() -> Iterator[tuple[Client, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield Client(ours, b""), theirs


def test_a_moved_client_knows_when_it_is_due_and_answers_the_close(
    pair: tuple[Client, socket.socket],
) -> None:
    client, server = pair
    closed: list[Client] = []
    client.on_close = closed.append

    server.send(MOVE + close_frame(1012, "this node is leaving"))
    before = time.monotonic()

    assert client.receive() is True
    assert closed == [client]
    assert client.close_code == 1012
    assert client.move_due is not None
    assert client.move_due >= before + 2
    assert server.recv(100) == masked(CLOSE, (1012).to_bytes(2, "big"))


def test_the_end_of_the_socket_after_a_close_is_no_second_close(
    pair: tuple[Client, socket.socket],
) -> None:
    client, server = pair
    closed: list[Client] = []
    client.on_close = closed.append

    server.send(close_frame(1012))
    server.shutdown(socket.SHUT_WR)

    assert [client.receive(), client.receive()] == [True, False]
    assert closed == [client]
    assert client.close_code == 1012


def test_a_socket_that_ends_without_a_word_is_lost(pair: tuple[Client, socket.socket]) -> None:
    client, server = pair
    client.on_close = lambda _client: None

    server.close()

    assert client.receive() is False
    assert client.close_code == LOST


@pytest.mark.parametrize("said", [MOVE, close_frame(1012)])
def test_to_be_moved_fails_a_load_that_does_not_expect_it(
    pair: tuple[Client, socket.socket], said: bytes
) -> None:
    client, server = pair

    server.send(said)

    with pytest.raises(LoadFailed):
        client.receive()
