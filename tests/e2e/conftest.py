"""Fixtures that start nodes and clients; the report of a failed test has the nodes' stderr."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.clients import Clients
from tests.e2e.nodes import Nodes

_running: list[Nodes] = []


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Starts nodes for one test, and ends them after it."""
    yield from _nodes_in(tmp_path_factory)


@pytest.fixture(scope="module")
def shared_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Starts nodes for all tests of a file, and ends them after the last one."""
    yield from _nodes_in(tmp_path_factory)


def _nodes_in(folders: pytest.TempPathFactory) -> Iterator[Nodes]:
    nodes = Nodes(folders.mktemp("nodes"))
    _running.append(nodes)
    try:
        yield nodes
    finally:
        _running.remove(nodes)
        nodes.kill_all()


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Opens clients for one test, and closes them after it."""
    clients = Clients()
    yield clients
    clients.close()


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """The folder for temporary files and control sockets; its path is short, as sockets require."""
    with TemporaryDirectory(prefix="lc-") as folder:
        yield Path(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for process in (process for nodes in _running for process in nodes.processes):
            report.sections.append((f"stderr of {process.name}", process.stderr_text[-8_000:]))
    return report
