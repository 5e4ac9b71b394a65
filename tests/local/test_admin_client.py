"""Requests to the admin ports of several nodes."""

from __future__ import annotations

import socket

import pytest
import trio
from prometheus_client import CollectorRegistry

from lastcall.bus.address import HostPort
from lastcall.local.admin_client import (
    ask_all,
    command,
    links,
    messages_out,
    open_admin_client,
    status,
    why_not_ready,
)
from lastcall.runtime.admin.server import AdminPort
from tests.runtime.admin.test_server import NodeView


async def test_all_nodes_are_asked_at_once_and_the_answers_are_in_order(autojump_clock):
    async def ask(seconds):
        await trio.sleep(seconds)
        return seconds

    started_at = trio.current_time()
    assert await ask_all([3, 1, 2, 1], ask) == [3, 1, 2, 1]
    assert trio.current_time() - started_at == 3


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "::", "127.0.0.1", "::1", "localhost"])  # noqa: S104
async def test_a_node_on_this_machine_takes_commands_wherever_it_listens(host):
    if ":" in host and not socket.has_ipv6:
        pytest.skip("needs IPv6")
    view = NodeView()
    port = await AdminPort.open(HostPort(host, 0), view, CollectorRegistry())
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, open_admin_client() as client:
            await nursery.start(lambda *, task_status: port.serve(task_status=task_status))
            address = str(HostPort(host, port.address.port))
            assert await why_not_ready(client, address) == ""
            assert (await status(client, address)).name == "api-1"
            for verb, phase in (("cordon", "cordoned"), ("uncordon", "serving")):
                assert (await command(client, address, verb)).phase == phase
            assert await messages_out(client, address) is None  # it has no such metric
            assert await links(client, address) is None
            nursery.cancel_scope.cancel()
