"""Tasks that look at something again and again do so in the same turns of the loop."""

from __future__ import annotations

import trio


async def next_tick(seconds: float) -> float:
    """Sleeps until a multiple of ``seconds`` on trio's clock, and returns that time.

    It sleeps for half of ``seconds`` at least. So all tasks with an interval wake in one turn, and
    those with a multiple of it: a turn of a node that has slept costs some 300 µs, whatever is done
    in it. Always a checkpoint.
    """
    due = (round(trio.current_time() / seconds) + 1) * seconds
    await trio.sleep_until(due)
    return due
