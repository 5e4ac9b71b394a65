"""The feed's law: each item once and in order, or the ring is over its bound and says so."""

from __future__ import annotations

import random
from math import inf

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall.core.link.feed import FeedReceiver, FeedRing


def item(number: int) -> bytes:
    return msgspec.msgpack.encode(number)


def took(
    feed: FeedReceiver[int], first: int, items: list[bytes], now: float, at_once: int = 1_000
) -> list[int]:
    """What the receiver passes on of ``items``, each its own number."""
    size = max(map(len, items), default=0)
    numbers = [msgspec.msgpack.decode(i) for i in items]
    return feed.receive(first, numbers, now, item_bytes=size, at_once=at_once)


def ring(items_max: int = 1000, bytes_max: int = 1 << 20) -> FeedRing:
    return FeedRing(items_max=items_max, bytes_max=bytes_max)


def receiver(ahead_max: int = 1000, ahead_bytes_max: int = 1 << 20) -> FeedReceiver[int]:
    return FeedReceiver(repair_seconds=0.02, ahead_max=ahead_max, ahead_bytes_max=ahead_bytes_max)


def filled(count: int) -> FeedRing:
    feed = ring()
    for number in range(1, count + 1):
        feed.push(item(number))
    return feed


def test_items_are_numbered_from_one_and_published_once() -> None:
    feed = filled(3)
    assert list(feed.fresh(1000)) == [(1, [item(1), item(2), item(3)])]
    assert list(feed.fresh(1000)) == []


def test_a_run_is_cut_where_it_would_be_over_the_batch_size() -> None:
    feed = filled(5)
    assert [(first, len(run)) for first, run in feed.fresh(2)] == [(1, 2), (3, 2), (5, 1)]


def test_an_item_larger_than_a_batch_goes_alone() -> None:
    feed = ring()
    feed.push(b"x" * 50)
    feed.push(b"y")
    assert [(first, len(run)) for first, run in feed.fresh(10)] == [(1, 1), (2, 1)]


def test_confirmed_items_are_forgotten_and_their_bytes_with_them() -> None:
    feed = filled(4)
    list(feed.fresh(1000))
    feed.confirm(3)
    assert (feed.confirmed, feed.head, feed.bytes_held) == (3, 4, 1)
    feed.confirm(2)
    assert feed.confirmed == 3


def test_confirming_what_was_never_said_forgets_no_more_than_was_published() -> None:
    feed = filled(2)
    list(feed.fresh(1000))
    feed.push(item(3))
    feed.confirm(99)
    assert (feed.confirmed, feed.head) == (2, 3)
    assert list(feed.fresh(1000)) == [(3, [item(3)])]


def test_a_missing_range_is_published_again_and_what_is_fresh_is_not() -> None:
    feed = filled(4)
    list(feed.fresh(1000))
    feed.push(item(5))
    assert feed.again([(2, 3), (4, 9)], 1000) == [(2, [item(2), item(3)]), (4, [item(4)])]


def test_a_repair_is_bounded_by_the_batch_size() -> None:
    feed = filled(10)
    list(feed.fresh(1000))
    assert [(first, len(run)) for first, run in feed.again([(1, 4), (6, 10)], 6)] == [
        (1, 4),
        (6, 2),
    ]


def test_a_ring_over_its_count_is_emptied_and_says_so() -> None:
    feed = ring(items_max=3)
    for number in range(1, 10):
        feed.push(item(number))
    assert feed.overflowed
    assert feed.bytes_held == 0
    assert list(feed.fresh(1000)) == []


def test_a_ring_over_its_bytes_is_emptied_and_says_so() -> None:
    feed = ring(bytes_max=100)
    feed.push(b"x" * 101)
    assert feed.overflowed
    assert feed.bytes_held == 0


def test_a_seen_hole_is_asked_for_at_once_and_not_twice_while_the_answer_is_on_its_way() -> None:
    feed = receiver()
    assert took(feed, 1, [item(1)], now=10.0) == [1]
    assert took(feed, 4, [item(4)], now=10.0) == []
    assert feed.due() == 10.0
    assert feed.ask(10.0) == [(2, 3)]
    assert feed.due() == inf
    feed.answered(10.5)
    assert feed.due() == 10.5 + 0.02
    assert took(feed, 2, [item(2), item(3)], now=10.51) == [2, 3, 4]
    assert feed.due() == inf


def test_an_announced_head_is_asked_for_after_20_ms_and_not_before() -> None:
    feed = receiver()
    feed.announce(3, now=5.0)
    assert feed.due() == 5.02
    assert feed.ask(5.01) == []
    assert feed.ask(5.02) == [(1, 3)]


def test_under_a_steady_flow_a_head_that_is_only_on_its_way_is_never_asked_for() -> None:
    feed = receiver()
    for step in range(1, 200):
        now = step * 0.005
        feed.announce(step, now)
        assert feed.ask(now) == []
        took(feed, step, [item(step)], now=now + 0.003)
    assert feed.due() == inf


def test_what_is_too_far_ahead_is_let_go_and_asked_for_again() -> None:
    feed = receiver(ahead_max=5)
    took(feed, 2, [item(n) for n in range(2, 20)], now=0.0)
    assert feed.ask(0.0) == [(1, 1)]
    feed.answered(0.0)
    assert took(feed, 1, [item(1)], now=0.1) == [1, 2, 3, 4, 5]
    feed.announce(19, now=0.1)
    assert feed.ask(0.2) == [(6, 19)]


def test_repeated_items_are_passed_on_once() -> None:
    feed = receiver()
    took(feed, 1, [item(1), item(2)], now=0.0)
    assert took(feed, 1, [item(1), item(2)], now=0.0) == []
    assert took(feed, 2, [item(2), item(3)], now=0.0) == [3]


def test_what_waited_for_a_hole_is_passed_on_in_portions_and_nothing_is_asked_meanwhile() -> None:
    feed = receiver()
    took(feed, 2, [item(n) for n in range(2, 9)], now=0.0)
    took(feed, 10, [item(10)], now=0.0)
    assert took(feed, 1, [item(1)], now=0.1, at_once=3) == [1, 2, 3]
    assert feed.more
    assert feed.ask(0.2) == []
    assert took(feed, 0, [], now=0.2, at_once=3) == [4, 5, 6]
    assert took(feed, 0, [], now=0.2, at_once=3) == [7, 8]
    assert not feed.more
    assert feed.ask(0.2) == [(9, 9)]
    assert took(feed, 9, [item(9)], now=0.3, at_once=3) == [9, 10]
    assert not feed.behind


def test_what_could_not_be_passed_on_comes_first_the_next_time() -> None:
    feed = receiver()
    assert took(feed, 1, [item(n) for n in range(1, 6)], now=0.0) == [1, 2, 3, 4, 5]
    feed.put_back([3, 4, 5], item_bytes=9)
    assert (feed.arrived, feed.more) == (2, True)
    assert feed.ask(10.0) == []
    assert took(feed, 6, [item(6)], now=0.0, at_once=2) == [3, 4]
    feed.put_back([4], item_bytes=9)
    assert took(feed, 0, [], now=0.0) == [4, 5, 6]
    assert not feed.more
    assert not feed.behind


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 300),
    loss=st.floats(0, 0.6),
    repeat=st.floats(0, 0.5),
    at_once=st.sampled_from([1, 7, 1_000]),
)
def test_whatever_is_lost_repeated_or_reordered_each_item_arrives_once_and_in_order(
    seed: int, count: int, loss: float, repeat: float, at_once: int
) -> None:
    rng = random.Random(seed)
    feed, far = ring(), receiver(ahead_max=40)
    flying: list[tuple[int, list[bytes]]] = []
    arrived: list[int] = []
    now, pushed = 0.0, 0

    def fly(runs: list[tuple[int, list[bytes]]]) -> None:
        for run in runs:
            flying.extend([run] * ((rng.random() >= loss) + (rng.random() < repeat)))

    def some_of(items: list[int]) -> list[int]:
        kept = rng.randrange(len(items) + 1)
        far.put_back(items[kept:], item_bytes=3)
        return items[:kept]

    while feed.confirmed < count:
        now += 0.01
        assert now < 600, "the feed never healed"
        for _ in range(min(rng.randrange(6), count - pushed)):
            pushed += 1
            feed.push(item(pushed))
        fly(list(feed.fresh(3)))
        rng.shuffle(flying)
        for first, items in flying[: rng.randrange(len(flying) + 1)]:
            arrived += some_of(took(far, first, items, now=now, at_once=at_once))
            while far.more and rng.random() < 0.9:  # or the next batch is earlier
                arrived += some_of(took(far, 0, [], now=now, at_once=at_once))
        flying = flying[len(flying) // 2 :]
        feed.confirm(far.arrived)
        if missing := far.ask(now):
            fly(feed.again(missing, 20))
            far.answered(now)
        far.announce(feed.head, now)
    assert arrived == list(range(1, count + 1))
    assert feed.bytes_held == 0
