"""Processes and clients that end with the test, and stderr that is shown when it fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.e2e.clients import Clients
from tests.e2e.nodes import Nodes

_running: list[Nodes] = []


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Starts nodes for one test."""
    yield from _lent(tmp_path_factory)


@pytest.fixture(scope="module")
def shared_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Starts nodes for all tests of a file."""
    yield from _lent(tmp_path_factory)


def _lent(folders: pytest.TempPathFactory) -> Iterator[Nodes]:
    nodes = Nodes(folders.mktemp("nodes"))
    _running.append(nodes)
    yield nodes
    _running.remove(nodes)
    nodes.bury()


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Opens clients for one test."""
    clients = Clients()
    yield clients
    clients.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for process in (process for nodes in _running for process in nodes.processes):
            report.sections.append((f"stderr of {process.name}", process.words[-8_000:]))
    return report
