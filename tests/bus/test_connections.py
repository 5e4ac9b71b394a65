"""A port for nodes takes a bounded number of connections, and of each address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from lastcall.bus.connections import ConnectionBounds, Connections
from lastcall.bus.nng import NngBus, NngResponder
from lastcall.peer import Peer
from tests.bus.test_nng_border import REQ, Stranger

BOUNDS = ConnectionBounds(total=4, per_address=2)


def test_an_address_has_its_share_and_others_have_theirs() -> None:
    connections = Connections(BOUNDS)
    hosts = ["10.0.0.1"] * 3 + ["2001:db8::1", "2001:db8::2", "2001:db8::3", "10.0.0.3"]
    admitted = [connections.admit(number, host) for number, host in enumerate(hosts)]
    assert admitted == [True, True, False, True, True, False, False]
    assert (len(connections), connections.refused) == (4, 3)
    connections.gone(0)
    assert connections.admit(9, "10.0.0.1")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from("abc"))))
def test_no_order_of_connections_exceeds_the_bounds(steps: list[tuple[bool, int, str]]) -> None:
    connections = Connections(BOUNDS)
    live: dict[int, str] = {}
    for come, number, host in steps:
        if come and number not in live and connections.admit(number, host):
            live[number] = host
        elif not come:
            connections.gone(number)
            live.pop(number, None)
        assert len(connections) == len(live) <= BOUNDS.total
        assert all(list(live.values()).count(host) <= BOUNDS.per_address for host in live.values())


@pytest.fixture
def responder() -> Iterator[NngResponder]:
    responder = NngBus(bounds=BOUNDS).respond("tcp://127.0.0.1:0", bytes_max=1_000)
    yield responder
    responder.close()


async def test_connections_over_the_bound_are_closed_and_counted(responder: NngResponder) -> None:
    with trio.fail_after(20):
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(Stranger(responder.address, REQ))
            while len(responder._connections) < 2:
                await trio.sleep(0.01)
            while responder.refusals().connections < 3:
                third = Stranger(responder.address, REQ)
                await stack.enter_async_context(third)
                assert await third.socket.recv(1) == b""
        caller = NngBus().caller(responder.address)  # there is room again
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, bytes.upper)
            assert await caller.call(b"hello") == b"HELLO"
            nursery.cancel_scope.cancel()
        caller.close()


async def test_a_message_over_the_limit_closes_its_connection(responder: NngResponder) -> None:
    with trio.fail_after(20):
        async with Stranger(responder.address, REQ) as stranger:
            await stranger.send(bytes(2_000), 1)
            assert await _ends(stranger.socket)


async def _ends(socket: trio.socket.SocketType) -> bool:
    try:
        return await socket.recv(1) == b""
    except ConnectionResetError:
        return True


async def test_the_responder_knows_where_a_request_comes_from(responder: NngResponder) -> None:
    peers: list[Peer] = []

    def answer(request: bytes) -> bytes:
        assert responder.peer is not None
        peers.append(responder.peer)
        return request

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, answer)
            caller = NngBus().caller(responder.address)
            await caller.call(b"hello")
            caller.close()
            nursery.cancel_scope.cancel()
    [peer] = peers
    assert peer == Peer("127.0.0.1", same_machine=True, port=peer.port)
    assert peer.port
