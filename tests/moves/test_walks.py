"""Random walks of whole clusters hold the law of rooms that move or survive."""

from __future__ import annotations

import pytest

from tests.moves import walk

WALKS = 200
AT_ONCE = 10


@pytest.mark.parametrize("first", range(0, WALKS, AT_ONCE))
def test_each_player_hears_one_history_whatever_happens_to_nodes_and_links(first: int) -> None:
    broken = {seed: walk.run(seed) for seed in range(first, first + AT_ONCE)}
    assert not any(broken.values()), "\n".join(
        f"seed {seed}: {fault}" for seed, faults in broken.items() for fault in faults
    )
