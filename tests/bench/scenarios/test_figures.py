import math

from lastcall.bench.rooms.ledger import Verdict
from lastcall.bench.scenarios.figures import failure_of, peak_ratio


def test_an_even_pace_has_no_peak() -> None:
    ratio = peak_ratio([index / 64 for index in range(641)], window=1.0)

    assert math.isclose(ratio, 65 / (641 / 10))


def test_a_peak_is_a_multiple_of_the_mean() -> None:
    times = [0.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 4.0]

    assert peak_ratio(times, window=0.5) == 4 / (8 * 0.5 / 4)


def test_events_within_one_window_have_no_peak_ratio() -> None:
    assert math.isnan(peak_ratio([1.0, 1.0, 1.05]))
    assert math.isnan(peak_ratio([]))


def test_a_clean_verdict_is_not_a_failure() -> None:
    assert failure_of(Verdict(inputs=3)) == ""
    assert failure_of(Verdict(lost=1, complaints=("ann",))) == (
        "1 lost, 0 twice, 0 out of order, 0 wrongly addressed: ann"
    )
