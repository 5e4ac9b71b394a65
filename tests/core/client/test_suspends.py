import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.client.suspends import SUSPEND_SECONDS, SuspendDetector


@pytest.mark.parametrize(("slept", "noticed"), [(0, False), (9.9, False), (10, True), (1e6, True)])
def test_a_sleep_of_10_s_is_noticed_once(slept: float, noticed: bool) -> None:
    detector = SuspendDetector(100)
    assert detector.slept(100 + slept) is noticed
    assert not detector.slept(100 + slept)


def test_several_short_sleeps_between_two_looks_count_together() -> None:
    detector = SuspendDetector(0)
    assert detector.slept(4 + 4 + 4)


def test_a_difference_that_shrinks_is_no_sleep() -> None:
    detector = SuspendDetector(50)
    assert not detector.slept(20)
    assert not detector.slept(25)


@given(st.lists(st.floats(0, 100)))
def test_each_sleep_is_judged_by_its_own_length(sleeps: list[float]) -> None:
    detector, asleep = SuspendDetector(0), 0.0
    for sleep in sleeps:
        before, asleep = asleep, asleep + sleep
        assert detector.slept(asleep) == (asleep - before >= SUSPEND_SECONDS)
