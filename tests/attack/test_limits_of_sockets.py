"""Strangers who want more handshakes or sockets than their share: one beyond each limit."""

from __future__ import annotations

import pytest
import trio

from lastcall.core.edge.addresses import TrustedProxies
from lastcall.limits import Limit, Rate
from tests.api.conftest import UPGRADE
from tests.attack.limited_world import (
    ANN,
    MALLORY,
    NEVER,
    PROXY,
    PathAuth,
    answer,
    client,
    is_busy,
    leave,
    limited,
    refused,
    request,
)

WAYS = ["reset", "end", "close frame", "half a frame", "bad frames", "not a frame", "move"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_third_socket_of_an_address_gets_503_until_one_of_the_two_has_ended(
    autojump_clock, way: str
) -> None:
    async with limited(sockets_per_address=2) as world:
        first, _ = await client(world, MALLORY), await client(world, MALLORY)
        for _ in range(5):
            assert is_busy(await answer(world, MALLORY))
        await client(world, ANN)
        assert refused(world) == {Limit.SOCKETS_PER_ADDRESS: 5}
        await leave(world, first, way)
        await client(world, MALLORY)


async def test_a_third_socket_of_an_identity_gets_503_wherever_it_comes_from(
    autojump_clock,
) -> None:
    async with limited(sockets_per_identity=2, auth=PathAuth()) as world:
        first = await client(world, MALLORY, "/alice")
        await client(world, "192.0.2.77", "/alice")
        assert is_busy(await answer(world, "192.0.2.78", "/alice"))
        await client(world, MALLORY, "/bob")
        assert refused(world) == {Limit.SOCKETS_PER_IDENTITY: 1}
        await leave(world, first, "reset")
        await client(world, "192.0.2.79", "/alice")


async def test_a_socket_beyond_those_of_the_node_gets_503(autojump_clock) -> None:
    async with limited(sockets=2) as world:
        first, _ = await client(world, MALLORY), await client(world, ANN)
        assert is_busy(await answer(world, ANN))
        assert refused(world) == {Limit.SOCKETS: 1}
        await leave(world, first, "reset")
        await client(world, ANN)


async def test_of_ever_new_sockets_of_an_address_5_come_in_and_one_a_second(
    autojump_clock,
) -> None:
    async with limited(handshakes=Rate(5, 1)) as world:
        came_in = 0
        for _ in range(100):
            head = await answer(world, MALLORY)
            came_in += b" 101 " in head
            assert b" 101 " in head or is_busy(head)
            world.close_peers()
            await trio.sleep(0.1)
        assert came_in in {5 + 9, 5 + 10}
        assert refused(world) == {Limit.HANDSHAKES: 100 - came_in}
        await client(world, ANN)


async def test_a_subscriber_with_2_to_the_64_addresses_has_one_count(autojump_clock) -> None:
    async with limited(handshakes=Rate(3, NEVER)) as world:
        heads = [await answer(world, f"2001:db8:1:2:{number:x}::1") for number in range(6)]
        assert [is_busy(head) for head in heads] == [False] * 3 + [True] * 3
        await client(world, "2001:db8:1:3::1")


async def test_a_connection_beyond_an_addresss_half_open_ones_is_closed_unheard(
    autojump_clock,
) -> None:
    async with limited(TrustedProxies(), handshakes_per_address=3) as world:
        half_open = [world.dial() for _ in range(3)]
        for peer in half_open:
            await peer.send(UPGRADE[:20])
        assert await world.dial().rest() == []
        assert refused(world) == {Limit.HANDSHAKES_PER_ADDRESS: 1}
        await half_open[0].send(UPGRADE[20:])
        assert b" 101 " in await half_open[0].head()
        assert b" 101 " in await answer(world, MALLORY)


async def test_half_open_connections_through_a_tcp_balancer_are_counted_by_the_clients_address(
    autojump_clock,
) -> None:
    async with limited(handshakes_per_address=3) as world:
        line = f"PROXY TCP4 {MALLORY} 192.0.2.9 4711 8080\r\n".encode()
        for _ in range(3):
            await world.dial().send(line + UPGRADE[:20])
        beyond = world.dial()
        await beyond.send(line)
        assert await beyond.rest() == []
        assert refused(world) == {Limit.HANDSHAKES_PER_ADDRESS: 1}
        assert b" 101 " in await answer(world, ANN)
        other = world.dial()
        await other.send(line.replace(MALLORY.encode(), ANN.encode()) + UPGRADE)
        assert b" 101 " in await other.head()


@pytest.mark.parametrize("proxies", [PROXY, TrustedProxies()], ids=["behind a proxy", "direct"])
async def test_handshakes_that_wait_for_an_identity_are_under_way(
    autojump_clock, proxies: TrustedProxies
) -> None:
    async with limited(proxies, handshakes_per_address=3, auth=PathAuth()) as world:
        waiting = [world.dial() for _ in range(3)]
        for peer in waiting:
            await peer.send(request(MALLORY, "/slow"))
        if proxies is PROXY:
            assert is_busy(await answer(world, MALLORY, "/bob"))
        else:
            assert await world.dial().rest() == []
        assert refused(world) == {Limit.HANDSHAKES_PER_ADDRESS: 1}
        for peer in waiting:
            assert b" 101 " in await peer.head()
        await client(world, MALLORY, "/bob")
