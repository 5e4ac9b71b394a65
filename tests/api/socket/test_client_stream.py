import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import trio
import trio.testing

from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import CLIENTS_PER_STEP
from lastcall.api.socket.client_stream import ClientStream, send_to_all
from lastcall.api.socket.closing import abort, close_gracefully
from lastcall.api.socket.cork import Cork
from lastcall.api.socket.frame_builder import close_frame, ends_in_close, text_frame
from lastcall.api.socket.library_stream import LibraryStream
from lastcall.policy import SocketPolicy

LIMIT = 1_000_000


def backlog(bytes_max: int) -> Backlog:
    """A client may have ``bytes_max`` waiting, and no more."""
    return Backlog(SocketPolicy(backlog_bytes=bytes_max, backlog_bytes_max=bytes_max))


def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends with small kernel buffers; ours are the second."""
    pair = socket.socketpair()
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer, ours = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in pair)
    return peer, ours


@pytest.fixture
async def make_pair(nursery) -> AsyncIterator[Callable]:
    """Makes the peer's end and ours, and closes both in the end."""
    ends: list[trio.abc.Stream] = []

    def make(pair: Callable) -> tuple:
        ends.extend(pair())
        return tuple(ends[-2:])

    yield make
    for end in ends:
        await trio.aclose_forcefully(end)


MEMORY, LOCKSTEP = trio.testing.memory_stream_pair, trio.testing.lockstep_stream_pair
PAIRS = [sockets, MEMORY, LOCKSTEP]


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    seen = b""
    while len(seen) < size:
        part = await stream.receive_some(min(1_000, size - len(seen)))
        assert part
        seen += part
    return seen


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    seen = b""
    while part := await stream.receive_some():
        seen += part
    return seen


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_text_frame_has_the_shortest_length_that_holds_it(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size


def test_a_close_frame_fits_a_control_frame_and_cuts_between_characters() -> None:
    frame = close_frame(4100, "ü" * 100)
    assert frame[:4] == b"\x88\x7c\x10\x04"
    assert frame[4:].decode() == "ü" * 61


@pytest.mark.parametrize(
    ("tail", "ends"),
    [
        (b"\x88\x80abcd", True),
        (b"\x88\x82abcdef", True),
        (b"text before\x88\x82abcdef", True),
        (b"\x88\x82abcde", False),
        (b"\x88\x80abcd and more", False),
        (b"\x89\x80abcd", False),
        (b"", False),
    ],
)
def test_a_clients_close_frame_is_seen_at_the_end_only(tail: bytes, ends: bool) -> None:
    assert ends_in_close(tail) is ends


async def test_on_a_socket_a_frame_is_written_before_the_call_returns(make_pair, nursery) -> None:
    peer, ours = make_pair(sockets)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    stream.send_nowait(b"at once")
    assert peer.socket._sock.recv(100) == b"at once"
    assert not nursery.child_tasks


async def test_frames_of_a_step_leave_at_its_end_and_earlier_if_it_is_long(nursery) -> None:
    near, far = socket.socketpair()
    with far:
        ours = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        cork = Cork()
        stream = ClientStream(ours, nursery, backlog=backlog(LIMIT), cork=cork)
        far.setblocking(False)
        long = b"x" * 4_096
        with cork:
            stream.send_nowait(b"a")
            stream.send_nowait(b"b")
            stream.send_nowait(long)
            assert far.recv(LIMIT) == b"ab" + long
            stream.send_nowait(b"c")
            stream.send_nowait(b"d")
        assert far.recv(LIMIT) == b"cd"
        await abort(stream)


@pytest.mark.parametrize(
    "sizes",
    [(20, 100), (100, 20, 100), (20,) * 9, (100,) * 9, (20, 600), (600, 20, 20), (20, 20, 600, 20)],
)
@pytest.mark.parametrize("first_to_all", [0, 1])
async def test_frames_of_a_step_leave_in_their_order_whatever_their_sizes(
    sizes, first_to_all, nursery
) -> None:
    cork = Cork()
    ends = [socket.socketpair() for _ in range(3)]
    ours = [trio.SocketStream(trio.socket.from_stdlib_socket(near)) for near, _ in ends]
    streams = [ClientStream(one, nursery, backlog=backlog(LIMIT), cork=cork) for one in ours]
    frames = [bytes([number]) * size for number, size in enumerate(sizes)]
    with cork:
        for number, frame in enumerate(frames):
            if number % 2 == first_to_all:
                send_to_all(streams, frame)
            else:
                for stream in streams:
                    stream.send_nowait(frame)
    assert not nursery.child_tasks  # nothing was left for a flusher
    for stream, (_, far) in zip(streams, ends, strict=True):
        with far:
            assert far.recv(LIMIT) == b"".join(frames)
        await abort(stream)


async def test_a_client_is_pending_once_however_often_its_frames_leave_before_the_end(
    nursery,
) -> None:
    near, far = socket.socketpair()
    with far:
        ours = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        cork, heard = Cork(), b""
        far.setblocking(False)
        stream = ClientStream(ours, nursery, backlog=backlog(LIMIT), cork=cork)
        with cork:
            for _ in range(2 * CLIENTS_PER_STEP):
                stream.send_nowait(b"x" * 600)
                send_to_all([stream], b"y")
                with suppress(BlockingIOError):
                    heard += far.recv(LIMIT)
            assert cork.pending == [stream]
            assert not cork.full, "of many clients"
        heard += far.recv(LIMIT)
        assert heard == (b"x" * 600 + b"y") * 2 * CLIENTS_PER_STEP
        await abort(stream)


async def test_frames_of_a_step_to_a_slow_reader_are_bounded_by_bytes(make_pair, nursery) -> None:
    _, ours = make_pair(sockets)
    cork, told = Cork(), []
    stream = ClientStream(ours, nursery, backlog=backlog(100_000), cork=cork)
    stream.overflowed = lambda *_: told.append(stream.queue.size)
    with cork:
        for _ in range(1_000):
            stream.send_nowait(b"y" * 600)
    assert len(told) == 1
    assert stream.queue.size <= 100_000
    await abort(stream)


@pytest.mark.parametrize("pair", PAIRS)
async def test_frames_of_two_writers_arrive_whole_and_in_order(pair, make_pair, nursery) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(100 * LIMIT))
    rng = random.Random(5)
    sent: list[bytes] = []

    async def library() -> None:
        for number in range(50):
            frame = b"L%04d" % number * rng.randrange(1, 400)
            sent.append(frame)
            await LibraryStream(stream).send_all(frame)

    async def room() -> None:
        for number in range(200):
            frame = b"R%04d" % number * rng.randrange(1, 400)
            sent.append(frame)
            stream.send_nowait(frame)
            if number % 3 == 0:
                await trio.lowlevel.checkpoint()

    nursery.start_soon(library)
    nursery.start_soon(room)
    seen = b""
    while len(sent) < 250 or len(seen) < sum(map(len, sent)):
        seen += await peer.receive_some(1_000)
    assert seen == b"".join(sent)
    await trio.testing.wait_all_tasks_blocked()
    assert stream.queue.size == 0
    assert not nursery.child_tasks


@pytest.mark.parametrize("pair", [sockets, LOCKSTEP])
async def test_cancelling_the_library_leaves_its_bytes_whole(pair, make_pair, nursery) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    with trio.CancelScope() as impatient:
        nursery.start_soon(LibraryStream(stream).send_all, b"a" * 50_000)
        await trio.testing.wait_all_tasks_blocked()
        impatient.cancel()
        await LibraryStream(stream).send_all(b"b" * 50_000)
    assert impatient.cancelled_caught
    stream.send_nowait(b"c")
    assert await read_exactly(peer, 100_001) == b"a" * 50_000 + b"b" * 50_000 + b"c"


@pytest.mark.parametrize("pair", [sockets, LOCKSTEP])
async def test_the_librarys_send_waits_until_its_bytes_have_left(pair, make_pair, nursery) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    done = trio.Event()

    async def send() -> None:
        await LibraryStream(stream).send_all(b"x" * 100_000)
        done.set()

    nursery.start_soon(send)
    await trio.testing.wait_all_tasks_blocked()
    assert not done.is_set()
    await read_exactly(peer, 100_000)
    await done.wait()


@pytest.mark.parametrize("pair", [sockets, LOCKSTEP])
async def test_over_the_backlog_whole_frames_are_dropped_and_a_close_follows(
    pair, make_pair, nursery
) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(100_000))
    calls = []

    def overflowed(_why: str, _waiting_bytes: int) -> None:
        calls.append(stream.queue.size)
        stream.send_close(4100)

    stream.overflowed = overflowed
    frame = text_frame(b"y" * 9_996)
    stream.send_nowait(frame)
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(200):
        stream.send_nowait(frame)
    assert len(calls) == 1
    assert calls[0] <= 64 * 1024 + 10_000
    nursery.start_soon(close_gracefully, stream, SocketPolicy(close_seconds=5))
    seen = await read_to_end(peer)
    assert seen.endswith(close_frame(4100))
    whole, torn = divmod(len(seen) - 4, len(frame))
    assert torn == 0
    assert seen[:-4] == frame * whole


async def test_the_backlog_may_be_full_to_the_byte(nursery) -> None:
    _, ours = trio.testing.lockstep_stream_pair()
    stream = ClientStream(ours, nursery, backlog=backlog(100))
    calls = []
    stream.overflowed = lambda _, waiting_bytes: calls.append(waiting_bytes)
    stream.send_nowait(b"x" * 100)
    assert not calls
    stream.send_nowait(b"x")
    stream.send_nowait(b"x")
    assert calls == [101]


@pytest.mark.parametrize("pair", PAIRS)
async def test_nothing_follows_a_close_frame(pair, make_pair, nursery) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    stream.send_close(1012)
    stream.send_close(4100)
    stream.send_nowait(b"late")
    stream.ping()
    nursery.start_soon(LibraryStream(stream).send_all, b"\x8a\x00")
    nursery.start_soon(close_gracefully, stream, SocketPolicy(close_seconds=5))
    assert await read_to_end(peer) == close_frame(1012)


@pytest.mark.parametrize("pair", PAIRS)
async def test_after_the_librarys_close_frame_ours_is_not_sent(pair, make_pair, nursery) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    nursery.start_soon(LibraryStream(stream).send_all, close_frame(1009))
    await trio.testing.wait_all_tasks_blocked()
    stream.send_close(4100)
    nursery.start_soon(close_gracefully, stream, SocketPolicy(close_seconds=5))
    assert await read_to_end(peer) == close_frame(1009)


async def test_the_librarys_close_does_not_drop_queued_frames(nursery) -> None:
    peer, ours = trio.testing.lockstep_stream_pair()
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    stream.send_nowait(b"still to come")
    library = LibraryStream(stream)
    await library.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await library.receive_some(10)
    with pytest.raises(trio.ClosedResourceError):
        await library.send_all(b"no more")
    assert await peer.receive_some() == b"still to come"


@pytest.mark.parametrize("pair", [sockets, MEMORY])
async def test_a_broken_peer_is_reported_to_the_library_only(pair, make_pair, nursery) -> None:
    peer, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    await peer.aclose()
    stream.send_nowait(b"into the void")
    await trio.testing.wait_all_tasks_blocked()
    stream.send_nowait(b"into the void")
    with pytest.raises(trio.BrokenResourceError):
        await LibraryStream(stream).send_all(b"library")


@pytest.mark.parametrize("pair", [sockets, MEMORY])
async def test_after_the_end_a_frame_is_dropped(pair, make_pair, nursery) -> None:
    _, ours = make_pair(pair)
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    await abort(stream)
    stream.send_nowait(b"late")
    stream.send_close(1012)
    assert stream.queue.size == 0


async def test_it_notes_the_times_of_the_last_read_and_the_last_write(
    nursery, autojump_clock
) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    begin = trio.current_time()
    await trio.sleep(3)
    await peer.send_all(b"x")
    await LibraryStream(stream).receive_some()
    await trio.sleep(4)
    stream.ping()
    assert (stream.heard_at - begin, stream.sent_at - begin) == (3, 0)
    stream.send_nowait(b"y")
    assert (stream.heard_at - begin, stream.sent_at - begin) == (3, 7)


async def test_a_graceful_close_waits_no_longer_than_allowed(nursery, autojump_clock) -> None:
    _, ours = trio.testing.lockstep_stream_pair()
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    stream.send_close(4100)
    begin = trio.current_time()
    await close_gracefully(stream, SocketPolicy(close_seconds=0.5))
    assert trio.current_time() - begin == 0.5


async def test_a_graceful_close_ends_with_the_peers_own_close(nursery, autojump_clock) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    stream = ClientStream(ours, nursery, backlog=backlog(LIMIT))
    stream.send_close(1012)
    begin = trio.current_time()
    await peer.send_all(b"\x81\x82\x00\x00\x00\x00{}\x88\x82")
    nursery.start_soon(peer.send_all, b"\x00\x00\x00\x00\x03\xf4")
    await close_gracefully(stream, SocketPolicy(close_seconds=0.5))
    assert trio.current_time() == begin
