"""The ``/metrics`` of the nodes under test."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import trio

from lastcall.bench.nodes.fleet import Fleet
from lastcall.errors import ClusterFailed
from lastcall.local.admin_client import admin_url, counter

EVERY_SECONDS = 0.5
ANSWER_SECONDS = 10.0
WAIT_SECONDS = 15.0


async def read_metrics(fleet: Fleet, client: httpx.AsyncClient, name: str) -> str:
    """The node's metrics as text; raises ``httpx.TransportError`` if it does not answer."""
    ready = fleet.nodes[name].ready
    assert ready is not None
    url = admin_url(ready.admin, "metrics")
    return (await client.get(url, timeout=ANSWER_SECONDS)).text


async def wait_for_metrics(
    fleet: Fleet, client: httpx.AsyncClient, wanted: Mapping[str, tuple[str, float]]
) -> None:
    """Waits until each node has the value of its metric; raises :class:`ClusterFailed`."""
    with trio.move_on_after(WAIT_SECONDS) as limit:
        for name, (metric, value) in wanted.items():
            while counter(await read_metrics(fleet, client, name), metric) != value:  # noqa: ASYNC110
                await trio.sleep(EVERY_SECONDS)  # another process has no event for it
    if limit.cancelled_caught:
        raise ClusterFailed(f"{name}: {metric} was not {value:g} within {WAIT_SECONDS:g} s")
