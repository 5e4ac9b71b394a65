"""How often a node looks for silent connections."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.bus.base import Refusals
from lastcall.runtime.refused_connections import RefusedConnections


class SlowTable:
    """An end of the bus whose look at the kernel's table takes ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.looked_at: list[float] = []

    async def close_silent(self) -> None:
        self.looked_at.append(trio.current_time())
        await trio.sleep(self._seconds)

    def refusals(self) -> Refusals:
        return Refusals(0, 0, 0)


@pytest.mark.parametrize(("seconds", "pause"), [(0.0, 5), (0.04, 5), (0.5, 50)])
async def test_a_look_takes_at_most_a_hundredth_of_the_time(
    autojump_clock: MockClock, seconds: float, pause: float
) -> None:
    end = SlowTable(seconds)
    with trio.move_on_after(300):
        await RefusedConnections("--listen").watch(end)  # type: ignore[arg-type]
    first, second, *_ = end.looked_at
    assert first == 5
    assert second == pytest.approx(first + seconds + pause)
