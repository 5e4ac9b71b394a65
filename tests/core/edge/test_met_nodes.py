"""Which tickets may belong to players who are on their way to another node. No clock, no link."""

from __future__ import annotations

import pytest

from lastcall.core.edge.met_nodes import NAMES_KEPT, MetNodes


def met_nodes() -> MetNodes:
    """Two nodes were met at 0; ``gone`` left at 100, for 7 s."""
    met = MetNodes(7)
    met.meet("gone", 0)
    met.meet("there", 0)
    met.leave("gone", 100)
    return met


@pytest.mark.parametrize(
    ("name", "now", "may"),
    [
        ("gone", 100, True),
        ("gone", 106.9, True),
        ("gone", 107, False),
        ("never met", 106.9, True),
        ("never met", 107, False),
        ("there", 100, False),
        ("", 100, False),
    ],
)
def test_a_node_that_drained_has_left_and_its_players_may_be_seated_for_7_s(
    name: str, now: float, may: bool
) -> None:
    assert met_nodes().may_regroup(name, now) is may


def test_a_player_may_be_on_their_way_from_a_second_node_that_has_left() -> None:
    met = met_nodes()
    met.leave("there", 500)
    assert met.may_regroup("gone", 506.9)
    assert not met.may_regroup("gone", 507)


def test_a_new_node_of_the_same_name_changes_nothing() -> None:
    met = met_nodes()
    met.meet("gone", 101)
    assert met.may_regroup("gone", 106.9)


def test_for_2_s_after_a_new_node_was_met_another_api_node_may_meet_it_later() -> None:
    met = MetNodes(7)
    assert not met.may_regroup("never met", 50)
    met.meet("there", 50)
    assert met.may_regroup("never met", 51.9)
    assert not met.may_regroup("never met", 52)
    assert not met.may_regroup("there", 50)
    assert not met.may_regroup("", 50)


def test_the_names_are_bounded_and_the_oldest_is_forgotten_first() -> None:
    met = met_nodes()
    for number in range(NAMES_KEPT - 1):
        met.meet(f"game-{number}", 0)
    assert len(met) == NAMES_KEPT
    assert "gone" in met
    assert "there" not in met
