"""A client port while strangers have used up the node's descriptors."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.abc
from structlog.testing import capture_logs
from trio.testing import MockClock, memory_stream_pair

from lastcall.api.gateway.door import Door


class FullListener(trio.abc.Listener[trio.abc.Stream]):
    """Fails to accept ``times`` times, and then has a connection."""

    def __init__(self, times: int, number: int = errno.EMFILE) -> None:
        self._times = times
        self._number = number

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self._times:
            self._times -= 1
            raise OSError(self._number, "no")
        return memory_stream_pair()[0]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_door_tries_again_every_100_ms_and_warns_5_times_and_then_3_times_a_minute(
    autojump_clock: MockClock,
) -> None:
    began = trio.current_time()
    with capture_logs() as logs:
        await Door(FullListener(601)).accept()
    assert trio.current_time() - began == pytest.approx(60.1)
    assert [line["event"] for line in logs] == ["clients.not_accepted"] * (5 + 3)
    left_out = [line.get("left_out") for line in logs]
    assert left_out[:5] == [None] * 5
    assert left_out[5:] == [pytest.approx(198, abs=3)] * 3, (
        "one line in 20 s, ten failures a second"
    )
    assert {line["log_level"] for line in logs} == {"warning"}


async def test_a_door_can_be_shut_while_there_is_no_descriptor(autojump_clock: MockClock) -> None:
    listener = FullListener(5)
    door = Door(listener)
    with trio.move_on_after(10) as waiting:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.accept)
            await trio.sleep(0.25)
            door.shut()
    assert waiting.cancelled_caught
    began = trio.current_time()
    door.open()
    await door.accept()
    assert trio.current_time() - began == pytest.approx(0.2), "two of five failures are left"


async def test_another_error_of_accept_is_raised(autojump_clock: MockClock) -> None:
    with pytest.raises(OSError, match="no"):
        await Door(FullListener(1, errno.EINVAL)).accept()
