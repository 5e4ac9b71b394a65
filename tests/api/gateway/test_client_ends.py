"""Why each connection has ended: in the log, and in the metrics."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall.limits import Limits
from lastcall.policy import SocketPolicy
from lastcall.reasons import END_OF_CODE, ClientEnd, Close
from tests.api.conftest import UPGRADE
from tests.api.endings import ENDINGS, Ending
from tests.api.paths import Peer, frame, serving
from tests.api.world import World, open_world


def closed(log_lines: list[bytes]) -> list[dict[str, object]]:
    events = [json.loads(line) for line in log_lines]
    assert not [one for one in events if one["level"] == "error"]
    return [one for one in events if one["event"] == "client.closed"]


async def causes(world: World, log_lines: list[bytes]) -> Counter[ClientEnd]:
    """The causes by the metrics, once all connections are over; the log must agree."""
    await wait_all_tasks_blocked()
    await world.api.node.gateway.wait_empty()
    ends = Counter(world.api.node.figures().client_ends)
    assert Counter(one["cause"] for one in closed(log_lines)) == ends
    return ends


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_every_end_has_its_cause(
    ending: Ending, log_lines: list[bytes], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        await ending.run(world)
        assert await causes(world, log_lines) == Counter(ending.causes)


async def test_the_event_says_how_long_the_connection_lived_and_no_address(
    log_lines: list[bytes], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        peer = await world.client()
        await trio.sleep(7)
        peer.finish()
        await world.api.node.gateway.wait_empty()
    [event] = closed(log_lines)
    assert {key: event[key] for key in event if key not in {"at", "level", "node"}} == {
        "event": "client.closed",
        "cause": "network",
        "code": 1006,
        "seconds": 7.0,
    }


@pytest.mark.usefixtures("path")
async def test_clients_of_a_full_node_are_refused(
    log_lines: list[bytes], autojump_clock: MockClock
) -> None:
    async with open_world(SocketPolicy(limits=Limits(sockets=1))) as world:
        await world.client()
        most = SocketPolicy(limits=Limits(sockets=1)).max_connections
        half_open = [world.dial() for _ in range(most - 1)]
        await wait_all_tasks_blocked()
        assert await world.dial().next() is None
        for peer in half_open:
            await peer.send(UPGRADE)
            assert b" 503 " in await peer.head()
        world.close_peers()
        refused = {ClientEnd.REFUSED: most, ClientEnd.NETWORK: 1}
        assert await causes(world, log_lines) == refused


@pytest.mark.usefixtures("path")
async def test_a_node_that_is_killed_cuts_its_clients(
    log_lines: list[bytes], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        await world.client()
        world.dial()
        await wait_all_tasks_blocked()
        world.connections.cancel_scope.cancel()
        assert await causes(world, log_lines) == {ClientEnd.NODE: 2}


@pytest.mark.parametrize("pumped", [True, False], ids=["pump", "plain"])
async def test_a_bug_of_the_node_is_not_the_networks_fault(
    pumped: bool, monkeypatch: pytest.MonkeyPatch, log_lines: list[bytes]
) -> None:
    async with serving(monkeypatch, pumped=pumped) as server:
        peer: Peer = await server.client()
        await peer.send(frame(b"boom"))
        await peer.rest()
        await server.gateway.wait_empty()
        assert server.gateway.counts.ends == {ClientEnd.NODE: 1}


def test_every_close_code_has_a_cause() -> None:
    assert END_OF_CODE.keys() == set(Close)
