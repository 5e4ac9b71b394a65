"""The targets of the fuzzer: each seed, and a bounded number of examples near them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import HERE, TARGETS

SEEDS = {
    name: sorted(path.read_bytes() for path in (HERE / "seeds" / name).iterdir())
    for name in TARGETS
}
MODULES = {name: importlib.import_module(f"tests.fuzz.{name}") for name in TARGETS}
"""Some import a file with tests of hypothesis, which may not be done while one of them runs."""


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_survives_its_seeds(name: str) -> None:
    assert SEEDS[name]
    for seed in SEEDS[name]:
        MODULES[name].target(seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_each_target_survives_what_is_near_its_seeds(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[name]))
    begin = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(begin, len(seed)))
    between = data.draw(st.binary(max_size=8) | st.sampled_from(SEEDS[name]))
    MODULES[name].target(seed[:begin] + between + seed[end:])


def test_each_folder_of_seeds_has_its_target() -> None:
    assert {path.name for path in (HERE / "seeds").iterdir()} == set(TARGETS)
    assert all(path.stat().st_size <= 4_096 for path in (HERE / "seeds").glob("*/*"))


def test_the_targets_are_the_modules_of_this_folder() -> None:
    others = {"__main__", "test_targets"}
    assert set(TARGETS) == {path.stem for path in Path(HERE).glob("*.py")} - others
