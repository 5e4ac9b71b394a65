"""The walks are not blind: each of some faults in the product is found within those of CI."""

from __future__ import annotations

import pytest

from tests.moves import walk
from tests.moves.mutants import FOUND, Mutant
from tests.moves.test_walks import WALKS


@pytest.mark.parametrize("mutant", FOUND, ids=lambda mutant: mutant.__name__)
def test_a_walk_finds_that_a_rule_is_missing(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert any(walk.run(seed) for seed in (FOUND[mutant], *range(WALKS)))
