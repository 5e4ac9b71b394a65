"""A connection to a port for nodes that says nothing is closed; one that speaks stays."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

import pytest
import trio
import trustme

from lastcall.bus import silent_connections
from lastcall.bus.address import HostPort
from lastcall.bus.nng import NngBus
from lastcall.bus.silent_connections import (
    PATIENCE_SECONDS,
    SILENT_MAX,
    Entry,
    SilentConnections,
    parse_table,
)
from tests.bus.test_cluster_tls import tls

TABLE = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1BBD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10 1
   1: 0100007F:1BBD 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 11 1
   2: 0100007F:C350 0100007F:1BBD 01 00000000:00000000 00:00000000 00000000     0        0 12 1
   3: 0100007F:1BBE 0100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 13 1
"""


def test_only_established_connections_to_the_port_are_read() -> None:
    assert parse_table(TABLE, 0x1BBD) == [Entry(0x1BBD, 0xC350, 11)]


def test_too_many_silent_ones_are_closed_before_their_time_the_oldest_first() -> None:
    silent = SilentConnections(HostPort("127.0.0.1", 1))
    entries = [Entry(1, port, port) for port in range(SILENT_MAX + 3)]
    silent._since = {entry: float(entry.inode) / 1000 for entry in entries}
    assert silent.overdue(1) == entries[:3]
    assert silent.overdue(10.001) == entries[:3]
    assert silent.overdue(10.01) == entries[:11]


@pytest.mark.parametrize("listen", ["127.0.0.1", "::1", "localhost"])
def test_the_tables_that_are_read_have_the_connections_of_the_port(listen: str) -> None:
    family, *_, where = socket.getaddrinfo(listen, 0, type=socket.SOCK_STREAM)[0]
    with socket.create_server(where[:2], family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((listen, port)), server.accept()[0]:
            silent = SilentConnections(HostPort(listen, port))
            silent.look(0, ())
            assert len(silent.overdue(PATIENCE_SECONDS)) == 1


def _to_the_end(stranger: socket.socket) -> bool:
    """Reads nng's greeting, if there is one, and the end."""
    with suppress(ConnectionResetError):
        while stranger.recv(64):
            pass
    return True


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_silent_strangers_are_closed_and_a_node_stays(
    monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    monkeypatch.setattr(silent_connections, "PATIENCE_SECONDS", 0.3)
    ca = trustme.CA()
    bus = NngBus(tls(ca, ca.issue_cert("127.0.0.1")) if encrypted else None)
    responder = bus.respond("tcp://127.0.0.1:0")
    caller = bus.caller(responder.address)
    port = int(responder.address.rpartition(":")[2])
    with trio.fail_after(20), ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(responder.serve, bytes.upper)
            assert await caller.call(b"hello") == b"HELLO"
            strangers = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                for _ in range(20)
            ]
            strangers[0].send(b"\x16")  # a byte of TLS is not enough
            while responder.refusals().silent < len(strangers):
                await trio.sleep(0.05)
                await responder.close_silent()
            for stranger in strangers:
                assert await trio.to_thread.run_sync(_to_the_end, stranger)
            assert await caller.call(b"still here") == b"STILL HERE"
            nursery.cancel_scope.cancel()
    caller.close()
    responder.close()
