"""The addresses that ``lastcall up`` shows hold as long as the cluster runs. Nodes are scripts."""

from __future__ import annotations

import json
import socket
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse
from lastcall.local.bots.ledger import Ledger
from lastcall.local.cluster import open_cluster
from lastcall.local.dashboard.local import LocalPage, serving
from lastcall.local.plan import Plan
from lastcall.local.roll.service import Rolls
from lastcall.policy import DrainPolicy

FREE = HostPort("127.0.0.1", 0)
DRAIN = DrainPolicy(grace_seconds=5, farewell_seconds=0.1)
LIMIT_SECONDS = 20


@asynccontextmanager
async def running(plan, start):
    """A cluster of fake nodes that are all ready, and an HTTP client."""
    with trio.fail_after(LIMIT_SECONDS):
        async with open_cluster(plan, print, start=start) as cluster:
            rolls = Rolls(cluster, Ledger(trio.current_time), 0, lambda *_: None)
            async with serving(LocalPage(cluster, rolls, None)):
                await cluster.wait_ready()
                async with httpx.AsyncClient(trust_env=False) as client:
                    yield cluster, client


async def replace(cluster, child):
    """Replaces one node with a new one."""
    successor = cluster.launch(child.tier, "2")
    await successor.became_ready.wait()
    await cluster.replace(child)
    return successor


async def test_the_page_is_at_the_same_address_after_every_node_was_replaced(fake_nodes):
    async with running(Plan(client=FREE, admin=FREE, drain=DRAIN), fake_nodes()) as (cluster, http):
        for child in list(cluster.children):
            await replace(cluster, child)
            answer = await http.get(cluster.page)
            assert answer.status_code == 200
            assert "unsafe" not in answer.headers["content-security-policy"]
        for path in ("lastcall.js", "demo"):
            assert (await http.get(f"{cluster.page}{path}")).status_code == 200


async def test_the_page_is_there_when_all_api_nodes_have_died(fake_nodes):
    plan = Plan(client=FREE, admin=FREE, drain=DRAIN)
    async with running(plan, fake_nodes()) as (cluster, http):
        for dying in cluster.living("api"):
            dying.kill()
            await dying.ended.wait()
        assert (await http.get(cluster.page)).status_code == 200


async def test_the_page_s_port_has_no_path_of_a_node(fake_nodes):
    async with running(Plan(1, 1, FREE, FREE, drain=DRAIN), fake_nodes()) as (cluster, http):
        page = httpx.URL(cluster.page)
        for path in ("/status", "/metrics", "/readyz", "/cluster/node", "/page/../status"):
            assert (await http.get(page.copy_with(raw_path=path.encode()))).status_code == 404
        for path in ("/drain", "/demo", "/cluster/events"):
            refused = await http.post(page.join(path), headers={"X-Lastcall": "1"})
            assert refused.status_code in {404, 405}


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def admin_of(child):
    """Returns the admin address that a fake node was told to take."""
    ready = next(json.loads(line) for line in child.output.lines if "node.ready" in line)
    return ready["options"]["--admin"]


async def test_no_node_takes_the_admin_port_of_a_node_of_the_other_tier(fake_nodes):
    plan = Plan(1, 1, FREE, HostPort("127.0.0.1", unused_port()), drain=DRAIN)
    async with running(plan, fake_nodes()) as (cluster, _):
        api, game = cluster.children
        admins = {"api": {admin_of(api)}, "game": {admin_of(game)}}
        for _ in range(3):
            api, game = await replace(cluster, api), await replace(cluster, game)
            admins["api"].add(admin_of(api))
            admins["game"].add(admin_of(game))
        assert not admins["api"] & admins["game"]
        assert str(plan.admin) not in admins["api"] | admins["game"]


async def test_a_page_s_port_that_is_in_use_is_an_error_that_names_the_option():
    with socket.create_server(("127.0.0.1", 0)) as used:
        plan = Plan(client=FREE, admin=HostPort("127.0.0.1", used.getsockname()[1]))
        with pytest.raises(AddressInUse, match=r"is in use.*choose another port .*with --admin"):
            async with open_cluster(plan, print):
                pass
