"""A client may close with every code that IANA lists or leaves to applications, and no other."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed
from wsproto.utilities import generate_accept_token

from lastcall.client.dial import handshake
from tests.api.paths import CLOSE, closing, frame, serving

PATHS = pytest.mark.parametrize("pumped", [True, False], ids=["pump", "plain"])
LISTED = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
OTHERS = [0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535]


@PATHS
@pytest.mark.parametrize("before", [b"", frame(b"a", 0x01)], ids=["", "in a message"])
async def test_a_listed_code_is_answered_with_itself_and_any_other_one_with_1002(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, before: bytes, *, pumped: bool
) -> None:
    async with serving(monkeypatch, pumped=pumped) as server:
        for code in LISTED + OTHERS:
            peer = await server.client()
            await peer.send(before + closing(code, b"why"))
            assert await peer.rest() == [(CLOSE, code if code in LISTED else 1002)], code
        await server.gateway.wait_empty()
        ends = server.gateway.counts.ends
    # A client that says 1002, 1003, 1007 or 1009 counts as one that was told so.
    assert ends["protocol"] == len(OTHERS) + 4
    assert ends["client"] == len(LISTED) - 4


@pytest.mark.parametrize("code", [1013, 1014, 4000])
async def test_the_python_client_reads_the_code_of_a_proxy(autojump_clock, code: int) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def server() -> None:
        request = await theirs.receive_some()
        key = next(line for line in request.split(b"\r\n") if b"-Key:" in line).split()[1]
        await theirs.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + generate_accept_token(key) + b"\r\n\r\n"
        )
        await theirs.send_all(b"\x88\x02" + code.to_bytes(2, "big"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        socket = await handshake(nursery, ours, "ws://here/", None)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()
        assert closed.value.reason.code == code
        nursery.cancel_scope.cancel()
