import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.client.reconnect import FINAL, BusyServers, ReconnectPolicy
from lastcall.core.pacing import full_jitter


class FixedRandom:
    """A RandomSource that always returns one value."""

    def __init__(self, value: float = 0.5) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


def test_the_ceiling_of_full_jitter_doubles_from_a_quarter_of_a_second_to_ten() -> None:
    ceilings = [full_jitter(attempt, FixedRandom(1.0)) for attempt in range(8)]
    assert ceilings == [0.25, 0.5, 1, 2, 4, 8, 10, 10]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_full_jitter_is_between_0_and_10_after_any_number_of_failures(
    attempt: int, value: float
) -> None:
    assert 0 <= full_jitter(attempt, FixedRandom(value)) <= 10


def test_after_an_announced_loss_the_wait_is_zero() -> None:
    assert ReconnectPolicy(FixedRandom()).lost(1012, 0, announced=False) == 0
    assert ReconnectPolicy(FixedRandom()).lost(1006, 0, announced=True) == 0


@given(st.floats(0, 1, exclude_max=True))
def test_after_an_unannounced_loss_the_wait_is_up_to_800_ms(value: float) -> None:
    wait = ReconnectPolicy(FixedRandom(value)).lost(1006, 0, announced=False)
    assert wait == value * 0.8


@pytest.mark.parametrize("code", [1013, 4100, 4101, 1009])
def test_a_client_that_is_turned_away_backs_off(code: int) -> None:
    policy = ReconnectPolicy(FixedRandom(1.0))
    waits = [policy.lost(code, 0, announced=False), policy.turned_away(code), policy.failed()]
    assert waits == [0.25, 0.5, 1]


@pytest.mark.parametrize("code", range(4001, 4006))
def test_a_final_close_code_ends_the_attempts_even_after_a_move(code: int) -> None:
    assert code in FINAL
    assert ReconnectPolicy(FixedRandom()).lost(code, 0, announced=True) is None
    assert ReconnectPolicy(FixedRandom()).turned_away(code) is None


def test_a_place_that_is_kept_for_a_while_resets_the_back_off() -> None:
    policy = ReconnectPolicy(FixedRandom(1.0))
    assert [policy.failed() for _ in range(3)] == [0.25, 0.5, 1]
    policy.arrived(10)
    assert policy.lost(1013, 12, announced=False) == 0.25


def test_a_client_that_is_moved_again_and_again_backs_off() -> None:
    policy, now, waits = ReconnectPolicy(FixedRandom(1.0)), 0.0, []
    for _ in range(5):
        policy.arrived(now)
        waits.append(policy.lost(1012, now, announced=True))
    assert waits == [0, 0.25, 0.5, 1, 2]


def test_after_a_sleep_of_the_computer_the_wait_is_zero_and_the_back_off_begins_anew() -> None:
    policy = ReconnectPolicy(FixedRandom(1.0))
    assert [policy.failed() for _ in range(3)] == [0.25, 0.5, 1]
    assert policy.woke() == 0
    assert policy.failed() == 0.25


def test_a_wait_for_busy_servers_is_longer_by_the_back_off() -> None:
    policy = ReconnectPolicy(FixedRandom(1.0))
    assert [policy.failed(4), policy.failed(0), policy.failed(4)] == [4.25, 0.5, 5]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1e9), st.floats(0, 100))),
    st.floats(0, 100),
)
def test_a_busy_server_is_left_alone_for_what_it_asked_and_10_s_at_most(
    refusals: list[tuple[str, float, float]], later: float
) -> None:
    busy, now, asked = BusyServers(), 0.0, dict.fromkeys("abc", 0.0)
    for url, seconds, pause in refusals:
        now += pause
        busy.refused(url, seconds, now)
        asked[url] = now + min(seconds, 10)
    now += later
    left = {url: max(0.0, until - now) for url, until in asked.items()}
    assert {url: busy.seconds_left([url], now) for url in "abc"} == left
    assert busy.seconds_left("abc", now) == min(left.values()) <= 10
