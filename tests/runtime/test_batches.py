"""Items in portions of a bounded size, and long work in batches."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from lastcall.runtime.batches import STEPS_PER_BATCH, Steps, portions


@given(st.lists(st.binary(max_size=120), max_size=40), st.integers(1, 200))
def test_portions_hold_all_items_in_order_and_stay_within_the_bound(
    bodies: list[bytes], bytes_max: int
) -> None:
    found = list(portions(bodies, len, bytes_max))
    assert [body for portion in found for body in portion] == bodies
    assert all(len(portion) == 1 or sum(map(len, portion)) <= bytes_max for portion in found)
    assert all(found)


def test_each_portion_is_as_full_as_possible() -> None:
    assert list(portions([b"aa", b"b", b"ccc", b"d"], len, 3)) == [[b"aa", b"b"], [b"ccc"], [b"d"]]


async def test_the_first_batch_runs_at_once_and_each_other_one_after_a_rest(
    autojump_clock: MockClock,
) -> None:
    at: list[float] = []

    def work() -> Iterator[None]:
        for _ in range(3 * STEPS_PER_BATCH):
            at.append(trio.current_time())
            yield

    steps = Steps(rest_seconds=0.25)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(steps.run)
        began = trio.current_time()
        steps.begin(work())
        assert at == [began] * STEPS_PER_BATCH
        await trio.sleep(1)
        times = [began, began + 0.25, began + 0.5]
        assert at == [time for time in times for _ in range(STEPS_PER_BATCH)]
        nursery.cancel_scope.cancel()
