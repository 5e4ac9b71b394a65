"""How far a request follows a room that moves. No clock, no link."""

from __future__ import annotations

from lastcall.core.edge.moved_rooms import MOVES_MAX, Trail


def test_a_trail_leads_to_the_last_node_that_was_named() -> None:
    trail = Trail()
    assert trail.to is None
    for node in (7, 8):
        trail.follow(node)
        assert (trail.to, trail.endless) == (node, False)


def test_a_trail_ends_at_a_node_that_does_not_have_the_room_and_at_no_other() -> None:
    trail = Trail()
    trail.follow(7)
    trail.refused(8)
    assert trail.to == 7
    trail.refused(7)
    assert trail.to is None


def test_a_circle_of_two_nodes_ends_after_8_moves() -> None:
    trail, followed = Trail(), 0
    while not trail.endless:
        trail.follow(7 + trail.moves % 2)
        followed += trail.to is not None
    assert followed == MOVES_MAX == 8
    assert trail.to is None
