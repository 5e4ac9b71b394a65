import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.accounts import (
    ClientCharges,
    RateLimiter,
    Tally,
    accounts_of,
)
from lastcall.limits import Rate, address_account


def charge_many(limiter: RateLimiter, address: str, times: int, now: float) -> None:
    for _ in range(times):
        limiter.charge(address, now)


def guess(limiter: RateLimiter, address: str, now: float) -> bool:
    """Tries once, and fails at once if it may try; returns whether it may."""
    admitted = limiter.admits(address, now)
    if admitted:
        limiter.charge(address, now)
    return admitted


def test_below_the_burst_each_attempt_is_admitted_even_if_10_000_come_at_once() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 19, 0.0)
    assert all(limiter.admits("a", 0.0) for _ in range(10_000))


def test_of_1_000_guesses_in_a_second_25_are_admitted_and_the_rest_is_refused() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    admitted = sum(guess(limiter, "a", k / 1_000) for k in range(1_001))
    assert admitted == 20 + 5


def test_an_attempt_that_was_charged_and_succeeds_gets_its_charge_back() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 20, 0.0)
    assert not limiter.admits("a", 0.0)
    limiter.give_back("a", 0.0)
    assert limiter.admits("a", 0.0)


def test_the_charge_leaks_away() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 20, 0.0)
    assert not limiter.admits("a", 0.19)
    assert limiter.admits("a", 0.2)


def test_failures_that_were_under_way_at_the_burst_are_paid_off_like_all_others() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 20 + 32, 0.0)
    assert not limiter.admits("a", 6.5)
    assert limiter.admits("a", 6.6)


def test_a_refused_attempt_is_not_charged() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 20, 0.0)
    assert not any(guess(limiter, "a", 0.0) for _ in range(1_000))
    assert limiter.admits("a", 0.2)


def test_an_address_is_forgotten_when_its_failures_are_paid_off() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 40, 0.0)
    limiter.charge("b", 7.9)
    assert len(limiter) == 2
    limiter.charge("b", 8.001)
    assert len(limiter) == 1


def test_one_address_does_not_affect_another() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 1_000, 0.0)
    assert limiter.admits("b", 0.0)


def test_an_unknown_address_is_never_limited_and_takes_no_space() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "", 100, 0.0)
    limiter.give_back("", 0.0)
    assert limiter.admits("", 0.0)
    assert len(limiter) == 0


def test_giving_back_a_charge_that_has_leaked_away_leaves_nothing() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    limiter.give_back("a", 0.0)
    limiter.charge("a", 0.0)
    limiter.give_back("a", 100.0)
    assert len(limiter) == 0


def test_of_too_many_addresses_the_one_that_was_quiet_longest_is_forgotten() -> None:
    limiter = RateLimiter(Rate(2, 1), 3)
    for address in "abc":
        charge_many(limiter, address, 4, 0.0)
    limiter.charge("a", 0.1)
    limiter.charge("d", 0.1)
    assert len(limiter) == 3
    assert [address for address in "abcd" if limiter.admits(address, 0.1)] == ["b", "d"]


def test_a_guesser_is_remembered_while_100_000_others_succeed() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 40, 0.0)
    for number in range(100_000):
        assert limiter.admits(str(number), 0.0)
    assert len(limiter) == 1
    assert not limiter.admits("a", 0.0)


def test_a_guesser_is_remembered_while_4_095_others_fail() -> None:
    limiter = RateLimiter(Rate(20, 5), 4_096)
    charge_many(limiter, "a", 40, 0.0)
    for number in range(4_095):
        charge_many(limiter, str(number), 20, 0.0)
    assert not limiter.admits("a", 0.0)
    assert len(limiter) == 4_096


PAUSES = st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 3))
"""Most attempts follow each other closely: a limit that forgets a little each time fails then."""


@given(
    st.lists(st.tuples(st.sampled_from("ab"), PAUSES), max_size=300),
    st.integers(1, 6),
    st.floats(0.5, 5),
    st.integers(0, 4),
)
def test_in_any_window_at_most_burst_and_rate_of_an_address_fail_and_those_under_way(
    attempts: list[tuple[str, float]], burst: int, per_second: float, under_way_max: int
) -> None:
    """Each attempt fails, but only after up to ``under_way_max`` later ones were admitted."""
    limiter = RateLimiter(Rate(burst, per_second), 4_096)
    now, under_way = 0.0, {"a": 0, "b": 0}
    admitted: dict[str, list[float]] = {"a": [], "b": []}
    for address, pause in attempts:
        now += pause
        if limiter.admits(address, now):
            admitted[address].append(now)
            under_way[address] += 1
        while under_way[address] > under_way_max:
            under_way[address] -= 1
            limiter.charge(address, now)
    for times in admitted.values():
        for index, begin in enumerate(times):
            for count, end in enumerate(times[index:], 1):
                assert count <= burst + under_way_max + (end - begin) * per_second + 1e-6


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
def test_the_account_of_an_address(host: str, expected: str) -> None:
    assert address_account(host) == expected


def test_of_two_accounts_that_are_charged_together_the_full_one_keeps_the_other_as_it_was() -> None:
    limiter = RateLimiter(Rate(2, 1), 4_096)
    assert limiter.take(("address", "alice"), 0.0)
    assert limiter.take(("address", "bob"), 0.0)
    assert not limiter.take(("address", "carol"), 0.0)
    assert limiter.take(("elsewhere", "carol"), 0.0)
    assert limiter.take(("elsewhere", "carol"), 0.0)


def test_a_tally_forgets_an_account_that_has_nothing_any_more() -> None:
    tally = Tally(2)
    for _ in range(2):
        assert tally.admits("a")
        tally.add("a")
    assert not tally.admits("a")
    assert tally.admits("b")
    tally.remove("a")
    assert tally.admits("a")
    tally.remove("a")
    assert len(tally) == 0


def test_a_client_is_charged_on_both_accounts_and_a_new_address_does_not_help() -> None:
    limiter = RateLimiter(Rate(1, 1), 4_096)
    here = ClientCharges(limiter, accounts_of("192.0.2.1", "alice"))
    assert here.admitted(0.0)
    here.charge(0.0)
    assert not ClientCharges(limiter, accounts_of("192.0.2.2", "alice")).admitted(0.0)
    assert not ClientCharges(limiter, accounts_of("192.0.2.1", None)).admitted(0.0)
    here.give_back(0.0)
    assert ClientCharges(limiter, accounts_of("192.0.2.1", "bob")).admitted(0.0)


@pytest.mark.parametrize("name", ["192.0.2.1", "", "identity alice"])
def test_no_identity_has_the_account_of_an_address_or_of_another(name: str) -> None:
    others = {"192.0.2.1", *accounts_of("", "alice")}
    assert accounts_of("", name)[1] not in others
