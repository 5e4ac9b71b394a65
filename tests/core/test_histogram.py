"""A histogram counts each value in the bucket of the first bound that is not below it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.histogram import Histogram

values = st.floats(min_value=0, max_value=10)
bounds = st.lists(values, min_size=1, max_size=8, unique=True).map(sorted)


def test_a_bound_belongs_to_its_own_bucket() -> None:
    histogram = Histogram((0.1, 0.5, 1))
    for value in (0.1, 0.11, 0.5, 1.0, 1.01, 7):
        histogram.observe(value)
    assert histogram.up_to() == [("0.1", 1), ("0.5", 3), ("1.0", 4), ("+Inf", 6)]


@given(bounds, st.lists(values))
def test_each_bound_has_as_many_values_as_are_not_above_it(
    ends: list[float], seen: list[float]
) -> None:
    histogram = Histogram(ends)
    for value in seen:
        histogram.observe(value)
    *within, last = histogram.up_to()
    assert within == [(str(end), sum(value <= end for value in seen)) for end in ends]
    assert last == ("+Inf", len(seen))
    assert abs(histogram.total - sum(seen)) < 1e-9


@given(bounds, st.lists(values), st.lists(values))
def test_the_sum_of_two_is_the_one_that_has_seen_the_values_of_both(
    ends: list[float], left: list[float], right: list[float]
) -> None:
    one, two, both = (Histogram(ends) for _ in range(3))
    for value in left:
        one.observe(value)
        both.observe(value)
    for value in right:
        two.observe(value)
        both.observe(value)
    added = one + two
    assert added.up_to() == both.up_to()
    assert abs(added.total - both.total) < 1e-9
