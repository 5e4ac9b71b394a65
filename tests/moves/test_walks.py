"""Random walks of whole clusters hold the law of rooms that move or survive."""

from __future__ import annotations

import pytest

from tests.moves import walk

WALKS = 200
AT_ONCE = 10
OPEN = 92
"""Not mended yet: while all game nodes are replaced within 1.3 s, a player who resumes a surviving
room hears that it has no such place."""


@pytest.mark.parametrize("first", range(0, WALKS, AT_ONCE))
def test_each_player_hears_one_history_whatever_happens_to_nodes_and_links(first: int) -> None:
    broken = {seed: walk.run(seed) for seed in range(first, first + AT_ONCE) if seed != OPEN}
    assert not any(broken.values()), "\n".join(
        f"seed {seed}: {fault}" for seed, faults in broken.items() for fault in faults
    )


@pytest.mark.xfail(strict=True, reason="a surviving room is lost while all its nodes are replaced")
def test_a_surviving_room_is_not_lost_while_all_game_nodes_are_replaced_at_once() -> None:
    assert not walk.run(OPEN)
