"""A feed delivers each item once and in order, or its ring overflows and is marked."""

from __future__ import annotations

import random
from math import inf

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall.core.excess import Excess
from lastcall.core.link.feed import FeedReceiver, FeedRing
from lastcall.policy import LinkPolicy


def item(number: int) -> bytes:
    return msgspec.msgpack.encode(number)


def receive(
    feed: FeedReceiver[int], first: int, items: list[bytes], now: float, at_once: int = 1_000
) -> list[int]:
    """Gives ``items`` to the receiver; returns the numbers that it passes on."""
    size = max(map(len, items), default=0)
    numbers = [msgspec.msgpack.decode(i) for i in items]
    return feed.receive(first, numbers, now, item_bytes=size, at_once=at_once)


def ring(items_max: int = 1000, bytes_max: int = 1 << 20) -> FeedRing:
    policy = LinkPolicy(
        ring_items=items_max,
        ring_items_max=items_max,
        ring_bytes=bytes_max,
        ring_bytes_max=bytes_max,
    )
    return FeedRing(policy, Excess(policy.rings_excess_bytes))


def receiver(ahead_max: int = 1000, ahead_bytes_max: int = 1 << 20) -> FeedReceiver[int]:
    return FeedReceiver(LinkPolicy(ring_items=ahead_max, ring_bytes=ahead_bytes_max))


def filled(count: int) -> FeedRing:
    feed = ring()
    for number in range(1, count + 1):
        feed.push(item(number))
    return feed


def test_items_are_numbered_from_one_and_published_once() -> None:
    feed = filled(3)
    assert list(feed.fresh(1000)) == [(1, [item(1), item(2), item(3)])]
    assert list(feed.fresh(1000)) == []


def test_a_run_is_split_at_the_batch_size() -> None:
    feed = filled(5)
    assert [(first, len(run)) for first, run in feed.fresh(2)] == [(1, 2), (3, 2), (5, 1)]


def test_an_item_larger_than_a_batch_is_sent_alone() -> None:
    feed = ring()
    feed.push(b"x" * 50)
    feed.push(b"y")
    assert [(first, len(run)) for first, run in feed.fresh(10)] == [(1, 1), (2, 1)]


def test_the_oldest_new_items_are_taken_up_to_a_size_and_one_at_least() -> None:
    feed = FeedRing(LinkPolicy(), Excess(1 << 28))
    for size in (4, 4, 4, 20, 1):
        feed.push(bytes(size))
    taken = []
    while feed.has_fresh:
        taken.append([(first, len(run)) for first, run in feed.fresh(4, 9)])
    assert taken == [[(1, 1), (2, 1)], [(3, 1)], [(4, 1)], [(5, 1)]]
    assert list(feed.fresh(4, 9)) == []


def test_confirmed_items_and_their_bytes_are_released() -> None:
    feed = filled(4)
    list(feed.fresh(1000))
    feed.confirm(3)
    assert (feed.confirmed, feed.head, feed.bytes_held) == (3, 4, 1)
    feed.confirm(2)
    assert feed.confirmed == 3


def test_a_confirmation_that_is_too_high_releases_only_published_items() -> None:
    feed = filled(2)
    list(feed.fresh(1000))
    feed.push(item(3))
    feed.confirm(99)
    assert (feed.confirmed, feed.head) == (2, 3)
    assert list(feed.fresh(1000)) == [(3, [item(3)])]


def test_a_missing_range_is_published_again_without_unpublished_items() -> None:
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


def test_a_ring_over_its_item_limit_is_emptied_and_marked_as_overflowed() -> None:
    feed = ring(items_max=3)
    for number in range(1, 10):
        feed.push(item(number))
    assert feed.overflowed
    assert feed.bytes_held == 0
    assert list(feed.fresh(1000)) == []


def test_a_ring_over_its_byte_limit_is_emptied_and_marked_as_overflowed() -> None:
    feed = ring(bytes_max=100)
    feed.push(b"x" * 101)
    assert feed.overflowed
    assert feed.bytes_held == 0


def test_a_gap_is_requested_at_once_and_not_twice_while_the_answer_is_on_its_way() -> None:
    feed = receiver()
    assert receive(feed, 1, [item(1)], now=10.0) == [1]
    assert receive(feed, 4, [item(4)], now=10.0) == []
    assert feed.due() == 10.0
    assert feed.ask(10.0) == [(2, 3)]
    assert feed.due() == inf
    feed.answered(10.5)
    assert feed.due() == 10.5 + 0.02
    assert receive(feed, 2, [item(2), item(3)], now=10.51) == [2, 3, 4]
    assert feed.due() == inf


def test_an_announced_head_is_requested_after_20_ms_and_not_before() -> None:
    feed = receiver()
    feed.announce(3, now=5.0)
    assert feed.due() == 5.02
    assert feed.ask(5.01) == []
    assert feed.ask(5.02) == [(1, 3)]


def test_in_a_steady_flow_a_head_that_is_on_its_way_is_never_requested() -> None:
    feed = receiver()
    for step in range(1, 200):
        now = step * 0.005
        feed.announce(step, now)
        assert feed.ask(now) == []
        receive(feed, step, [item(step)], now=now + 0.003)
    assert feed.due() == inf


def test_items_too_far_ahead_are_dropped_and_requested_again() -> None:
    feed = receiver(ahead_max=5)
    receive(feed, 2, [item(n) for n in range(2, 20)], now=0.0)
    assert feed.ask(0.0) == [(1, 1)]
    feed.answered(0.0)
    assert receive(feed, 1, [item(1)], now=0.1) == [1, 2, 3, 4, 5]
    feed.announce(19, now=0.1)
    assert feed.ask(0.2) == [(6, 19)]


def test_repeated_items_are_passed_on_once() -> None:
    feed = receiver()
    receive(feed, 1, [item(1), item(2)], now=0.0)
    assert receive(feed, 1, [item(1), item(2)], now=0.0) == []
    assert receive(feed, 2, [item(2), item(3)], now=0.0) == [3]


def test_items_behind_a_closed_gap_are_passed_on_in_batches_before_the_next_request() -> None:
    feed = receiver()
    receive(feed, 2, [item(n) for n in range(2, 9)], now=0.0)
    receive(feed, 10, [item(10)], now=0.0)
    assert receive(feed, 1, [item(1)], now=0.1, at_once=3) == [1, 2, 3]
    assert feed.more
    assert feed.ask(0.2) == []
    assert receive(feed, 0, [], now=0.2, at_once=3) == [4, 5, 6]
    assert receive(feed, 0, [], now=0.2, at_once=3) == [7, 8]
    assert not feed.more
    assert feed.ask(0.2) == [(9, 9)]
    assert receive(feed, 9, [item(9)], now=0.3, at_once=3) == [9, 10]
    assert not feed.behind


def test_items_that_were_put_back_come_first_the_next_time() -> None:
    feed = receiver()
    assert receive(feed, 1, [item(n) for n in range(1, 6)], now=0.0) == [1, 2, 3, 4, 5]
    feed.put_back([3, 4, 5], item_bytes=9)
    assert (feed.arrived, feed.more) == (2, True)
    assert feed.ask(10.0) == []
    assert receive(feed, 6, [item(6)], now=0.0, at_once=2) == [3, 4]
    feed.put_back([4], item_bytes=9)
    assert receive(feed, 0, [], now=0.0) == [4, 5, 6]
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
def test_with_losses_repeats_and_reordering_each_item_arrives_once_and_in_order(
    seed: int, count: int, loss: float, repeat: float, at_once: int
) -> None:
    rng = random.Random(seed)
    feed, remote = ring(), receiver(ahead_max=40)
    in_flight: list[tuple[int, list[bytes]]] = []
    arrived: list[int] = []
    now, pushed = 0.0, 0

    def publish(runs: list[tuple[int, list[bytes]]]) -> None:
        for run in runs:
            in_flight.extend([run] * ((rng.random() >= loss) + (rng.random() < repeat)))

    def accept_some(items: list[int]) -> list[int]:
        kept = rng.randrange(len(items) + 1)
        remote.put_back(items[kept:], item_bytes=3)
        return items[:kept]

    while feed.confirmed < count:
        now += 0.01
        assert now < 600, "the feed never healed"
        for _ in range(min(rng.randrange(6), count - pushed)):
            pushed += 1
            feed.push(item(pushed))
        publish(list(feed.fresh(3)))
        rng.shuffle(in_flight)
        for first, items in in_flight[: rng.randrange(len(in_flight) + 1)]:
            arrived += accept_some(receive(remote, first, items, now=now, at_once=at_once))
            # Sometimes the next batch arrives before the rest of this one is passed on.
            while remote.more and rng.random() < 0.9:
                arrived += accept_some(receive(remote, 0, [], now=now, at_once=at_once))
        in_flight = in_flight[len(in_flight) // 2 :]
        feed.confirm(remote.arrived)
        if missing := remote.ask(now):
            publish(feed.again(missing, 20))
            remote.answered(now)
        remote.announce(feed.head, now)
    assert arrived == list(range(1, count + 1))
    assert feed.bytes_held == 0
