import os
import random
import socket

import pytest
import structlog.testing
import trio
import trio.testing
from trio_websocket import ConnectionClosed, wrap_client_stream

from lastcall.api.socket.frame_builder import PING_FRAME
from lastcall.limits import Limits, Rate
from lastcall.reasons import ClientEnd, ErrorCode
from lastcall.wire import nodes


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    parts = []
    while part := await stream.receive_some():
        parts.append(part)
    return b"".join(parts)


async def upgraded(house, upgrade: bytes, *pair) -> trio.StapledStream:
    """A connection that speaks bytes, after its handshake and its hello."""
    stream = house.dial(*pair)
    await stream.send_all(upgrade)
    seen = b""
    while b"hello" not in seen:
        seen += await stream.receive_some()
    return stream


def masked(payload: bytes) -> bytes:
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


# The handshake.


async def test_the_first_frame_is_hello(autojump_clock, house) -> None:
    client = await house.socket()
    assert await client.next() == {"t": "hello", "v": 1, "node": "api-1", "version": "7"}


async def test_the_subprotocol_is_echoed_when_it_is_offered(autojump_clock, house) -> None:
    offering = await house.socket(subprotocols=["other", "lastcall.v1"])
    silent = await house.socket()
    assert offering.socket.subprotocol == "lastcall.v1"
    assert silent.socket.subprotocol is None


async def test_a_peer_that_gave_up_before_it_was_accepted_costs_no_handshake(
    autojump_clock, make_house, upgrade
) -> None:
    house = make_house(limits=Limits(handshakes=Rate(burst=1, per_second=0.1)))

    def pair(gives_up: bool) -> tuple[trio.SocketStream, ...]:
        ours, theirs = socket.socketpair()
        if gives_up:
            ours.sendall(upgrade)
            ours.shutdown(socket.SHUT_WR)
        return tuple(trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in (ours, theirs))

    for _ in range(5):
        gone = house.dial(lambda: pair(gives_up=True))
        await settle()
        await gone.aclose()
    there = house.dial(lambda: pair(gives_up=False))
    await there.send_all(upgrade)
    assert (await there.receive_some()).startswith(b"HTTP/1.1 101 ")
    await there.aclose()
    assert house.gateway.counts.ends[ClientEnd.HANDSHAKE] == 5


async def test_a_peer_that_never_finishes_its_handshake_is_closed_after_5_s(
    autojump_clock, house, bystander, upgrade
) -> None:
    stream = house.dial()
    await stream.send_all(upgrade[:-2])
    begin = trio.current_time()
    assert await read_to_end(stream) == b""
    assert trio.current_time() - begin == 5


async def test_dripping_bytes_do_not_prolong_the_handshake(autojump_clock, house, upgrade) -> None:
    stream = house.dial()

    async def drip() -> None:
        for byte in upgrade:
            await trio.sleep(1)
            await stream.send_all(bytes([byte]))

    house.nursery.start_soon(drip)
    begin = trio.current_time()
    assert await read_to_end(stream) == b""
    assert trio.current_time() - begin == 5
    await stream.send_eof()


async def test_a_peer_that_hangs_up_in_the_handshake_is_dropped_at_once(
    autojump_clock, house, upgrade
) -> None:
    stream = house.dial()
    await stream.send_all(upgrade[:20])
    await settle()
    await stream.aclose()
    begin = trio.current_time()
    await house.gateway.wait_empty()
    assert trio.current_time() == begin


class Impatient(trio.abc.Stream):
    """A client's connection that is gone as soon as its request has left."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)
        await trio.aclose_forcefully(self._stream)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.mark.parametrize("refuse", [None, "draining"])
async def test_a_client_that_is_gone_before_the_answer_is_not_an_internal_error(
    autojump_clock, schedule, house, refuse: str | None
) -> None:
    house.gateway.handshakes.refuse = refuse
    stream = Impatient(house.dial())
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wrap_client_stream, nursery, stream, "here", "/")
            await settle()
            nursery.cancel_scope.cancel()
        await house.gateway.wait_empty()
    assert [one["event"] for one in logs] == ["client.closed"]
    assert house.gateway.clients == 0


async def test_a_plain_http_request_is_answered_400_and_closed(
    autojump_clock, house, bystander
) -> None:
    stream = house.dial()
    begin = trio.current_time()
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert (await read_to_end(stream)).startswith(b"HTTP/1.1 400 ")
    assert trio.current_time() == begin


async def test_a_peer_that_does_not_speak_http_is_closed(autojump_clock, house, bystander) -> None:
    stream = house.dial()
    begin = trio.current_time()
    await stream.send_all(b"\x16\x03\x01\x00\xff not http\r\n\r\n")
    await read_to_end(stream)
    assert trio.current_time() == begin


async def test_a_gateway_that_refuses_answers_503_with_retry_after(
    autojump_clock, house, upgrade
) -> None:
    house.gateway.handshakes.refuse = "cordoned"
    stream = house.dial()
    await stream.send_all(upgrade)
    answer = await read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer.lower()
    assert answer.endswith(b"cordoned")
    assert house.gateway.counts.refused == 1


async def test_a_client_over_the_limit_gets_503(autojump_clock, make_house, upgrade) -> None:
    house = make_house(limits=Limits(sockets=1))
    await house.client()
    stream = house.dial()
    await stream.send_all(upgrade)
    assert (await read_to_end(stream)).startswith(b"HTTP/1.1 503 ")
    assert house.gateway.clients == 1


# Bad input, at the socket.


async def test_a_frame_over_64_kib_closes_1009(autojump_clock, house, bystander) -> None:
    client = await house.client()
    await client.say("x" * (64 * 1024 + 1))
    assert (await client.end())[1] == 1009


async def test_a_frame_of_64_kib_is_read(autojump_clock, house) -> None:
    client = await house.client()
    await client.say('{"t":"nonsense","pad":"' + "x" * (64 * 1024 - 25) + '"}')
    assert (await client.next())["code"] == "unknown_type"


async def test_a_frame_of_few_characters_but_over_64_kib_closes_1009(
    autojump_clock, house, bystander
) -> None:
    client = await house.client()
    await client.say("ü" * (33 * 1024))
    assert (await client.end())[1] == 1009


async def test_a_binary_frame_closes_1003(autojump_clock, house, bystander) -> None:
    client = await house.client()
    await client.say(b"{}")
    assert (await client.end())[1] == 1003


async def test_10_000_frames_in_a_burst_close_4101(autojump_clock, house, bystander) -> None:
    client = await house.client()

    async def burst() -> None:
        try:
            for _ in range(10_000):
                await client.say('{"t":"got","seq":0}')
        except ConnectionClosed:
            pass

    house.nursery.start_soon(burst)
    seen, code = await client.end()
    assert code == 4101
    assert [(frame["code"], frame["retry"]) for frame in seen] == [("too_many", True)]
    assert house.gateway.counts.frames_in < 4_200


async def test_an_unmasked_frame_closes_1002(autojump_clock, house, bystander, upgrade) -> None:
    stream = await upgraded(house, upgrade)
    await stream.send_all(b"\x81\x02{}")
    assert b"\x03\xea" in (await read_to_end(stream))[-125:]
    await settle()
    assert house.gateway.counts.closed[1002] == 1


async def test_text_that_is_not_utf8_closes_1007(autojump_clock, house, bystander, upgrade) -> None:
    stream = await upgraded(house, upgrade)
    await stream.send_all(b"\x81\x82\x00\x00\x00\x00\xff\xff")
    assert b"\x03\xef" in (await read_to_end(stream))[-125:]


async def test_a_client_that_never_reads_is_closed_4100_10_s_after_its_share_is_used_up(
    autojump_clock, make_house, upgrade
) -> None:
    house = make_house(backlog_bytes=10_000)
    house.nursery.start_soon(house.gateway.sweep)
    slow_reader = await upgraded(house, upgrade, trio.testing.lockstep_stream_pair)
    await slow_reader.send_all(masked(b'{"t":"join","kind":"den"}'))
    other = await house.client("den")
    for seq in range(1, 30):
        house.room_says("den", seq, "x" * 1_000)
        assert (await other.next())["seq"] == seq
    await trio.sleep(10)
    assert house.gateway.counts.closed == {}
    await trio.sleep(1.5)  # the clients are looked after once a second
    assert house.gateway.counts.closed == {4100: 1}
    assert house.link.of(nodes.Absent) == [nodes.Absent("game-1.den", "p1", 1)]
    await trio.sleep(5)
    with pytest.raises(trio.BrokenResourceError):
        await slow_reader.send_all(b"x")
    house.room_says("den", 30, "still here")
    assert (await other.until("msg"))["seq"] == 30


@pytest.mark.parametrize(("again_after_seconds", "reason"), [(15.9, True), (16.1, False)])
async def test_a_slow_reader_that_reads_again_within_5_s_gets_the_close_reason(
    autojump_clock, make_house, upgrade, again_after_seconds: float, reason: bool
) -> None:
    house = make_house(backlog_bytes=10_000)
    house.nursery.start_soon(house.gateway.sweep)
    stream = await upgraded(house, upgrade, trio.testing.lockstep_stream_pair)
    for _ in range(20):
        await house.gateway.moves.notify("x" * 1_000, 1)
    await trio.sleep(again_after_seconds)
    end = await read_to_end(stream)
    close = b"\x88\x13" + (4100).to_bytes(2, "big") + b"too slow a reader"
    assert end.endswith(close) is reason


async def test_each_slow_reader_is_logged_and_counted(autojump_clock, make_house, upgrade) -> None:
    house = make_house(backlog_bytes=10_000, backlog_bytes_max=12_000)
    await upgraded(house, upgrade, trio.testing.lockstep_stream_pair)
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            await house.gateway.moves.notify("x" * 1_000, 1)
    (event,) = [event for event in logs if event["event"] == "client.too_slow"]
    assert (event["code"], event["log_level"]) == (4100, "info")
    assert 12_000 < event["waiting_bytes"] < 13_100
    await settle()
    assert house.gateway.counts.closed == {4100: 1}


# Silence.


async def test_a_client_gets_a_beat_after_10_s_without_a_frame(autojump_clock, house) -> None:
    house.nursery.start_soon(house.gateway.sweep)
    client = await house.client()
    begin = trio.current_time()
    assert await client.next() == {"t": "beat"}
    assert 10 <= trio.current_time() - begin <= 11
    assert await client.next() == {"t": "beat"}
    assert 20 <= trio.current_time() - begin <= 22


async def test_a_frame_postpones_the_beat(autojump_clock, house) -> None:
    house.nursery.start_soon(house.gateway.sweep)
    client = await house.client("den")
    await trio.sleep(8)
    house.room_says("den", 1, "hm")
    begin = trio.current_time()
    assert (await client.next())["t"] == "msg"
    assert (await client.next())["t"] == "beat"
    assert 10 <= trio.current_time() - begin <= 11


async def test_a_client_that_answers_pings_stays(autojump_clock, house) -> None:
    house.nursery.start_soon(house.gateway.sweep)
    client = await house.client()
    house.nursery.start_soon(client.end)
    await trio.sleep(300)
    assert house.gateway.clients == 1


async def test_a_silent_peer_is_pinged_after_20_s_and_absent_10_s_later(
    autojump_clock, house, upgrade
) -> None:
    house.nursery.start_soon(house.gateway.sweep)
    silent = await upgraded(house, upgrade)
    begin = trio.current_time()
    end = await read_to_end(silent)
    assert end.count(PING_FRAME) == 1
    assert 30 <= trio.current_time() - begin <= 32
    assert b"\x88" not in end[-20:]
    assert house.gateway.counts.closed == {1006: 1}


async def test_any_byte_shows_that_the_peer_lives(autojump_clock, house, upgrade) -> None:
    house.nursery.start_soon(house.gateway.sweep)
    stream = await upgraded(house, upgrade)
    for byte in b"\x81\xfe":  # a frame that never comes to its end
        await trio.sleep(15)
        await stream.send_all(bytes([byte]))
    await trio.sleep(19)
    assert PING_FRAME not in await stream.receive_some()
    await trio.sleep(3)
    assert PING_FRAME in await stream.receive_some()


# The end of a conversation.


async def test_a_clients_close_is_answered_and_its_room_is_told_of_the_absence(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    await client.socket.aclose(1000)
    await house.gateway.wait_empty()
    assert house.link.sent == [nodes.Absent("game-1.den", "p1", 1)]
    assert house.gateway.counts.closed == {1000: 1}


async def test_a_lost_socket_is_an_absence(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.socket._stream.aclose()
    await house.gateway.wait_empty()
    assert house.link.of(nodes.Absent)
    assert house.gateway.counts.closed == {1006: 1}


async def test_a_leave_that_is_followed_by_the_end_at_once_still_counts(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    await client.say({"t": "leave"})
    await client.socket._stream.aclose()
    await house.gateway.wait_empty()
    assert house.link.sent == [nodes.Leave("game-1.den", "p1", 1, "5ec7e7")]


async def test_after_the_nodes_close_input_is_discarded_for_half_a_second_at_most(
    autojump_clock, house, bystander, upgrade
) -> None:
    stream = await upgraded(house, upgrade)
    begin = trio.current_time()
    house.sessions[-1].connection.close(4001)
    await read_to_end(stream)  # the half-close
    assert trio.current_time() == begin
    await stream.send_all(b"\x89\x80\x00\x00\x00\x00" * 100)  # pings after the close
    await trio.sleep(0.49)
    await stream.send_all(b"x")
    await trio.sleep(0.02)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")


async def test_an_internal_error_ends_one_client_and_no_other(
    autojump_clock, house, bystander
) -> None:
    client = await house.client()

    def broken(session: object, request: object) -> None:
        raise RuntimeError("a bug")

    house.games.join, before = broken, house.games.join
    await client.say({"t": "join", "kind": "den"})
    assert (await client.end())[1] == 1006
    house.games.join = before


async def test_cancelling_the_connections_cuts_them(autojump_clock, house) -> None:
    house.gateway.close_doors()
    house.gateway.handshakes.refuse = None
    async with trio.open_nursery() as work:
        house.nursery = work
        await house.client("den")
        work.cancel_scope.cancel()
    assert house.gateway.clients == 0
    assert house.gateway.clients_cut == 1
    assert house.link.of(nodes.Absent)
    await house.gateway.wait_empty()


async def test_after_its_end_nothing_is_written_to_a_clients_socket(
    autojump_clock, house, upgrade
) -> None:
    """The kernel gives its number to the next connection: a late frame would land there."""
    mine, theirs = socket.socketpair()
    stream, served = (trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in (mine, theirs))
    async with trio.open_nursery() as work:
        work.start_soon(house.gateway.serve_stream, served)
        await stream.send_all(upgrade)
        while not house.sessions:
            await trio.lowlevel.checkpoint()
        session = house.sessions[0]
        number = served.socket.fileno()
        reader, writer = os.pipe2(os.O_NONBLOCK)
        work.cancel_scope.cancel()
    os.dup2(writer, number)
    try:
        session.connection.close(4001)
        session.connection.output.send_nowait(b"late")
        with pytest.raises(BlockingIOError):
            os.read(reader, 100)
    finally:
        for end in (reader, writer, number):
            os.close(end)
    await stream.aclose()


# Doors and drain.


async def test_a_half_open_handshake_gets_503_when_the_doors_close(
    autojump_clock, house, upgrade
) -> None:
    stream = house.dial()
    await stream.send_all(upgrade[:-2])
    await settle()
    house.gateway.close_doors()
    await trio.sleep(0.9)
    await stream.send_all(upgrade[-2:])
    assert (await read_to_end(stream)).startswith(b"HTTP/1.1 503 ")


async def test_a_half_open_handshake_has_one_second_to_end(autojump_clock, house, upgrade) -> None:
    stream = house.dial()
    await stream.send_all(upgrade[:-2])
    await settle()
    house.gateway.close_doors()
    begin = trio.current_time()
    assert await read_to_end(stream) == b""
    assert trio.current_time() - begin == 1


async def test_notify_sends_every_client_the_seconds(autojump_clock, house) -> None:
    clients = [await house.client(), await house.client("den")]
    await house.gateway.moves.notify("api", 22)
    for client in clients:
        assert await client.next() == {"t": "draining", "tier": "api", "seconds": 22.0}


async def test_idle_clients_are_moved_one_by_one_within_the_spread(autojump_clock, house) -> None:
    clients = [await house.client() for _ in range(5)]
    house.gateway.close_doors()
    begin = trio.current_time()
    ends: list[tuple[float, float, int]] = []

    async def watch(client) -> None:
        seen, code = await client.end()
        ends.append((seen[-1]["after"], trio.current_time() - begin, code))

    for client in clients:
        house.nursery.start_soon(watch, client)
    await house.gateway.moves.move_idle(5, random.Random(1))
    await house.gateway.wait_empty()
    ends.sort()
    for slot, (after, seconds, code) in enumerate(ends):
        assert code == 1012
        assert seconds == pytest.approx(after, abs=0.001)
        assert slot <= seconds <= slot + 1
    assert len(ends) == 5
    assert house.gateway.clients_moved == 5
    assert house.gateway.clients_cut == 0


async def test_a_client_in_a_room_is_moved_as_soon_as_its_room_ends(autojump_clock, house) -> None:
    client = await house.client("den")
    house.gateway.close_doors()
    await house.gateway.moves.move_idle(5, random.Random(1))
    begin = trio.current_time()
    await trio.sleep(29)
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished", b'"won"'))
    seen, code = await client.end()
    await house.gateway.wait_empty()
    assert [frame["t"] for frame in seen] == ["ended", "move"]
    assert seen[1]["after"] == 0
    assert code == 1012
    assert trio.current_time() - begin == 29
    assert house.gateway.clients_moved == 1


async def test_a_join_while_waiting_for_the_turn_is_answered_with_a_move_at_once(
    autojump_clock, house
) -> None:
    client = await house.client()
    house.gateway.close_doors()
    house.nursery.start_soon(house.gateway.moves.move_idle, 1_000, random.Random(1))
    assert (await client.next())["after"] > 1
    begin = trio.current_time()
    await client.say({"t": "join", "kind": "den"})
    seen, code = await client.end()
    assert seen == [{"t": "move", "after": 0.0}]
    assert code == 1012
    assert trio.current_time() == begin
    assert house.relays.rooms == 0


async def test_a_join_under_way_may_still_be_seated_and_plays_to_the_end(
    autojump_clock, house
) -> None:
    house.games.hold = True
    client = await house.client()
    await client.say({"t": "join", "kind": "den"})
    await settle()
    house.gateway.close_doors()
    await house.gateway.moves.move_idle(5, random.Random(1))
    house.games.seat(*house.games.kept[0])
    assert (await client.next())["t"] == "joined"
    await trio.sleep(60)
    assert house.gateway.clients == 1


async def test_a_join_under_way_that_is_refused_is_moved(autojump_clock, house) -> None:
    house.games.hold = True
    client = await house.client()
    await client.say({"t": "join", "kind": "den"})
    await settle()
    await house.gateway.moves.move_idle(5, random.Random(1))
    house.games.kept[0][0].refused("full", "the room is full")
    seen, code = await client.end()
    assert [frame["t"] for frame in seen] == ["error", "move"]
    assert code == 1012


async def test_a_client_that_connects_as_the_drain_begins_is_moved_at_once(
    autojump_clock, house
) -> None:
    await house.gateway.moves.move_idle(5, random.Random(1))
    client = await house.socket()
    seen, code = await client.end()
    assert [frame["t"] for frame in seen] == ["hello", "move"]
    assert code == 1012


async def test_at_the_deadline_all_are_moved_in_rooms_or_not(autojump_clock, house) -> None:
    for kind in ("", "den", "den"):
        await house.client(kind)
    house.gateway.close_doors()
    begin = trio.current_time()
    await house.gateway.moves.move_all(3)
    await house.gateway.wait_empty()
    assert trio.current_time() - begin == 2
    gateway = house.gateway
    assert (gateway.clients_moved, gateway.clients_finished, gateway.clients_cut) == (3, 0, 0)
    assert gateway.counts.closed == {1012: 3}


async def test_a_client_that_goes_by_itself_after_its_room_has_finished(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    house.gateway.close_doors()
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    await client.until("ended")
    await client.socket.aclose()
    await house.gateway.wait_empty()
    assert house.gateway.clients_finished == 1


async def test_a_client_that_loses_its_socket_by_itself_during_the_drain_is_not_cut(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    house.gateway.close_doors()
    await client.socket._stream.aclose()
    await house.gateway.wait_empty()
    assert (house.gateway.clients_finished, house.gateway.clients_cut) == (1, 0)


async def test_a_resume_that_comes_while_the_node_leaves_is_moved_at_once(
    autojump_clock, house
) -> None:
    client = await house.client()
    house.gateway.close_doors()
    house.nursery.start_soon(house.gateway.moves.move_idle, 5, random.Random(1))
    await settle()
    begin = trio.current_time()
    await client.resume()
    seen, code = await client.end()
    assert seen[-1] == {"t": "move", "after": 0}
    assert code == 1012
    assert trio.current_time() == begin
    assert house.games.resumes == []


async def test_a_resume_under_way_as_the_node_leaves_is_seated_and_plays_to_the_end(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume()
    house.gateway.close_doors()
    await house.gateway.moves.move_idle(5, random.Random(1))
    house.games.answer()
    assert (await client.next())["t"] == "resumed"
    await trio.sleep(60)
    assert house.gateway.clients == 1
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    seen, code = await client.end()
    assert [frame["t"] for frame in seen[-2:]] == ["ended", "move"]
    assert code == 1012


async def test_a_resume_under_way_at_the_deadline_is_moved(autojump_clock, house) -> None:
    client = await house.client()
    await client.resume()
    house.gateway.close_doors()
    await house.gateway.moves.move_all(1)
    assert await client.end() == ([{"t": "move", "after": 0}], 1012)
    await house.gateway.wait_empty()
    assert len(house.games.forgotten) == 1
    assert house.gateway.clients_moved == 1


async def test_a_bad_resume_while_the_node_leaves_gets_an_error_and_is_moved(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume()
    await house.gateway.moves.move_idle(5, random.Random(1))
    house.games.resumes[0][0].refused(ErrorCode.BAD_FRAME, "seen is ahead of the room")
    seen, code = await client.end()
    assert [frame["t"] for frame in seen] == ["error", "move"]
    assert code == 1012


async def test_some_are_moved_over_a_moment_and_the_others_stay(autojump_clock, house) -> None:
    some = [await house.client("den") for _ in range(4)]
    moved = house.sessions
    other = await house.client("bar")
    begin = trio.current_time()
    at: list[float] = []

    async def watch(client) -> None:
        seen, code = await client.end()
        assert (seen[-1]["t"], code) == ("move", 1012)
        at.append(trio.current_time() - begin)

    async with trio.open_nursery() as nursery:
        for client in some:
            nursery.start_soon(watch, client)
        await house.gateway.moves.move_some(moved, 2, random.Random(1))
    for slot, seconds in enumerate(sorted(at)):
        assert slot / 2 <= seconds <= (slot + 1) / 2
    assert len(moved) == 4
    await other.say({"t": "got", "seq": 0})
    await settle()
    assert house.gateway.clients == 1
    assert house.gateway.clients_moved == 0  # it is not a drain
    assert (await (await house.client()).join())["t"] == "joined"


async def test_a_session_knows_the_address_of_its_peer(autojump_clock, house, upgrade) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        served = await listeners[0].accept()
        nursery.start_soon(house.gateway.serve_stream, served)
        await stream.send_all(upgrade)
        while not house.sessions:
            await trio.lowlevel.checkpoint()
        assert house.sessions[0].guest.address == "127.0.0.1"
        await stream.aclose()
        await listeners[0].aclose()
    await house.client()
    assert house.sessions[0].guest.address == ""


async def test_why_lists_the_remaining_clients_and_for_how_long_they_have_stayed(
    autojump_clock, house
) -> None:
    await house.client("den")
    await trio.sleep(12)
    await house.client("den")
    await house.client()
    house.dial()
    await settle()
    assert house.gateway.why() == [
        "2 clients in rooms, the oldest for 12 s",
        "1 client outside rooms, the oldest for 0 s",
        "1 connection half-open or closing",
    ]


async def test_closing_the_accept_loop_leaves_its_clients_alone(
    autojump_clock, make_house, nursery
) -> None:
    house = make_house()
    ours: list[trio.abc.Stream] = []

    class Listener(trio.abc.Listener[trio.StapledStream]):
        async def accept(self) -> trio.StapledStream:
            await trio.sleep(1)
            mine, theirs = trio.testing.memory_stream_pair()
            ours.append(mine)
            return theirs

        async def aclose(self) -> None:
            pass

    with trio.move_on_after(2.5):
        await house.gateway.serve([Listener()], handler_nursery=nursery)
    await settle()
    assert len(ours) == 2
    assert house.gateway._connections == 2


async def test_each_of_100_clients_moved_at_once_is_told_before_its_socket_closes(
    autojump_clock, house
) -> None:
    clients = [await house.client("den") for _ in range(100)]
    house.gateway.close_doors()
    await house.gateway.moves.move_all(0)
    for client in clients:
        assert (await client.until("move"))["after"] == 0
        with pytest.raises(ConnectionClosed) as closed:
            await client.next()
        assert closed.value.reason.code == 1012
