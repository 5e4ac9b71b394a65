"""Behaviour of nng alone: bytes from strangers, its descriptors, and addresses that are paths."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import trio

from lastcall.bus import nng
from lastcall.bus.base import MESSAGE_BYTES_MAX, Probe
from lastcall.bus.nng import NngBus, NngResponder
from lastcall.errors import AddressInUse, BadAddress

REQ, PUB = 0x30, 0x20
"""Protocol numbers of the SP handshake."""


@pytest.fixture
def responder() -> Iterator[NngResponder]:
    responder = NngBus().respond("tcp://127.0.0.1:0")
    yield responder
    responder.close()


class Stranger:
    """A peer that writes nng's protocol by hand, and reads only on ``receive``."""

    def __init__(self, address: str, protocol: int) -> None:
        self.protocol = protocol
        self.address = address
        self.socket = trio.socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    async def __aenter__(self) -> Self:
        host, _, port = self.address.removeprefix("tcp://").partition(":")
        await self.socket.connect((host, int(port)))
        await self._write(b"\0SP\0" + struct.pack(">HH", self.protocol, 0))
        await self._read(8)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    async def send(self, body: bytes, request: int | None = None) -> None:
        head = b"" if request is None else struct.pack(">I", 0x80000000 | request)
        await self._write(struct.pack(">Q", len(head + body)) + head + body)

    async def receive(self) -> bytes:
        (length,) = struct.unpack(">Q", await self._read(8))
        return (await self._read(length))[4:]

    async def _write(self, data: bytes) -> None:
        while data:
            data = data[await self.socket.send(data) :]

    async def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = await self.socket.recv(count - len(data))
            assert more, "closed by the peer"
            data += more
        return bytes(data)


async def test_a_caller_that_reads_late_still_gets_each_reply(
    responder: NngResponder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reply is dropped after 0.5 s; on a busy machine, reading 4 MiB may take longer.
    monkeypatch.setattr(nng, "REPLY_SECONDS", 60)
    replies = {b"large": bytes(MESSAGE_BYTES_MAX), b"small": b"small"}
    answered: list[bytes] = []

    def answer(request: bytes) -> bytes:
        answered.append(request)
        return replies[request]

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, answer)
            async with Stranger(responder.address, REQ) as slow:
                await slow.send(b"large", 1)
                await slow.send(b"small", 2)
                while len(answered) < 2:
                    await trio.sleep(0.01)
                assert await slow.receive() == replies[b"large"]
                assert await slow.receive() == b"small"
            nursery.cancel_scope.cancel()


async def test_a_caller_that_never_reads_does_not_block_the_others_for_ever(
    responder: NngResponder,
) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, lambda request: request.ljust(MESSAGE_BYTES_MAX))
            async with Stranger(responder.address, REQ) as stalled:
                for number in range(1, 4):
                    await stalled.send(b"?", number)
                caller = NngBus().caller(responder.address)
                assert (await caller.call(b"hello")).startswith(b"hello ")
                caller.close()
            nursery.cancel_scope.cancel()


class IoWaits(trio.abc.Instrument):
    """Counts how often trio waits for input."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the base's signature
        self.count += 1


async def test_the_late_reply_to_an_abandoned_call_does_not_make_the_next_call_spin() -> None:
    responder = NngBus().respond("tcp://127.0.0.1:0")
    caller, other = NngBus().caller(responder.address), NngBus().caller(responder.address)
    io_waits = IoWaits()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, bytes.upper)
            await other.call(b"met")
            with trio.move_on_after(0):
                await caller.call(b"never sent")
            for _ in range(3):
                with trio.CancelScope() as scope:
                    nursery.start_soon(_cancel_soon, scope)
                    await caller.call(b"abandoned")
                for _ in range(20):  # by then its reply has arrived
                    await other.call(b"?")
            nursery.cancel_scope.cancel()
        trio.lowlevel.add_instrument(io_waits)
        with trio.move_on_after(0.2):
            await caller.call(b"nobody serves now")
        trio.lowlevel.remove_instrument(io_waits)
    for end in (responder, caller, other):
        end.close()
    assert io_waits.count < 20


async def _cancel_soon(scope: trio.CancelScope) -> None:
    scope.cancel()


async def test_an_empty_request_of_a_stranger_is_ignored(responder: NngResponder) -> None:
    requests: list[bytes] = []

    def answer(request: bytes) -> bytes:
        requests.append(request)
        return b"re: " + request

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, answer)
            async with Stranger(responder.address, REQ) as stranger:
                await stranger.send(b"", 1)
                await stranger.send(b"something", 2)
                assert await stranger.receive() == b"re: something"
            nursery.cancel_scope.cancel()
    assert requests == [b"something"]


async def test_an_empty_message_of_a_stranger_is_ignored() -> None:
    subscriber = NngBus().subscribe("tcp://127.0.0.1:0")
    with trio.fail_after(20):
        async with Stranger(subscriber.address, PUB) as stranger:
            await stranger.send(b"")
            await stranger.send(b"something")
            assert await subscriber.receive() == [b"something"]
    subscriber.close()


async def test_a_closed_responder_may_be_closed_again_outside_trio(responder: NngResponder) -> None:
    responder.close()
    await trio.to_thread.run_sync(responder.close)


async def test_a_node_cannot_listen_at_an_address_of_another_machine() -> None:
    with pytest.raises(BadAddress, match=r"tcp://192\.0\.2\.1:7101 .*tcp://HOST:PORT"):
        NngBus().respond("tcp://192.0.2.1:7101")


async def test_the_error_for_a_port_in_use_names_the_address(responder: NngResponder) -> None:
    with pytest.raises(AddressInUse, match=responder.address):
        NngBus().subscribe(responder.address)


async def test_an_address_can_be_a_path(tmp_path: Path) -> None:
    bus, address = NngBus(), f"ipc://{tmp_path}/game"
    assert await bus.probe(address, 5) is Probe.REFUSED
    responder, caller = bus.respond(address), bus.caller(address)
    assert responder.address == address
    assert await bus.probe(address, 5) is Probe.REACHED
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, bytes.upper)
            assert await caller.call(b"hello") == b"HELLO"
            nursery.cancel_scope.cancel()
    responder.close()
    caller.close()


@pytest.mark.parametrize("address", ["ipc://game", "ipc:///" + "x" * 200])
async def test_a_path_that_no_socket_can_have_is_refused(address: str) -> None:
    with pytest.raises(BadAddress, match="ipc:///PATH"):
        NngBus().respond(address)
