"""Tasks with the same interval, or a multiple of it, wake in the same turn. Virtual time."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock

from lastcall.runtime.ticks import next_tick


@pytest.mark.parametrize("seed", range(20))
async def test_tasks_that_begin_at_any_time_wake_at_multiples_of_their_interval(
    autojump_clock: MockClock, seed: int
) -> None:
    rng = random.Random(seed)
    woken: set[float] = set()

    async def look(seconds: float) -> None:
        await trio.sleep(rng.uniform(0, 1))
        while True:
            began = trio.current_time()
            due = await next_tick(seconds)
            assert due == pytest.approx(trio.current_time())
            assert 0.4999 * seconds <= due - began <= 1.5001 * seconds
            woken.add(round(due, 6))

    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            for seconds in (0.1, 0.1, 0.1, 0.5, 0.5, 1.0):
                nursery.start_soon(look, seconds)
    assert woken <= {round(n / 10, 6) for n in range(101)}
