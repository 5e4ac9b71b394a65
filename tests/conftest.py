"""Fixtures for all tests."""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from lastcall.runtime import signals
from tests import harness, surroundings

ROOT = Path(__file__).parent.parent
E2E_FILES = {
    str(file.relative_to(ROOT))
    for file in (ROOT / "tests").rglob("test_*.py")
    if "pytest.mark.e2e" in file.read_text(encoding="utf-8")
}
E2E, E2E_WORKER = "e2e", "gw0"
PURE_NICENESS = 5
TESTS_PER_FREEZE = 50
finished = itertools.count(1)

surroundings.normalize()
# Almost nothing that the collection of the tests creates becomes garbage: to look for it is a third
# of the collection's time. `pytest_collection_finish` enables it again.
gc.disable()
# A busy machine may take long for one example: that is not a fault of the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def no_handler_of_a_node_stays() -> Iterator[None]:
    """The watchdog of a node would interrupt the tests that follow in the same process."""
    yield
    assert signal.getsignal(signals.NUDGE) is signal.SIG_DFL


class RealProcessesTakeTurns(LoadScopeScheduling):
    """The first worker runs all tests with real processes; the others run the pure ones beside it.

    Real processes wait for each other most of the time. So there is a worker more than processors,
    and the pure tests leave the processors to real processes, whose times are tested.
    """

    def _split_scope(self, nodeid: str) -> str:
        """A test with all its parameters is one piece: xdist counts all pieces after each test."""
        return E2E if nodeid.partition("::")[0] in E2E_FILES else nodeid.partition("[")[0]

    def schedule(self) -> None:
        workers = sorted(
            self.assigned_work.items(), key=lambda one: one[0].gateway.id != E2E_WORKER
        )
        self.assigned_work = dict(workers)
        super().schedule()

    def _assign_work_unit(self, node: WorkerController) -> None:
        """The tests with real processes, if there are any, are assigned first."""
        if E2E in self.workqueue:
            self.workqueue.move_to_end(E2E, last=False)
        super()._assign_work_unit(node)


def pytest_sessionstart(session: pytest.Session) -> None:
    if getattr(session.config, "workerinput", {"workerid": E2E_WORKER})["workerid"] != E2E_WORKER:
        os.nice(PURE_NICENESS)


def pytest_collection_finish() -> None:
    """Lets no collection of a test look at the modules and at the 12 000 collected tests again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Has later collections leave out the reports of earlier tests, too, and what else they left.

    After thousands of tests a full collection, of which some tests make hundreds, would take 0.4 s.
    """
    if next(finished) % TESTS_PER_FREEZE == 0:
        gc.collect()
        gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    gc.enable()  # this process collects no tests
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
