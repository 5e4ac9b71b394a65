"""An api node that takes clients at several addresses, of both protocols; one is shared."""

from __future__ import annotations

import json
import socket

import pytest
import trio
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lastcall.local.admin_client import command, open_admin_client
from tests.e2e.nodes import ANY_PORT, Node, Nodes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv4 and IPv6"),
]


async def answer_at(address: str) -> str | int:
    """Connects a client; returns the name of its node, the status of a refusal, or ``closed``."""

    def ask() -> str | int:
        try:
            with connect(f"ws://{address}/", open_timeout=5, proxy=None) as client:
                return str(json.loads(client.recv(timeout=5))["node"])
        except InvalidStatus as refused:
            return refused.response.status_code
        except ConnectionRefusedError:
            return "closed"

    return await trio.to_thread.run_sync(ask)


async def tell(node: Node, verb: str) -> None:
    async with open_admin_client() as client:
        await command(client, node.admin, verb)


async def test_a_cordon_and_a_drain_apply_to_each_address_and_leave_a_shared_one_to_other_nodes(
    nodes: Nodes,
) -> None:
    game = nodes.game()
    await game.wait_started()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shared = ("--listen", f"fd:{listener.fileno()}")
        several = ("--listen", "[::]:0", "--listen", ANY_PORT, *shared)
        api = nodes.api(game.listen, *several, pass_fds=[listener.fileno()])
        await api.wait_ready()
        everywhere, loopback, common = api.listen.split(",")
        port = everywhere.removeprefix("[::]:")
        own = [f"127.0.0.1:{port}", f"[::1]:{port}", loopback]
        assert [await answer_at(address) for address in [*own, common]] == [api.name] * 4

        await tell(api, "cordon")
        assert [await answer_at(address) for address in own] == [503] * 3
        other = nodes.api(game.listen, *shared, pass_fds=[listener.fileno()])
        await other.wait_ready()
        assert await answer_at(common) == other.name

        await tell(api, "uncordon")
        assert [await answer_at(address) for address in own] == [api.name] * 3
        api.signal()
        assert await api.exit_code(within=10) == 0
        assert [await answer_at(address) for address in own] == ["closed"] * 3
        assert await answer_at(common) == other.name
