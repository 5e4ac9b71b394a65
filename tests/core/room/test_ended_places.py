"""How many ended places a game node remembers."""

from __future__ import annotations

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
