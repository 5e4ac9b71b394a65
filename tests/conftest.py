"""Fixtures for all tests."""

from __future__ import annotations

import random
from collections.abc import Iterator

import hypothesis
import pytest
import trio

from tests import harness, surroundings

surroundings.normalize()
# A busy machine may take long for one example: that is not a fault of the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives all tests with real processes to one worker: they take turns, beside pure tests."""
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.xdist_group("e2e"))


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
