import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.ticket_rate_limit import FailedResumeLimiter, Refuse, WaitUntil, origin


def wait(limiter: FailedResumeLimiter, address: str, now: float) -> float | None:
    """How long an attempt has to wait; None if it is refused."""
    match limiter.admit(address, now):
        case WaitUntil(at):
            return at - now
        case Refuse():
            return None
    return 0.0


def failed(guesses: FailedResumeLimiter, address: str, times: int, now: float) -> None:
    for _ in range(times):
        guesses.charge(address, now)


def test_below_the_burst_nothing_waits_however_many_come_at_once() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 19, 0.0)
    assert [wait(guesses, "a", 0.0) for _ in range(10_000)] == [0.0] * 10_000


def test_from_the_burst_on_each_waits_its_turn_at_the_rate_and_twice_the_burst_is_refused() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 20, 0.0)
    waits = [wait(guesses, "a", 0.0) for _ in range(22)]
    assert waits[:20] == pytest.approx([(k + 1) / 5 for k in range(20)])
    assert waits[20:] == [None, None]


def test_what_waits_is_charged_and_one_that_succeeds_is_given_back() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 20, 0.0)
    assert wait(guesses, "a", 0.0) == pytest.approx(0.2)
    guesses.give_back("a", 0.0)
    assert wait(guesses, "a", 0.0) == pytest.approx(0.2)
    assert wait(guesses, "a", 0.0) == pytest.approx(0.4)


def test_the_count_leaks_away() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 21, 0.0)
    assert wait(guesses, "a", 0.3) == 0.0


def test_a_flood_is_forgotten_8_s_after_its_end_however_long_it_was() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 100_000, 0.0)
    assert wait(guesses, "a", 0.0) is None
    assert wait(guesses, "a", 4.1) == 0.0
    failed(guesses, "b", 1, 8.0)
    assert len(guesses) == 1


def test_what_is_refused_is_not_charged() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 40, 0.0)
    for _ in range(1_000):
        assert wait(guesses, "a", 0.0) is None
    assert wait(guesses, "a", 0.2) == pytest.approx(4.0)


def test_one_address_does_not_touch_another() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 100_000, 0.0)
    assert wait(guesses, "b", 0.0) == 0.0


def test_an_unknown_address_is_never_limited_and_takes_no_space() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "", 100, 0.0)
    guesses.give_back("", 0.0)
    assert wait(guesses, "", 0.0) == 0.0
    assert len(guesses) == 0


def test_giving_back_what_has_leaked_away_leaves_nothing() -> None:
    guesses = FailedResumeLimiter(20, 5)
    guesses.give_back("a", 0.0)
    guesses.charge("a", 0.0)
    guesses.give_back("a", 100.0)
    assert len(guesses) == 0


def test_of_too_many_addresses_the_longest_quiet_is_forgotten() -> None:
    guesses = FailedResumeLimiter(2, 1, addresses_max=3)
    for address in "abc":
        failed(guesses, address, 4, 0.0)
    guesses.charge("a", 0.1)
    guesses.charge("d", 0.1)
    assert len(guesses) == 3
    assert wait(guesses, "b", 0.1) == 0.0
    assert wait(guesses, "c", 0.1) is not None
    assert wait(guesses, "c", 0.1) != 0.0
    assert wait(guesses, "a", 0.1) != 0.0


def test_a_guesser_is_remembered_while_100_000_others_come_and_succeed() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 40, 0.0)
    for number in range(100_000):
        assert wait(guesses, str(number), 0.0) == 0.0
    assert len(guesses) == 1
    assert wait(guesses, "a", 0.0) is None


def test_a_guesser_is_remembered_while_4_095_others_fail() -> None:
    guesses = FailedResumeLimiter(20, 5)
    failed(guesses, "a", 40, 0.0)
    for number in range(4_095):
        failed(guesses, str(number), 20, 0.0)
    assert wait(guesses, "a", 0.0) is None
    assert len(guesses) == 4_096


@given(st.lists(st.floats(0, 3), max_size=300))
def test_what_one_address_may_try_in_any_time_is_bounded_by_burst_and_rate(
    waits: list[float],
) -> None:
    guesses = FailedResumeLimiter(4, 2)
    now, tried = 0.0, []
    for pause in waits:
        now += pause
        seconds = wait(guesses, "a", now)
        if seconds is not None:
            tried.append(now + seconds)
            if seconds == 0:
                guesses.charge("a", now)
    tried.sort()
    for index, begin in enumerate(tried):
        for count, end in enumerate(tried[index:], 1):
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
def test_whom_an_address_stands_for(host: str, expected: str) -> None:
    assert origin(host) == expected
