"""One suite for both ways in: the pump, and the protocol library alone. RFC 6455 over sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import thread_time

import pytest
import structlog
import trio
from trio.testing import MockClock

from lastcall.api.gateway import gateway
from lastcall.api.gateway.blocked import LAST_WORDS_SECONDS
from lastcall.api.socket.batch_sizes import READ_BYTES
from lastcall.api.socket.pump import pump_wanted
from lastcall.limits import Limits, Rate
from lastcall.wire import nodes
from tests.api.conftest import UPGRADE
from tests.api.paths import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    Noted,
    Server,
    closing,
    frame,
    longest_step,
    serving,
    turns,
)

LIMIT = 64 * 1024
Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(params=["pump", "plain"])
def serve(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Serve:
    if request.param == "pump" and not pump_wanted():
        pytest.skip("no epoll here")
    return lambda **more: serving(monkeypatch, pumped=request.param == "pump", **more)


def echo(payload: bytes) -> Frame:
    return TEXT, payload


def pong(payload: bytes) -> Frame:
    return PONG, payload


def closed(code: int | None) -> Frame:
    return CLOSE, code


# The frames of a client and those that it gets. Without a close at the end, it closes with 1000.

ODD_LENGTH = struct.pack("!BBQ", TEXT, 0xFF, 1 << 63 | 5)
MIXED = "aü€😀".encode()
CASES: dict[str, tuple[bytes, list[Frame]]] = {
    "text": (frame(b"hi"), [echo(b"hi")]),
    "continuation of nothing": (frame(b"hi", 0x80), [closed(1002)]),
    "binary": (frame(b"hi", BINARY), [closed(1003)]),
    "binary in fragments": (frame(b"h", 0x02) + frame(b"i", 0x80), [closed(1003)]),
    "ping": (frame(b"hi", PING), [pong(b"hi")]),
    "ping of 125 bytes": (frame(b"x" * 125, PING), [pong(b"x" * 125)]),
    "ping of 126 bytes": (frame(b"x" * 126, PING), [closed(1002)]),
    "head of a ping of 126 bytes": (frame(b"x" * 126, PING)[:2], [closed(1002)]),
    "pong": (frame(b"hi", PONG) + frame(b"so"), [echo(b"so")]),
    "empty text": (frame(), [echo(b"")]),
    "unmasked": (b"\x81\x02hi", [closed(1002)]),
    "unmasked ping": (b"\x89\x02hi", [closed(1002)]),
    "fragmented ping": (frame(b"hi", 0x09), [closed(1002)]),
    "fragmented close": (frame(b"", 0x08), [closed(1002)]),
    "2 bytes of length for 125": (frame(b"x" * 125, width=2), [closed(1002)]),
    "8 bytes of length for 65535": (frame(b"x" * 65_535, width=8), [closed(1002)]),
    "a length with the top bit": (ODD_LENGTH + b"abcdhello", [closed(1002)]),
    "fragments": (
        frame(b"a", 0x01) + frame(b"", 0x00) + frame(b"b", 0x00) + frame(b"c", 0x80) + frame(b"d"),
        [echo(b"abc"), echo(b"d")],
    ),
    "a ping and a pong between fragments": (
        frame(b"a", 0x01) + frame(b"1", PING) + frame(b"2", PONG) + frame(b"b", 0x80),
        [pong(b"1"), echo(b"ab")],
    ),
    "a close between fragments": (frame(b"a", 0x01) + closing(1000), [closed(1000)]),
    "a text between fragments": (frame(b"a", 0x01) + frame(b"b"), [closed(1002)]),
    "fragments that are empty": (frame(b"", 0x01) + frame(b"", 0x80), [echo(b"")]),
    "UTF-8": (frame(MIXED), [echo(MIXED)]),
    "UTF-8 split across fragments": (
        frame(MIXED[:2], 0x01) + frame(MIXED[2:8], 0x00) + frame(MIXED[8:], 0x80),
        [echo(MIXED)],
    ),
    "bad UTF-8": (frame(b"ok") + frame(b"\xff"), [echo(b"ok"), closed(1007)]),
    "bad UTF-8 across fragments": (frame(b"\xe2", 0x01) + frame(b"\x28", 0x80), [closed(1007)]),
    "UTF-8 that stops short": (frame(b"\xe2\x82"), [closed(1007)]),
    "UTF-8 that stops short in fragments": (
        frame(b"\xe2", 0x01) + frame(b"\x82", 0x80),
        [closed(1007)],
    ),
    "a surrogate": (frame(b"\xed\xa0\x80"), [closed(1007)]),
    "overlong UTF-8": (frame(b"\xc0\xaf"), [closed(1007)]),
    "beyond Unicode": (frame(b"\xf4\x90\x80\x80"), [closed(1007)]),
    "a frame over the limit": (frame(b"x" * (LIMIT + 1)), [closed(1009)]),
    "fragments over the limit": (
        frame(b"x" * LIMIT, 0x01) + frame(b"x", 0x80),
        [closed(1009)],
    ),
    "few characters but many bytes": (frame("ü".encode() * (LIMIT // 2 + 1)), [closed(1009)]),
    "an empty close": (frame(b"", CLOSE), [closed(None)]),
    "a close of 1 byte": (frame(b"x", CLOSE), [closed(1002)]),
    "a close with a long reason": (closing(4000, b"x" * 123), [closed(4000)]),
    "a close with a reason that is not UTF-8": (closing(1000, b"\xff"), [closed(1007)]),
    "a close with reserved bits": (frame(b"\x03\xe8", 0xC8), [closed(1002)]),
    "data after close": (closing(1000) + frame(b"late") + frame(b"1", PING), [closed(1000)]),
    "data after an error": (b"\x81\x02hi" + frame(b"late"), [closed(1002)]),
    "many in a segment": (
        b"".join(frame(b"%d" % n) for n in range(300)),
        [echo(b"%d" % n) for n in range(300)],
    ),
}
CASES |= {
    f"opcode {opcode:#x}": (frame(b"hi", 0x80 | opcode), [closed(1002)])
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF]
}
CASES |= {
    f"reserved bit {bit:#x} of {first:#x}": (frame(b"hi", first | bit), [closed(1002)])
    for bit in (0x40, 0x20, 0x10)
    for first in (TEXT, BINARY, PING, PONG, 0x01)
}
CASES |= {
    f"{size} bytes": (frame(b"x" * size), [echo(b"x" * size)]) for size in (125, 126, 65_535, LIMIT)
}
CASES |= {
    f"close {code}": (closing(code), [closed(code)])
    for code in [*range(1000, 1004), *range(1007, 1014), 3000, 3999, 4000, 4999]
}
CASES |= {
    f"close {code}, which is none": (closing(code), [closed(1002)])
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
}


@pytest.mark.parametrize("case", CASES)
async def test_each_case_of_the_rfc_has_its_answer(serve: Serve, case: str) -> None:
    data, expected = CASES[case]
    async with serve() as server:
        client = await server.client()
        server.nursery.start_soon(client.send, data)
        assert await client.take(len(expected)) == expected
        if expected[-1][0] != CLOSE:
            await client.send(closing(1000))
            assert await client.next() == closed(1000)
        assert await client.rest() == []
        await server.gateway.wait_empty()
        texts = [payload.decode() for first, payload in expected if first == TEXT]
        assert [text for text in server.heard if text and isinstance(text, str)][
            : len(texts)
        ] == list(filter(None, texts))
        assert "late" not in server.heard


async def test_a_frame_split_at_every_byte_is_one_frame(serve: Serve) -> None:
    async with serve() as server:
        client = await server.client()
        for data in (frame(MIXED), frame(b"x" * 130), frame(b"1", PING) + frame(b"a" * 3)):
            expected = 2 if data[0] == PING else 1
            for cut in range(1, len(data)):
                await client.send(data[:cut], data[cut:])
                assert None not in await client.take(expected)
        await client.send(*[bytes([byte]) for byte in frame(b"drip")])
        assert await client.next() == echo(b"drip")


@pytest.mark.parametrize("head", [UPGRADE, UPGRADE.replace(b"\r\n", b"\n")])
@pytest.mark.parametrize("cut", [0, 1, 5, 20])
async def test_frames_in_the_same_segment_as_the_request_are_not_lost(
    serve: Serve, head: bytes, cut: int
) -> None:
    data = frame(b"a") + frame(b"1", PING) + frame(b"b")
    async with serve() as server:
        client = server.dial()
        await client.send(head + data[:cut], data[cut:])
        assert b" 101 " in await client.head()
        assert b"hello" in (await client.next())[1]
        got = await client.take(3)
        assert sorted(got) == sorted([echo(b"a"), echo(b"b"), pong(b"1")])
        await client.send(frame(b"c"))
        assert await client.next() == echo(b"c")


@pytest.mark.parametrize("head", [UPGRADE, UPGRADE.replace(b"\r\n", b"\n")])
async def test_a_request_cut_anywhere_is_one_request(serve: Serve, head: bytes) -> None:
    async with serve() as server:
        for cut in range(len(head) - 5, len(head)):
            client = server.dial()
            await client.send(head[:cut], head[cut:])
            assert b" 101 " in await client.head()
            assert b"hello" in (await client.next())[1]
            await client.send(frame(b"hi"))
            assert await client.next() == echo(b"hi")


async def test_a_refused_client_gets_503_whatever_it_sends_with_the_request(serve: Serve) -> None:
    async with serve() as server:
        server.gateway.handshakes.refuse = "cordoned"
        client = server.dial()
        await client.send(UPGRADE + frame(b"too early"))
        head = (await client.head()).lower()
        assert head.startswith(b"http/1.1 503 ")
        assert b"retry-after: 1" in head
        client.finish()
        await server.gateway.wait_empty()
        assert server.heard == []


async def test_a_request_without_an_upgrade_gets_400(serve: Serve) -> None:
    async with serve() as server:
        client = server.dial()
        await client.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert b" 400 " in await client.head()
        await server.gateway.wait_empty()


# Ends.


@pytest.mark.parametrize("part", [b"", frame(b"hello")[:1], frame(b"hello")[:6], b"\x81\xfe"])
async def test_a_client_that_half_closes_within_a_frame_is_lost(serve: Serve, part: bytes) -> None:
    async with serve() as server:
        client = await server.client()
        await client.send(frame(b"whole") + part)
        client.finish()
        assert await client.rest() == [echo(b"whole")]
        await server.gateway.wait_empty()
        assert (server.heard, server.codes) == (["whole"], {1006: 1})


async def test_a_reset_in_the_middle_of_a_frame_is_a_lost_client(serve: Serve) -> None:
    async with serve() as server:
        client, other = await server.client(), await server.client()
        await client.send(frame(b"whole") + frame(b"half")[:5])
        client.reset()
        while server.gateway.clients > 1:
            await trio.lowlevel.checkpoint()
        assert server.codes == {1006: 1}
        await other.send(frame(b"still here"))
        assert await other.next() == echo(b"still here")


async def test_a_session_that_closes_reads_nothing_more_of_the_segment(serve: Serve) -> None:
    async with serve() as server:
        client = await server.client()
        await client.send(frame(b"a") + frame(b"kick me") + frame(b"b") + frame(b"1", PING))
        assert await client.rest() == [echo(b"a"), closed(4003)]
        await server.gateway.wait_empty()
        assert (server.heard, server.codes) == (["a", "kick me"], {4003: 1})


async def test_an_internal_error_ends_that_client_alone(serve: Serve) -> None:
    async with serve() as server:
        client, other = await server.client(), await server.client()
        await client.send(frame(b"a") + frame(b"boom") + frame(b"b") + closing(1000))
        assert [one for one in await client.rest() if one != echo(b"a")] == []
        await other.send(frame(b"still here"))
        assert await other.next() == echo(b"still here")
        assert "b" not in server.heard
        assert server.gateway.clients == 1


async def test_a_client_that_is_moved_in_the_turn_of_its_input(serve: Serve) -> None:
    async with serve() as server:
        mover, *others = [await server.client() for _ in range(9)]
        for peer in (mover, *others):  # without a turn in between
            data = b"move the others" if peer is mover else b"me"
            peer.send_nowait(frame(data))
        for peer in others:
            *said, move, end = await peer.rest()
            assert said in ([], [echo(b"me")])
            assert b'"move"' in move[1]
            assert end == closed(1012)
        await mover.send(frame(b"I stay"))
        assert await mover.next() == echo(b"I stay")
        assert server.gateway.clients == 1


async def test_a_descriptor_that_is_used_again_belongs_to_the_new_client(serve: Serve) -> None:
    async with serve() as server:
        for turn in range(30):
            client = await server.client()
            await client.send(frame(b"%d" % turn))
            assert await client.next() == echo(b"%d" % turn)
            await client.send(frame(b"kick me") if turn % 2 else closing(1000))
            await client.rest()
            client.socket.close()
            await server.gateway.wait_empty()
            if server.pump is not None:
                assert server.pump._clients == {}
        assert len(server.heard) == 45


# Limits.


async def test_a_message_in_endless_empty_fragments_closes_1009(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "SWEEP_SECONDS", 0.01)
    async with serve(frame_bytes=1_000) as server:
        client, other = await server.client(), await server.client()
        server.nursery.start_soon(server.gateway.sweep)
        await other.send(frame(b"y", 0x01) + frame(b"", 0x00) * 900)
        await client.send(frame(b"x", 0x01) + frame(b"", 0x00) * 1_100)
        assert await client.rest() == [closed(1009)]
        await other.send(frame(b"es", 0x80))
        assert await other.next() == echo(b"yes")
        assert server.codes == {1009: 1}


@pytest.mark.parametrize(
    "begun",
    [frame(b"x" * 900)[:500], frame(b"x", 0x01), frame(b"x" * 900, 0x02)[:500], frame(b"x")[:1]],
    ids=["text", "parts", "binary", "head"],
)
async def test_a_message_that_does_not_come_whole_in_time_closes_1013(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(gateway, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(gateway, "MESSAGE_SECONDS", 0.2)
    async with serve() as server:
        stuck, quiet = await server.client(), await server.client()
        server.nursery.start_soon(server.gateway.sweep)
        await quiet.send(frame(b"a", 0x01) + frame(b"", PING) + frame(b"b", 0x80) + frame(b"c"))
        await stuck.send(frame(b"whole") + begun)
        assert await stuck.rest() == [echo(b"whole"), closed(1013)]
        await quiet.send(frame(b"d"))
        heard = [await quiet.next() for _ in range(4)]
        assert [one for one in heard if one[0] == TEXT] == [echo(b"ab"), echo(b"c"), echo(b"d")]


async def test_too_many_frames_close_4101(serve: Serve) -> None:
    async with serve(kind=Noted, limits=Limits(inputs=Rate(10, 0.001))) as server:
        client = await server.client()
        await client.send(frame(b'{"t":"got","seq":0}') * 50)
        error, end = await client.rest()
        assert b"too_many" in error[1]
        assert end == closed(4101)
        await server.gateway.wait_empty()
        assert len(server.heard) == 11


async def test_too_many_pings_pongs_or_parts_close_4101(serve: Serve) -> None:
    async with serve(kind=Noted, limits=Limits(inputs=Rate(10, 0.001))) as server:
        for odd in (
            frame(b"", PING) * 11,
            frame(b"", PONG) * 11,
            frame(b"", 1) + frame(b"", 0) * 10,
        ):
            client = await server.client()
            await client.send(odd)
            *_, error, end = await client.rest()
            assert b"too_many" in error[1]
            assert end == closed(4101)
        assert server.heard == []


async def test_a_client_whose_room_is_behind_is_not_read_until_it_has_caught_up(
    serve: Serve,
) -> None:
    async with serve(kind=Noted, unacked_inputs=4, blocked_seconds=60) as server:
        client = await server.seated()
        says = [frame(b'{"t":"say","n":%d,"d":1}' % n) for n in range(1, 11)]
        await client.send(b"".join(says))
        assert [said.n for said in server.link.of(nodes.Say)] == [1, 2, 3, 4]
        for known in (4, 8, 10):
            acks = nodes.Acks(acks=[("game-1.den", "p1", known)])
            server.relays.take(server.link, acks)
            await _until(lambda known=known: len(server.link.of(nodes.Say)) >= min(10, known + 4))
        assert [said.n for said in server.link.of(nodes.Say)] == list(range(1, 11))
        await client.send(frame(b'{"t":"leave"}'))
        await _until(lambda: server.link.of(nodes.Leave))


async def test_a_blocked_client_does_not_fill_the_nodes_memory(serve: Serve) -> None:
    async with serve(kind=Noted, unacked_inputs=4, blocked_seconds=60) as server:
        client = await server.seated()
        await client.send(b"".join(frame(b'{"t":"say","n":%d,"d":1}' % n) for n in range(1, 9)))
        filled = [client.fill(frame(b'{"t":"got","seq":0}') * 1000)]
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            filled.append(client.fill(frame(b'{"t":"got","seq":0}') * 1000))
        assert filled[-1] == 0
        assert sum(filled) < 16 << 20
        assert len(server.heard) <= 6


async def test_a_client_whose_room_stays_behind_is_closed_4101(serve: Serve) -> None:
    async with serve(kind=Noted, unacked_inputs=4, blocked_seconds=0.05) as server:
        client = await server.seated()
        await client.send(b"".join(frame(b'{"t":"say","n":%d,"d":1}' % n) for n in range(1, 9)))
        assert (await client.rest())[-1] == closed(4101)
        await server.gateway.wait_empty()
        assert len(server.link.of(nodes.Say)) == 4


BLOCKED_SECONDS = 0.05


async def passes(clock: MockClock, seconds: float) -> None:
    """All do what they can before this time passes, and after it; all that was sent is read."""
    await trio.testing.wait_all_tasks_blocked()
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("end", ["stays", "sends a close", "sends an end of file", "hangs up"])
@pytest.mark.parametrize("inputs", [8, 500])
async def test_a_leave_that_is_kept_back_is_heard_when_the_room_stays_behind(
    serve: Serve, end: str, inputs: int, mock_clock: MockClock
) -> None:
    """No time passes while the node reads: what was sent is in the kernel by then."""
    async with serve(kind=Noted, unacked_inputs=4, blocked_seconds=BLOCKED_SECONDS) as server:
        client = await server.seated()
        says = b"".join(frame(b'{"t":"say","n":%d,"d":1}' % n) for n in range(1, inputs))
        await client.send(says + frame(b'{"t":"leave"}'))
        if end == "sends a close":
            await client.send(closing(1000))
        elif end == "sends an end of file":
            client.socket.shutdown(socket.SHUT_WR)
        elif end == "hangs up":
            client.socket.close()
        await passes(mock_clock, BLOCKED_SECONDS)
        assert len(server.link.of(nodes.Leave)) == 1
        await passes(mock_clock, LAST_WORDS_SECONDS)
        await passes(mock_clock, server.policy.close_seconds)
        assert len(server.link.of(nodes.Say)) == 4
        assert len(server.link.of(nodes.Leave)) == 1
        assert server.link.of(nodes.Absent) == []
        assert server.codes == {4101: 1}


async def test_a_client_that_goes_on_sending_after_4101_is_not_heard_for_long(
    serve: Serve, mock_clock: MockClock
) -> None:
    async with serve(kind=Noted, unacked_inputs=4, blocked_seconds=BLOCKED_SECONDS) as server:
        client = await server.seated()
        await client.send(b"".join(frame(b'{"t":"say","n":%d,"d":1}' % n) for n in range(1, 9)))
        await passes(mock_clock, BLOCKED_SECONDS)
        assert (await client.next()) == closed(4101)
        for _ in range(10):
            client.send_nowait(frame(b'{"t":"got","seq":0}') * 100)
            await passes(mock_clock, (LAST_WORDS_SECONDS - 0.01) / 10)
        assert server.gateway.clients == 1
        assert server.link.of(nodes.Absent) == []
        await passes(mock_clock, 0.02)
        assert server.gateway.clients == 0
        assert len(server.link.of(nodes.Say)) == 4
        assert len(server.link.of(nodes.Absent)) == 1


async def test_a_lost_client_that_is_not_read_causes_no_wakeups(serve: Serve) -> None:
    async with serve(kind=Noted, unacked_inputs=4, blocked_seconds=60) as server:
        client = await server.seated()
        await client.send(b"".join(frame(b'{"t":"say","n":%d,"d":1}' % n) for n in range(1, 9)))
        client.reset()
        await trio.testing.wait_all_tasks_blocked()  # for ever, if one spins
        before = server.pump.turns if server.pump else 0
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.pump.turns if server.pump else 0) == before


async def test_a_client_that_does_not_read_is_closed_4100_and_no_frame_is_torn(
    serve: Serve,
) -> None:
    async with serve(backlog_bytes=100_000, backlog_bytes_max=100_000) as server:
        client = await server.client(buffer_bytes=4096)
        await client.send(frame(b"x" * 50_000) * 10)
        await _until(lambda: not server.gateway.clients)
        *texts, end = await client.rest()
        assert end == closed(4100)
        assert set(texts) == {echo(b"x" * 50_000)}
        assert server.codes == {4100: 1}


async def test_a_flood_of_pings_is_answered_in_order(serve: Serve) -> None:
    async with serve() as server:
        client = await server.client(buffer_bytes=4096)
        data = b"".join(frame(b"%d" % n, PING) for n in range(3_000)) + frame(b"done")
        server.nursery.start_soon(client.send, data)
        got = await client.take(3_001)
        assert [one for one in got if one[0] == PONG] == [pong(b"%d" % n) for n in range(3_000)]
        assert echo(b"done") in got


async def test_a_flood_of_pings_whose_pongs_nobody_reads_is_not_read_on(serve: Serve) -> None:
    async with serve() as server:
        client = await server.client(buffer_bytes=4096)
        pings = frame(b"x" * 100, PING) * 200
        quiet = total = 0
        while quiet < 50:
            filled = client.fill(pings)
            total += filled
            quiet = 0 if filled else quiet + 1
            await trio.lowlevel.checkpoint()
        assert total < 32 << 20
        output = server.sessions[0].connection.output
        assert output.queue.size < 16 * 1024
        if output.pumped is not None:
            assert len(output.pumped._for_library) <= 2 * READ_BYTES
        assert server.gateway.clients == 1


# Order.


async def test_frames_of_the_node_and_of_the_library_stay_whole_while_the_client_reads_slowly(
    serve: Serve,
) -> None:
    async with serve() as server:
        client = await server.client(buffer_bytes=4096)
        session = server.sessions[0]
        heard: list[Frame | None] = []

        async def read() -> None:
            heard.extend(await client.take(700))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for n in range(100):
                with server.cork:
                    for part in range(5):
                        session.connection.send_built(
                            b"\x81\x7e\x03\xe8" + b"%03d.%d" % (n, part) * 200
                        )
                await client.send(frame(b"%d" % n, PING), frame(b"%d" % n))
        pongs = [payload for first, payload in heard if first == PONG]
        echoes = [payload for first, payload in heard if first == TEXT and len(payload) < 4]
        told = [payload[:5] for first, payload in heard if first == TEXT and len(payload) > 4]
        assert pongs == echoes == [b"%d" % n for n in range(100)]
        assert told == [b"%03d.%d" % (n, part) for n in range(100) for part in range(5)]


async def test_frames_of_a_turn_leave_before_its_close(serve: Serve) -> None:
    async with serve() as server:
        client = await server.client()
        session = server.sessions[0]
        with server.cork:
            session.connection.send_built(b"\x81\x01a")
            session.connection.output.ping()
            session.connection.close(4003)
            session.connection.send_built(b"\x81\x01b")
        assert await client.rest() == [echo(b"a"), (PING, b""), closed(4003)]


# Fairness.


@pytest.mark.parametrize(
    ("sockets", "frames", "text"),
    [(512, 20, b'{"t":"got","seq":0}'), (48, 215, b'{"t":"leave"}')],
    ids=["many", "long"],
)
async def test_a_flood_of_many_sockets_does_not_hold_the_loop(
    serve: Serve, sockets: int, frames: int, text: bytes
) -> None:
    async with serve(kind=Noted) as server:
        clients = [await server.client() for _ in range(sockets)]
        flood = frame(text) * frames
        for client in clients:
            client.send_nowait(flood)
        with longest_step(lambda: server.noted.count) as watch:
            await _until(lambda: server.noted.count == sockets * frames)
        assert (
            watch.counted < sockets * frames / 2
        )  # 10 to 20 % in 5 ms; without a limit, nearly all


async def test_a_flood_of_odd_frames_does_not_hold_the_loop(serve: Serve) -> None:
    async with serve() as server:
        client = await server.client()
        with longest_step() as watch:
            for odd in (
                frame(b"", PONG),
                frame(b"", 0x01) + frame(b"", 0x00) * 4_000 + frame(b"", 0x80),
            ):
                await client.send(odd * (4_000 if odd[0] == PONG else 1) + frame(b"done"))
            while await client.next() != echo(b"done"):
                pass
        assert watch.seconds < 0.030


@pytest.mark.parametrize(
    "odd",
    [frame(b"", PONG) * 340, frame(b"", 0x01) + frame(b"", 0x00) * 340],
    ids=["pongs", "parts"],
)
async def test_a_flood_of_odd_frames_on_many_sockets_does_not_hold_the_loop(
    serve: Serve, odd: bytes
) -> None:
    async with serve() as server:
        clients = [await server.client() for _ in range(100)]
        for client in clients:
            client.send_nowait(odd)
        with longest_step():
            longest, before = 0.0, thread_time()
            for _ in range(400):
                await trio.lowlevel.checkpoint()
                longest, before = max(longest, thread_time() - before), thread_time()
        assert longest < 0.1, "6 ms of CPU at a time; without a limit, 400 ms"
        for client in clients:
            await client.send(frame(b"", 0x80) if odd[0] == 0x01 else frame(b"done"))
            assert (await client.next())[0] == TEXT


async def test_a_flood_from_one_client_does_not_starve_the_others(serve: Serve) -> None:
    async with serve() as server:
        loud, quiet = await server.client(), await server.client()
        server.nursery.start_soon(loud.send, frame(b"!") * 30_000)
        server.nursery.start_soon(loud.rest)
        await _until(lambda: server.heard)
        await quiet.send(frame(b"me too"))
        assert await quiet.next() == echo(b"me too")
        assert server.noted.count < 30_000


# A node that ends at once.


async def test_a_pump_that_ends_before_its_clients_is_not_their_error(serve: Serve) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serve() as server:
            client = await server.client()
            server.pump_scope.cancel()
            await turns()
            server.sessions[0].connection.close(4003)
            assert await client.rest() == [closed(4003)]
            await server.gateway.wait_empty()
    assert [log["event"] for log in logs] == ["client.closed"]


# The switch.


@pytest.mark.parametrize(("setting", "wanted"), [("off", False), ("on", True), (None, True)])
def test_the_pump_is_switched_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, wanted: bool
) -> None:
    monkeypatch.delenv("LASTCALL_PUMP", raising=False)
    if setting is not None:
        monkeypatch.setenv("LASTCALL_PUMP", setting)
    assert pump_wanted() is wanted


async def _until(condition: Callable[[], object]) -> None:
    while not condition():
        await trio.lowlevel.checkpoint()
