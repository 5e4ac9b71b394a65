"""Under load the pump waits a little, so that it reads many clients at once; else it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall.api.socket.cork import Cork
from lastcall.api.socket.pump import Pump, PumpedClient, pump_wanted
from lastcall.bench.load.frame_builder import TEXT, masked

pytestmark = pytest.mark.skipif(not pump_wanted(), reason="no epoll here")

CLIENTS = 40
SAID = masked(TEXT, b"moin")


class Hearing:
    """Notes when each text was heard, and whether the turn had waited."""

    def __init__(self, cork: Cork) -> None:
        self._cork = cork
        self.heard: list[tuple[float, bool]] = []

    def hear(self, message: str, now: float, /) -> bool:
        assert message == "moin"
        self.heard.append((now, self._cork.waited))
        return True


class Crowd:
    """Clients of one pump, and what it hears of them."""

    def __init__(self, nursery: trio.Nursery, stack: ExitStack) -> None:
        cork = Cork()
        self.pump, self.hearing = Pump(cork), Hearing(cork)
        self.sockets: list[socket.socket] = []
        for _ in range(CLIENTS):
            ours, theirs = socket.socketpair()
            for end in (ours, theirs):
                end.setblocking(False)
                stack.enter_context(end)
            client = PumpedClient(ours.fileno(), self.pump, frame_bytes=100)
            client.start_reading(self.hearing, lambda: None)
            self.sockets.append(theirs)
        nursery.start_soon(self.pump.run)

    async def say(self, clock: MockClock, *, each_ms: int, milliseconds: int) -> list[float]:
        """Other clients say something in each millisecond; returns how long each had to wait."""
        self.hearing.heard.clear()
        said: list[float] = []
        for turn in range(milliseconds):
            for number in range(each_ms):
                self.sockets[(turn * each_ms + number) % CLIENTS].send(SAID)
                said.append(trio.current_time())
            await wait_all_tasks_blocked()
            clock.jump(0.001)
        for _ in range(10):
            await wait_all_tasks_blocked()
            clock.jump(0.001)
        assert len(self.hearing.heard) == len(said)
        return [at - then for (at, _), then in zip(self.hearing.heard, said, strict=True)]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def test_at_2_000_frames_a_second_a_turn_reads_12_and_no_frame_waits_for_more_than_7_ms(
    mock_clock: MockClock, nursery: trio.Nursery, stack: ExitStack
) -> None:
    crowd = Crowd(nursery, stack)
    await crowd.say(mock_clock, each_ms=2, milliseconds=200)
    before = crowd.pump.turns
    waits = await crowd.say(mock_clock, each_ms=2, milliseconds=600)
    assert crowd.pump.turns - before == pytest.approx(100, abs=3)
    assert max(waits) < 0.007, "6 ms, and the clock's step"
    assert all(waited for _, waited in crowd.hearing.heard), "requests need not wait again"


async def test_at_200_frames_a_second_none_waits(
    mock_clock: MockClock, nursery: trio.Nursery, stack: ExitStack
) -> None:
    crowd = Crowd(nursery, stack)
    for _ in range(100):
        assert await crowd.say(mock_clock, each_ms=1, milliseconds=1) == [0]
    assert crowd.pump.turns == 100
    assert not any(waited for _, waited in crowd.hearing.heard)


async def test_when_the_load_ends_the_next_frame_is_read_at_once(
    mock_clock: MockClock, nursery: trio.Nursery, stack: ExitStack
) -> None:
    crowd = Crowd(nursery, stack)
    await crowd.say(mock_clock, each_ms=2, milliseconds=300)
    assert [await crowd.say(mock_clock, each_ms=1, milliseconds=1) for _ in range(3)] == [[0]] * 3
