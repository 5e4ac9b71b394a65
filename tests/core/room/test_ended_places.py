"""How many ended places a game node remembers."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.ended_places import EndedPlaces
from lastcall.ids import PlayerId


@given(st.integers(0, 200), st.integers(2, 40))
def test_at_least_half_of_the_limit_is_remembered_and_never_more_than_the_limit(
    count: int, places_max: int
) -> None:
    places = EndedPlaces(places_max)
    for number in range(count):
        places.add(PlayerId(f"p{number}"))
        assert len(places) <= places_max
    newest = range(max(0, count - places_max // 2), count)
    assert all(PlayerId(f"p{number}") in places for number in newest)
    assert PlayerId("another") not in places


def test_a_full_memory_takes_256_kib_and_knows_a_stranger_by_mistake_once_in_a_thousand() -> None:
    places = EndedPlaces()
    tracemalloc.start()
    try:
        for number in range(100_000):
            places.add(PlayerId(f"p{number}"))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 300 * 1024
    mistakes = sum(PlayerId(f"guess {number}") in places for number in range(10_000))
    assert mistakes < 40
