"""Which clients are too slow, and how much memory waits for those that are not yet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import inf

import pytest
import trio
import trio.abc
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lastcall.api.sessions.client_connection import LOST, ClientConnection, ClientCounts
from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.batch_sizes import CHUNK_BYTES
from lastcall.api.socket.client_stream import ClientStream, wait_sent
from lastcall.api.socket.closing import abort
from lastcall.api.socket.frame_builder import close_frame, text_frame
from lastcall.api.socket.send_queue import SendQueue
from lastcall.core.excess import ITEM_BYTES, REFERENCE_BYTES
from lastcall.host.backend import TURN_BYTES_MAX
from lastcall.kind import HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX
from lastcall.policy import LinkPolicy, SocketPolicy
from lastcall.wire import frames

SMALL = SocketPolicy(backlog_bytes=100_000, backlog_bytes_max=1_000_000, excess_bytes=1_500_000)
CLOSE = close_frame(4100)
READ_BYTES = 4_096
SLOWEST = CHUNK_BYTES / 9
"""Bytes a second; a stream that is not TCP shows only whole chunks."""

Burst = tuple[float, list[int]]
"""Seconds to wait, and the sizes of the frames that are then sent in one step."""


class PacedReader(trio.abc.Stream):
    """A client that reads at ``bytes_per_second``, and stops after ``deaf_after`` bytes."""

    def __init__(self, bytes_per_second: float, deaf_after: float = inf) -> None:
        self._pace = bytes_per_second
        self._deaf_after = deaf_after
        self.read = bytearray()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for at in range(0, len(data), READ_BYTES):
            piece = data[at : at + READ_BYTES]
            await trio.sleep(len(piece) / self._pace)
            if len(self.read) >= self._deaf_after:
                await trio.sleep_forever()
            self.read += piece

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Play:
    """Bursts for one client, whose reading is checked once a second; all in virtual time."""

    def __init__(self, bursts: list[Burst], reader: PacedReader) -> None:
        self.bursts = bursts
        self.reader = reader
        self.backlog = Backlog(SMALL)
        sizes = [size for _, burst in bursts for size in burst]
        self.frames = [number.to_bytes(4, "big") + bytes(size) for number, size in enumerate(sizes)]
        self.overflowed_at = inf
        self.last_sent_at = 0.0
        self.most_waiting = self.most_excess = 0
        trio.run(self._run, clock=trio.testing.MockClock(autojump_threshold=0))

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            stream = self.stream = ClientStream(self.reader, nursery, backlog=self.backlog)
            stream.overflowed = self._overflowed
            nursery.start_soon(self._check_each_second)
            rest = iter(self.frames)
            for seconds, burst in self.bursts:
                await trio.sleep(seconds)
                for _ in burst:
                    stream.send_nowait(next(rest))
                    self._measure()
            with trio.move_on_after(200):
                await wait_sent(stream)
            await abort(stream)
            nursery.cancel_scope.cancel()

    async def _check_each_second(self) -> None:
        while True:
            await trio.sleep(1)
            self.stream.check_reading(trio.current_time())

    def _measure(self) -> None:
        self.most_waiting = max(self.most_waiting, self.stream.queue.size)
        self.most_excess = max(self.most_excess, self.backlog.excess.bytes)
        self.last_sent_at = trio.current_time()

    def _overflowed(self, _why: str, _waiting_bytes: int) -> None:
        self.overflowed_at = trio.current_time()
        self.stream.send_close(4100)


BURSTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.1, 1.0, 5.0, 20.0]),
        st.one_of(
            st.lists(st.integers(1, 60_000), min_size=1, max_size=6),
            st.builds(lambda size, count: [size] * count, st.integers(1, 500), st.integers(1, 400)),
        ),
    ),
    min_size=1,
    max_size=8,
)


def within(total_max: int, bursts: list[Burst]) -> list[Burst]:
    """The first bursts, with at most ``total_max`` bytes together."""
    totals = accumulate(sum(burst) + 4 * len(burst) for _, burst in bursts)
    return [burst for burst, total in zip(bursts, totals, strict=True) if total <= total_max]


@settings(deadline=None, max_examples=60)
@given(BURSTS, st.floats(SLOWEST, 10_000_000))
def test_a_client_that_reads_gets_each_frame_of_every_burst_once_and_in_order(
    bursts: list[Burst], pace: float
) -> None:
    play = Play(within(SMALL.backlog_bytes_max, bursts), PacedReader(pace))
    assert play.overflowed_at == inf
    assert bytes(play.reader.read) == b"".join(play.frames)
    assert play.backlog.excess.bytes == 0


@settings(deadline=None, max_examples=60)
@example([(0.0, [34_693, 47_564]), (5.0, [34_693]), (5.0, [1])], 76_643, SLOWEST)
@given(BURSTS, st.integers(0, 500_000), st.sampled_from([SLOWEST, 100_000.0, 10_000_000.0]))
def test_a_client_that_stops_reading_is_closed_within_12_s_and_costs_bounded_memory(
    bursts: list[Burst], deaf_after: int, pace: float
) -> None:
    play = Play(bursts, PacedReader(pace, deaf_after))
    largest = max(map(len, play.frames))
    assert play.most_waiting <= SMALL.backlog_bytes_max
    assert play.most_excess <= SMALL.excess_bytes + ITEM_BYTES + largest
    assert play.backlog.excess.bytes == 0
    read = bytes(play.reader.read).removesuffix(CLOSE)
    assert b"".join(play.frames).startswith(read)
    if sum(map(len, play.frames)) - len(read) > SMALL.backlog_bytes + CHUNK_BYTES + largest:
        stopped_at = play.last_sent_at + deaf_after / pace
        assert play.overflowed_at <= stopped_at + SMALL.stalled_seconds + 2


def test_the_bounds_of_rooms_links_and_sockets_fit_each_other() -> None:
    socket, link = SocketPolicy(), LinkPolicy()
    overhead = len(text_frame(frames.message(1 << 32, b"0" * 200))) - 200
    assert HISTORY_BYTES_MAX + HISTORY_MESSAGES_MAX * overhead <= socket.backlog_bytes
    assert TURN_BYTES_MAX <= socket.backlog_bytes_max <= link.ring_bytes
    assert socket.backlog_bytes_max <= socket.excess_bytes
    histories_at_once = 2 * link.resumes_at_once * HISTORY_BYTES_MAX  # resumes, and reattached
    assert histories_at_once <= link.ring_bytes_max <= link.rings_excess_bytes


def test_a_frame_that_waits_for_a_thousand_clients_counts_once() -> None:
    backlog = Backlog(SocketPolicy(backlog_bytes=0))
    queues = [SendQueue(backlog) for _ in range(1_000)]
    frame = b"x" * 250_000
    for queue in queues:
        queue.add([frame, frame])
    assert backlog.excess.bytes == len(frame) + ITEM_BYTES + 1_999 * REFERENCE_BYTES
    for queue in queues:
        queue.clear()
    assert backlog.excess.bytes == 0


def test_a_client_within_its_share_is_not_too_slow_however_much_waits_for_others() -> None:
    backlog = Backlog(SocketPolicy(backlog_bytes=1_000, excess_bytes=5_000))
    glutton, other, modest = (SendQueue(backlog) for _ in range(3))
    glutton.add([bytes(4_000)])
    assert not glutton.exceeded
    other.add([bytes(1_001)])
    assert other.exceeded == "more than 5000 bytes wait for all"
    modest.add([bytes(1_000)])
    assert not modest.exceeded
    other.clear()
    assert not glutton.exceeded


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["add", "drop", "clear", "flush"])), max_size=30
)


@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_to_the_queues_only_what_still_waits_is_counted(
    steps: list[tuple[int, str]],
) -> None:
    backlog = Backlog(SocketPolicy(backlog_bytes=1_000))
    queues = [SendQueue(backlog) for _ in range(3)]
    shared = [bytes([number]) * 400 for number in range(5)]

    async def play() -> None:
        for index, step in steps:
            queue = queues[index]
            actions: dict[str, Callable[[], object]] = {
                "add": lambda queue=queue: queue.add(shared),
                "drop": queue.drop_unsent,
                "clear": queue.clear,
                "flush": lambda: None,
            }
            actions[step]()
            if step == "flush":
                await queue.flush(PacedReader(inf))
            waiting = any(queue.over_share for queue in queues)
            assert 0 <= backlog.excess.bytes <= 5 * (400 + ITEM_BYTES) + 150 * 3 * REFERENCE_BYTES
            assert backlog.excess.bytes > 0 or not waiting
        for queue in queues:
            await queue.flush(PacedReader(inf))

    trio.run(play)
    assert backlog.excess.bytes == 0


@pytest.mark.parametrize(("waiting_bytes", "lost_after_seconds"), [(0, 30), (400_000, 60)])
async def test_a_client_with_a_backlog_is_not_lost_for_a_late_pong_while_it_reads(
    autojump_clock, nursery, waiting_bytes: int, lost_after_seconds: float
) -> None:
    output = ClientStream(PacedReader(8_000), nursery, backlog=Backlog(SocketPolicy()))
    hung_up = trio.Event()
    connection = ClientConnection(output, SocketPolicy(), ClientCounts(), hung_up.set)
    begin = trio.current_time()
    for _ in range(waiting_bytes // 1_000):
        output.send_nowait(bytes(1_000))
    while not hung_up.is_set():
        await trio.sleep(1)
        connection.tick(trio.current_time())
    assert connection.close_code == LOST
    assert lost_after_seconds <= trio.current_time() - begin <= lost_after_seconds + 4
