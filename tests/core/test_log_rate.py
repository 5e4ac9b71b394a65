"""How many lines strangers can put into the log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.log_rate import PERIOD_SECONDS, LogRate

GAPS = st.lists(st.floats(0, 90), max_size=200)


@given(gaps=GAPS, lines=st.integers(1, 5))
def test_no_line_is_forgotten_and_a_minute_has_at_most_that_many(
    gaps: list[float], lines: int
) -> None:
    rate, now = LogRate(lines), 0.0
    written: list[float] = []
    counted = waiting = 0
    for gap in gaps:
        now += gap
        left_out = rate.take(now)
        if left_out is None:
            waiting += 1
        else:
            assert left_out == waiting
            counted, waiting = counted + left_out + 1, 0
            written.append(now)
    assert counted + waiting == len(gaps)
    for first, late in zip(written, written[2 * lines :], strict=False):
        assert late - first >= PERIOD_SECONDS, "more than two periods' lines in one minute"


def test_three_lines_of_a_thousand_are_written_and_the_fourth_a_minute_later_counts_the_rest() -> (
    None
):
    rate = LogRate(3)
    assert [rate.take(second / 100) for second in range(1000)] == [0, 0, 0, *[None] * 997]
    assert rate.take(59.9) is None
    assert rate.take(60.0) == 998
