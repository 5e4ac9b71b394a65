"""Under load requests wait for company, and at rest for nothing: arithmetic on a made-up clock."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from lastcall.core.link.batching import AdaptiveBatcher

TRIP = 0.0005


def one_client(pings: int) -> list[float]:
    """One that speaks when it is answered: the latency of each of its words."""
    pace, now, seen = AdaptiveBatcher(), 0.0, []
    for _ in range(pings):
        asked = now
        now = max(now, pace.due())
        pace.sent(now, 1)
        now += TRIP
        seen.append(now - asked)
    return seen


def many_clients(per_second: float, seconds: float) -> tuple[list[float], int]:
    """Those who speak whenever they like: how long each word waited, and how many requests."""
    pace, now, requests = AdaptiveBatcher(), 0.0, 0
    dice = random.Random(per_second)
    steps = [dice.expovariate(per_second) for _ in range(int(per_second * seconds))]
    arrivals = list(accumulate(steps))
    waits: list[float] = []
    while arrivals:
        now = max(now, arrivals[0], pace.due())
        batch = [at for at in arrivals if at <= now]
        arrivals = arrivals[len(batch) :]
        waits += [now - at for at in batch]
        pace.sent(now, len(batch))
        requests += 1
        now += TRIP
    return waits, requests


def test_one_client_that_waits_for_each_answer_is_never_held_up() -> None:
    assert max(one_client(4000)) == pytest.approx(TRIP)


def test_some_that_wait_for_their_answers_are_hardly_ever_held_up() -> None:
    pace, now, waits = AdaptiveBatcher(), 0.0, []
    for turn in range(4000):  # two that meet in one request now and then
        waits.append(max(0.0, pace.due() - now))
        now = max(now, pace.due())
        pace.sent(now, 2 if turn % 5 == 0 else 1)
        now += TRIP
    waits.sort()
    assert waits[int(0.97 * len(waits))] == 0
    assert waits[-1] <= 0.006


def test_a_few_words_a_second_wait_for_nothing() -> None:
    waits, requests = many_clients(200, 5)
    assert max(waits) <= TRIP
    assert requests > 850


@pytest.mark.parametrize(("per_second", "at_most"), [(600, 300), (2000, 300), (20_000, 300)])
def test_many_words_go_together_and_none_waits_longer_than_the_gap(
    per_second: float, at_most: int
) -> None:
    waits, requests = many_clients(per_second, 4)
    assert max(waits) <= 0.006 + TRIP
    assert requests / 4 <= at_most


def test_when_the_load_goes_words_go_at_once_again() -> None:
    pace = AdaptiveBatcher()
    now = 0.0
    for _ in range(200):
        now = max(now + 0.001, pace.due())
        pace.sent(now, 4)
    assert pace.due() > now
    for _ in range(10):
        now += 0.02
        pace.sent(now, 1)
    assert pace.due() <= now
