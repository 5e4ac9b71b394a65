from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.limits import Rate


def take_many(bucket: TokenBucket, now: float, tries: int) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_a_burst_is_granted_at_once_but_not_more() -> None:
    bucket = TokenBucket(Rate(3, 1), now=10.0)
    assert take_many(bucket, 10.0, 5) == 3


def test_tokens_come_back_at_the_rate() -> None:
    bucket = TokenBucket(Rate(3, 2), now=0.0)
    take_many(bucket, 0.0, 3)
    assert take_many(bucket, 0.4, 5) == 0
    assert take_many(bucket, 0.5, 5) == 1
    assert take_many(bucket, 1.5, 5) == 2


def test_a_long_pause_yields_at_most_the_burst() -> None:
    bucket = TokenBucket(Rate(3, 2), now=0.0)
    take_many(bucket, 0.0, 3)
    assert take_many(bucket, 1_000.0, 10) == 3


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 5)), max_size=200),
    st.integers(1, 20),
    st.floats(0.1, 50),
)
def test_in_any_window_at_most_burst_and_rate_pass(
    pauses: list[float], burst: int, per_second: float
) -> None:
    bucket = TokenBucket(Rate(burst, per_second), 0.0)
    now, taken_at = 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            taken_at.append(now)
    for index, begin in enumerate(taken_at):
        for count, end in enumerate(taken_at[index:], 1):
            assert count <= burst + (end - begin) * per_second + 1e-6
