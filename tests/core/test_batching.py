"""Items are batched under load, and leave at once without load. The clock is simulated."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from lastcall.core.batching import AdaptiveBatcher

TRIP_SECONDS = 0.0005


def one_client(count: int) -> list[float]:
    """Simulates one client that sends after each answer; returns the latency of each item."""
    batcher, now, latencies = AdaptiveBatcher(), 0.0, []
    for _ in range(count):
        sent_at = now
        now = max(now, batcher.due())
        batcher.sent(now, 1)
        now += TRIP_SECONDS
        latencies.append(now - sent_at)
    return latencies


def many_clients(per_second: float, seconds: float) -> tuple[list[float], int]:
    """Simulates independent clients; returns the wait of each item, and the number of requests."""
    batcher, now, requests = AdaptiveBatcher(), 0.0, 0
    rng = random.Random(per_second)
    steps = [rng.expovariate(per_second) for _ in range(int(per_second * seconds))]
    arrivals = list(accumulate(steps))
    waits: list[float] = []
    while arrivals:
        now = max(now, arrivals[0], batcher.due())
        batch = [at for at in arrivals if at <= now]
        arrivals = arrivals[len(batch) :]
        waits += [now - at for at in batch]
        batcher.sent(now, len(batch))
        requests += 1
        now += TRIP_SECONDS
    return waits, requests


def test_one_client_that_waits_for_each_answer_is_never_delayed() -> None:
    assert max(one_client(4000)) == pytest.approx(TRIP_SECONDS)


def test_clients_that_wait_for_their_answers_are_hardly_ever_delayed() -> None:
    batcher, now, waits = AdaptiveBatcher(), 0.0, []
    for turn in range(4000):  # now and then two clients share a request
        waits.append(max(0.0, batcher.due() - now))
        now = max(now, batcher.due())
        batcher.sent(now, 2 if turn % 5 == 0 else 1)
        now += TRIP_SECONDS
    waits.sort()
    assert waits[int(0.97 * len(waits))] == 0
    assert waits[-1] <= 0.006


def test_at_200_items_a_second_no_item_waits() -> None:
    waits, requests = many_clients(200, 5)
    assert max(waits) <= TRIP_SECONDS
    assert requests > 850


@pytest.mark.parametrize(("per_second", "at_most"), [(600, 300), (2000, 300), (20_000, 300)])
def test_under_load_items_are_batched_and_none_waits_longer_than_the_gap(
    per_second: float, at_most: int
) -> None:
    waits, requests = many_clients(per_second, 4)
    assert max(waits) <= 0.006 + TRIP_SECONDS
    assert requests / 4 <= at_most


def test_items_leave_at_once_again_when_the_load_ends() -> None:
    batcher = AdaptiveBatcher()
    now = 0.0
    for _ in range(200):
        now = max(now + 0.001, batcher.due())
        batcher.sent(now, 4)
    assert batcher.due() > now
    for _ in range(10):
        now += 0.02
        batcher.sent(now, 1)
    assert batcher.due() <= now
