from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.token_bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, tries: int) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_a_burst_is_granted_at_once_and_no_more() -> None:
    bucket = TokenBucket(burst=3, per_second=1, now=10.0)
    assert taken(bucket, 10.0, 5) == 3


def test_tokens_come_back_at_the_rate() -> None:
    bucket = TokenBucket(burst=3, per_second=2, now=0.0)
    taken(bucket, 0.0, 3)
    assert taken(bucket, 0.4, 5) == 0
    assert taken(bucket, 0.5, 5) == 1
    assert taken(bucket, 1.5, 5) == 2


def test_a_long_rest_gives_no_more_than_the_burst() -> None:
    bucket = TokenBucket(burst=3, per_second=2, now=0.0)
    taken(bucket, 0.0, 3)
    assert taken(bucket, 1_000.0, 10) == 3


@given(
    st.lists(st.floats(0, 5), max_size=200),
    st.integers(1, 20),
    st.floats(0.1, 50),
)
def test_no_stretch_of_time_yields_more_than_burst_and_rate(
    waits: list[float], burst: int, per_second: float
) -> None:
    bucket = TokenBucket(burst, per_second, 0.0)
    now, granted = 0.0, 0
    for wait in waits:
        now += wait
        granted += bucket.take(now)
    assert granted <= burst + now * per_second + 1e-6
