import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.client.reconnect import FINAL, ReconnectPolicy
from lastcall.core.pacing import full_jitter


class Loaded:
    """RandomSource that always show the same."""

    def __init__(self, shown: float = 0.5) -> None:
        self.shown = shown

    def random(self) -> float:
        return self.shown


def test_the_ceiling_of_full_jitter_doubles_from_a_quarter_of_a_second_to_ten() -> None:
    ceilings = [full_jitter(attempt, Loaded(1.0)) for attempt in range(8)]
    assert ceilings == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_full_jitter_is_anywhere_from_0_to_10_after_any_number_of_failures(
    attempt: int, shown: float
) -> None:
    assert 0 <= full_jitter(attempt, Loaded(shown)) <= 10


def test_told_to_go_one_goes_at_once() -> None:
    assert ReconnectPolicy(Loaded()).lost(1012, 0, announced=False) == 0
    assert ReconnectPolicy(Loaded()).lost(1006, 0, announced=True) == 0


@given(st.floats(0, 1, exclude_max=True))
def test_lost_unannounced_one_waits_up_to_800_ms(shown: float) -> None:
    wait = ReconnectPolicy(Loaded(shown)).lost(1006, 0, announced=False)
    assert wait == shown * 0.8


@pytest.mark.parametrize("code", [1013, 4100, 4101, 1009])
def test_turned_away_one_backs_off(code: int) -> None:
    comeback = ReconnectPolicy(Loaded(1.0))
    waits = [comeback.lost(code, 0, announced=False), comeback.turned_away(code), comeback.failed()]
    assert waits == [0.25, 0.5, 1]


@pytest.mark.parametrize("code", range(4001, 4006))
def test_what_is_final_is_final_whatever_was_told(code: int) -> None:
    assert code in FINAL
    assert ReconnectPolicy(Loaded()).lost(code, 0, announced=True) is None
    assert ReconnectPolicy(Loaded()).turned_away(code) is None


def test_failures_are_forgotten_by_a_place_that_lasts() -> None:
    comeback = ReconnectPolicy(Loaded(1.0))
    assert [comeback.failed() for _ in range(3)] == [0.25, 0.5, 1]
    comeback.arrived(10)
    assert comeback.lost(1013, 12, announced=False) == 0.25


def test_a_cluster_that_throws_everybody_out_is_not_stormed() -> None:
    comeback, now, waits = ReconnectPolicy(Loaded(1.0)), 0.0, []
    for _ in range(5):
        comeback.arrived(now)
        waits.append(comeback.lost(1012, now, announced=True))
    assert waits == [0, 0.25, 0.5, 1, 2]
