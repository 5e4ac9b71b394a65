"""The admin ports of running nodes: status, probes and metrics."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.clients import Clients
from tests.e2e.nodes import Node, Nodes, wait_until
from tests.promtool import promtool

pytestmark = pytest.mark.e2e

STATUS_KEYS = {"name", "tier", "version", "phase", "rooms", "clients", "seconds_left", "why"}
FAMILIES = {
    "lastcall_rooms",
    "lastcall_clients",
    "lastcall_links",
    "lastcall_phase",
    "lastcall_messages",
    "lastcall_rooms_ended",
    "lastcall_client_ends",
    "lastcall_build_info",
    "process_resident_memory_bytes",
}


@pytest.fixture(scope="module")
def pair(shared_nodes: Nodes) -> tuple[Node, Node]:
    """Returns an api node and its game node."""
    return trio.run(lambda: shared_nodes.start_pair("--version", "7"))


async def samples(node: Node) -> dict[tuple[str, str], float]:
    """Returns every sample of ``/metrics`` by its name and the value of its first label."""
    answer = await node.get("/metrics")
    assert answer.status == 200
    families = list(text_string_to_metric_families(answer.body))
    assert {family.name for family in families} >= FAMILIES
    return {
        (sample.name, first_value(sample.labels)): sample.value
        for family in families
        for sample in family.samples
    }


def first_value(labels: Mapping[str, str]) -> str:
    return next(iter(labels.values()), "")


async def test_status_has_exactly_these_keys_and_counts_rooms_and_clients(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    for tier, node in zip(("api", "game"), pair, strict=True):
        status = await node.status()
        assert status.keys() == STATUS_KEYS
        assert (status["tier"], status["phase"]) == (tier, "serving")
        assert (status["rooms"], status["clients"], status["seconds_left"]) == (0, 0, None)
    assert (await pair[0].status())["version"] == "7"
    players = [await clients.connect(pair[0]) for _ in range(2)]
    for player in players:
        await player.join(kind="lounge", new=True)
    for node in pair:
        await node.wait_for_status(within=2, rooms=2, clients=2)
    for player in players:
        await player.send({"t": "leave"})
        await player.hear("ended")
    clients.close()
    for node in pair:
        await node.wait_for_status(within=2, rooms=0, clients=0)


async def test_a_room_that_blocks_the_loop_is_logged_and_the_lag_is_measured(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair(rooms="tests.e2e.odd_rooms")
    client = await clients.connect(api)
    joined = await client.join(kind="thinker")
    for _ in range(3):
        await client.say("hm")
        await client.hear("msg")
    slow = game.event("room.slow_step")
    assert slow is not None
    assert (slow["kind"], slow["room"]) == ("thinker", joined["room"])
    assert 0.1 <= slow["seconds"] < 1
    lags = await samples(game)
    assert lags["lastcall_loop_lag_seconds_count", ""] > 0


async def test_livez_and_readyz_answer_200_and_an_unknown_path_404(pair: tuple[Node, Node]) -> None:
    for node in pair:
        for path in ("/livez", "/readyz"):
            answer = await node.get(path)
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert (await node.get("/nothing")).status == 404


async def test_metrics_can_be_scraped_and_count_the_messages(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    api, game = pair
    before = await samples(api)
    client = await clients.connect(api)
    await client.join(kind="lounge", new=True)
    for number in range(10):
        await client.say(number)
        await client.hear("msg")
    after = await samples(api)
    received = ("lastcall_messages_total", "in")
    sent = ("lastcall_messages_total", "out")
    assert after[received] - before[received] == 12, "one join, one got, ten inputs"
    assert 12 <= after[sent] - before[sent] <= 22, "hello, joined, ten messages, at most ten acks"
    assert after["lastcall_phase", "serving"] == 1
    assert (await samples(game))["lastcall_rooms", ""] == 1
    await client.send({"t": "leave"})
    await game.wait_for_status(within=2, rooms=0)
    assert (await samples(game))["lastcall_rooms_ended_total", "finished"] >= 1


async def test_promtool_finds_no_fault_in_what_both_tiers_export(
    pair: tuple[Node, Node], clients: Clients
) -> None:
    client = await clients.connect(pair[0])
    await client.join(kind="lounge", new=True)
    for node in pair:
        answer = await node.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        promtool("check", "metrics", stdin=answer.body)
    assert (await samples(pair[1]))["lastcall_kind_players", "lounge"] == 1
    await client.send({"t": "leave"})
    await client.hear("ended")


async def test_the_end_of_a_connection_is_counted_and_logged_with_its_cause(
    nodes: Nodes, clients: Clients
) -> None:
    api, _ = await nodes.start_pair("--log-level", "debug")
    client = await clients.connect(api)
    client.close()
    await wait_until(lambda: api.event("client.closed") is not None, within=5)
    event = api.event("client.closed")
    assert event is not None
    assert (event["level"], event["cause"]) == ("debug", "client")
    assert (await samples(api))["lastcall_client_ends_total", "client"] == 1
