"""A burst reaches every client that reads; a client that does not read learns why it was closed."""

from __future__ import annotations

import time

import pytest
import trio

from lastcall.policy import SocketPolicy
from tests.e2e.clients import Client, Clients, undisturbed
from tests.e2e.nodes import Node, Nodes, wait_until

pytestmark = pytest.mark.e2e

KIB, MIB = 1024, 1024 * 1024
SOCKET = SocketPolicy()
PATIENCE_SECONDS = SOCKET.stalled_seconds + 3


@pytest.fixture
async def api(nodes: Nodes) -> Node:
    return (await nodes.start_pair(rooms="game.examples,tests.e2e.burst_rooms"))[0]


async def order(talker: Client, messages: int, message_bytes: int) -> None:
    await talker.say({"messages": messages, "message_bytes": message_bytes})


@pytest.mark.parametrize(
    ("messages", "message_bytes"),
    [(5, 250 * KIB), (1_100, KIB), (60, 255 * KIB)],
)
async def test_a_burst_in_one_step_reaches_each_client_that_reads(
    api: Node, clients: Clients, messages: int, message_bytes: int
) -> None:
    async with undisturbed(clients, api):
        readers = [await clients.connect(api, receive_buffer=64 * KIB) for _ in range(3)]
        room = (await readers[0].join(kind="bursts", new=True))["room"]
        for reader in readers[1:]:
            await reader.join(room=room)
        await order(readers[0], messages, message_bytes)
        for reader in readers:
            for seq in range(1, messages + 1):
                frame = await reader.hear("msg")
                assert (frame["seq"], len(frame["d"])) == (seq, message_bytes)


async def test_a_client_that_reads_again_soon_after_it_was_given_up_gets_4100(
    api: Node, clients: Clients
) -> None:
    async with undisturbed(clients, api):
        talker = await clients.connect(api)
        slow, deaf = [
            await clients.connect(api, receive_buffer=4 * KIB, max_queue=1) for _ in range(2)
        ]
        room = (await talker.join(kind="bursts", new=True))["room"]
        await slow.join(room=room)
        await deaf.join(room=room)
        before, begin = api.resident_bytes, time.monotonic()
        await order(talker, 50, 250 * KIB)
        for _ in range(50):
            await talker.hear("msg")
        await wait_until(lambda: len(given_up(api)) == 2, within=PATIENCE_SECONDS)
        assert time.monotonic() - begin > SOCKET.stalled_seconds - 1
        assert api.resident_bytes - before < 64 * MIB
        assert {event["code"] for event in given_up(api)} == {4100}
        assert await slow.close_code() == 4100
        with trio.fail_after(SOCKET.flush_seconds + 5):
            while (await api.status())["clients"] != 3:  # the talker and two bystanders
                await trio.sleep(0.05)


async def test_four_rooms_that_send_15_mib_each_at_once_reset_no_link_and_close_nobody(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair(rooms="game.examples,tests.e2e.burst_rooms")
    async with undisturbed(clients, api):
        players = [await clients.connect(api) for _ in range(4)]
        for player in players:
            await player.join(kind="bursts", new=True)
        before = game.resident_bytes
        async with trio.open_nursery() as nursery:
            for player in players:
                nursery.start_soon(order, player, 60, 255 * KIB)
                nursery.start_soon(hear_all, player, 60)
        assert game.resident_bytes - before < 256 * MIB
        assert [event["event"] for event in game.events if event["event"] == "link.dropped"] == []


async def hear_all(player: Client, messages: int) -> None:
    for seq in range(1, messages + 1):
        assert (await player.hear("msg", within=30))["seq"] == seq


def given_up(api: Node) -> list[dict[str, object]]:
    return [event for event in api.events if event["event"] == "client.too_slow"]
