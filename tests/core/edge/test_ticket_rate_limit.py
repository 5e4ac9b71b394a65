import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.ticket_rate_limit import FailedResumeLimiter, Refuse, WaitUntil, origin


def wait(limiter: FailedResumeLimiter, address: str, now: float) -> float | None:
    """The seconds that an attempt must wait, or None if it is refused."""
    match limiter.admit(address, now):
        case WaitUntil(at):
            return at - now
        case Refuse():
            return None
    return 0.0


def charge_many(limiter: FailedResumeLimiter, address: str, times: int, now: float) -> None:
    for _ in range(times):
        limiter.charge(address, now)


def test_below_the_burst_no_attempt_waits_even_if_10_000_come_at_once() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 19, 0.0)
    assert [wait(limiter, "a", 0.0) for _ in range(10_000)] == [0.0] * 10_000


def test_attempts_over_the_burst_wait_at_the_rate_and_over_twice_the_burst_are_refused() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 20, 0.0)
    waits = [wait(limiter, "a", 0.0) for _ in range(22)]
    assert waits[:20] == pytest.approx([(k + 1) / 5 for k in range(20)])
    assert waits[20:] == [None, None]


def test_an_attempt_that_waits_is_charged_and_gets_its_charge_back_if_it_succeeds() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 20, 0.0)
    assert wait(limiter, "a", 0.0) == pytest.approx(0.2)
    limiter.give_back("a", 0.0)
    assert wait(limiter, "a", 0.0) == pytest.approx(0.2)
    assert wait(limiter, "a", 0.0) == pytest.approx(0.4)


def test_the_charge_leaks_away() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 21, 0.0)
    assert wait(limiter, "a", 0.3) == 0.0


def test_a_flood_of_any_length_is_forgotten_8_s_after_its_end() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 100_000, 0.0)
    assert wait(limiter, "a", 0.0) is None
    assert wait(limiter, "a", 4.1) == 0.0
    charge_many(limiter, "b", 1, 8.0)
    assert len(limiter) == 1


def test_a_refused_attempt_is_not_charged() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 40, 0.0)
    for _ in range(1_000):
        assert wait(limiter, "a", 0.0) is None
    assert wait(limiter, "a", 0.2) == pytest.approx(4.0)


def test_one_address_does_not_affect_another() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 100_000, 0.0)
    assert wait(limiter, "b", 0.0) == 0.0


def test_an_unknown_address_is_never_limited_and_takes_no_space() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "", 100, 0.0)
    limiter.give_back("", 0.0)
    assert wait(limiter, "", 0.0) == 0.0
    assert len(limiter) == 0


def test_giving_back_a_charge_that_has_leaked_away_leaves_nothing() -> None:
    limiter = FailedResumeLimiter(20, 5)
    limiter.give_back("a", 0.0)
    limiter.charge("a", 0.0)
    limiter.give_back("a", 100.0)
    assert len(limiter) == 0


def test_of_too_many_addresses_the_one_that_was_quiet_longest_is_forgotten() -> None:
    limiter = FailedResumeLimiter(2, 1, addresses_max=3)
    for address in "abc":
        charge_many(limiter, address, 4, 0.0)
    limiter.charge("a", 0.1)
    limiter.charge("d", 0.1)
    assert len(limiter) == 3
    assert wait(limiter, "b", 0.1) == 0.0
    assert wait(limiter, "c", 0.1) is not None
    assert wait(limiter, "c", 0.1) != 0.0
    assert wait(limiter, "a", 0.1) != 0.0


def test_a_guesser_is_remembered_while_100_000_others_succeed() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 40, 0.0)
    for number in range(100_000):
        assert wait(limiter, str(number), 0.0) == 0.0
    assert len(limiter) == 1
    assert wait(limiter, "a", 0.0) is None


def test_a_guesser_is_remembered_while_4_095_others_fail() -> None:
    limiter = FailedResumeLimiter(20, 5)
    charge_many(limiter, "a", 40, 0.0)
    for number in range(4_095):
        charge_many(limiter, str(number), 20, 0.0)
    assert wait(limiter, "a", 0.0) is None
    assert len(limiter) == 4_096


@given(st.lists(st.floats(0, 3), max_size=300))
def test_the_attempts_of_one_address_in_any_span_are_bounded_by_burst_and_rate(
    waits: list[float],
) -> None:
    limiter = FailedResumeLimiter(4, 2)
    now, tried_at = 0.0, []
    for pause in waits:
        now += pause
        seconds = wait(limiter, "a", now)
        if seconds is not None:
            tried_at.append(now + seconds)
            if seconds == 0:
                limiter.charge("a", now)
    tried_at.sort()
    for index, begin in enumerate(tried_at):
        for count, end in enumerate(tried_at[index:], 1):
            assert count <= 4 + 1 + (end - begin) * 2 + 1e-6


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("/run/socket", ""),
    ],
)
def test_the_origin_that_an_address_stands_for(host: str, expected: str) -> None:
    assert origin(host) == expected
