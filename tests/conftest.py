"""Fixtures for all tests."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio
from xdist.scheduler import LoadScopeScheduling

from tests import harness, surroundings

ROOT = Path(__file__).parent.parent
E2E_FILES = {
    str(file.relative_to(ROOT))
    for file in (ROOT / "tests").rglob("test_*.py")
    if "pytest.mark.e2e" in file.read_text(encoding="utf-8")
}

surroundings.normalize()
# Almost nothing that the collection of the tests creates becomes garbage: to look for it is a third
# of the collection's time. `pytest_collection_finish` enables it again.
gc.disable()
# A busy machine may take long for one example: that is not a fault of the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


class RealProcessesTakeTurns(LoadScopeScheduling):
    """One worker runs all tests with real processes, and the others run the pure ones beside it."""

    def _split_scope(self, nodeid: str) -> str:
        """A test with all its parameters is one piece: xdist counts all pieces after each test."""
        return "e2e" if nodeid.partition("::")[0] in E2E_FILES else nodeid.partition("[")[0]


def pytest_collection_finish() -> None:
    """Lets no collection of a test look at the modules and at the 12 000 collected tests again."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return RealProcessesTakeTurns(config, log)


@pytest.fixture(params=range(20))
def schedule(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs the test under 20 orders of tasks: one lucky order proves nothing.

    trio shuffles the tasks that can run in each turn; here the shuffle has a seed, so that an
    order in which a test fails can be repeated. The random sources of a cluster's nodes have that
    seed, too.
    """
    runner_random = trio._core._run._r
    state = runner_random.getstate()
    runner_random.seed(request.param)
    harness.seed = int(request.param)
    yield harness.seed
    harness.seed = 0
    runner_random.setstate(state)


@pytest.fixture
def rng(schedule: int) -> random.Random:
    return random.Random(schedule)
