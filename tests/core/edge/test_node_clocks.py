"""When game nodes started, whatever their clocks and ours say. No clock, no link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.node_clocks import TRUSTED_SECONDS, NodeClocks

NOON = 1_700_000_000.0
DAY = 86_400.0


def test_a_clock_that_agrees_within_5_s_is_believed() -> None:
    clocks = NodeClocks(wall=NOON, now=100.0)
    for off in (-5.0, 0.0, 5.0):
        assert clocks.seconds_ahead(NOON + 20 + off, age_seconds=30.0, now=150.0) == 0.0


@pytest.mark.parametrize("ahead", [-3_600.0, -5.1, 5.1, 3_600.0])
def test_the_start_by_another_clock_is_moved_to_ours(ahead: float) -> None:
    clocks = NodeClocks(wall=NOON, now=100.0)
    assert clocks.seconds_ahead(NOON + 20 + ahead, 30.0, now=150.0) == pytest.approx(ahead)


def test_a_node_that_does_not_tell_its_age_is_believed() -> None:
    assert NodeClocks(wall=NOON, now=100.0).seconds_ahead(0.0, None, now=150.0) == 0.0


SKEWS = st.floats(-2 * DAY, 2 * DAY)


@given(
    st.floats(0, DAY),
    st.floats(2 * TRUSTED_SECONDS + 0.1, DAY),
    st.lists(st.tuples(SKEWS, SKEWS, SKEWS), min_size=1, max_size=3),
    st.floats(0, DAY),
)
def test_of_two_nodes_started_over_10_s_apart_every_api_node_ranks_the_later_as_newer(
    started_at: float,
    apart: float,
    skews: list[tuple[float, float, float]],
    later: float,
) -> None:
    for ours, first_clock, second_clock in skews:
        clocks = NodeClocks(wall=NOON + ours, now=0.0)
        now = started_at + apart + later
        starts = []
        for at, skew in ((started_at, first_clock), (started_at + apart, second_clock)):
            born = NOON + at + skew
            starts.append(born - clocks.seconds_ahead(born, now - at, now))
        assert starts[0] < starts[1]
