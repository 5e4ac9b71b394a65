"""Items in portions of a bounded size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.runtime.batches import portions


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
