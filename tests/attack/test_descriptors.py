"""Strangers use up the descriptors of a node; a probe must find it alive nevertheless."""

from __future__ import annotations

import errno
import http.client
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio

from tests.e2e.clients import Clients
from tests.e2e.nodes import ANY_PORT, ANY_URL, POLL_SECONDS, Node, Nodes, wait_until

pytestmark = pytest.mark.e2e

DESCRIPTORS = 256
SOFT = 192
"""The hard limit of a node under test, and where its other ports must stop."""
STRANGERS = 600
PROBES = 100
PROBE_SECONDS = 1.0
REQ, PUB = b"\x00SP\x00\x00\x30\x00\x00", b"\x00SP\x00\x00\x20\x00\x00"
"""The first bytes of nng as an uplink and as a feed; with them, a connection stays for ever."""
TOKEN = "0123456789abcdef"  # noqa: S105 - a test's


def limited(nodes: Nodes, tier: str, *options: str) -> Node:
    """Starts a node that may have 256 descriptors."""
    shell = f'ulimit -n {DESCRIPTORS}; exec "$@"'
    arguments = ("--name", f"{tier}-1", "--admin", ANY_PORT, "--log-format", "json", *options)
    command = ["sh", "-c", shell, "sh", sys.executable, "-m", tier, *arguments]
    node = Node(f"{tier}-1", command, nodes.folder)
    nodes.processes.append(node)
    return node


@contextmanager
def crowd(address: str, hello: bytes = b"") -> Iterator[None]:
    """600 connections to ``address`` that send ``hello`` and then nothing; those that the node
    ends are renewed.
    """
    host, _, port = address.rpartition(":")
    leave = threading.Event()
    thread = threading.Thread(target=_flood, args=((host, int(port)), hello, leave))
    thread.start()
    try:
        yield
    finally:
        leave.set()
        thread.join()


def _flood(where: tuple[str, int], hello: bytes, leave: threading.Event) -> None:
    poll = select.epoll()
    open_sockets: dict[int, socket.socket] = {}

    def connect() -> None:
        stranger = socket.socket()
        stranger.setblocking(False)
        assert stranger.connect_ex(where) in {0, errno.EINPROGRESS}
        open_sockets[stranger.fileno()] = stranger
        poll.register(stranger, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    for _ in range(STRANGERS):
        connect()
    while not leave.is_set():
        for number, _event in poll.poll(0.05):
            stranger = open_sockets[number]
            try:
                if hello:
                    stranger.send(hello)
                ended = not stranger.recv(1000)
            except BlockingIOError:
                continue
            except OSError:
                ended = True
            if ended:
                open_sockets.pop(number).close()
                connect()
    for stranger in open_sockets.values():
        stranger.close()
    poll.close()


def probe(admin: str) -> float:
    """The seconds until ``/livez`` has answered 200 on a new connection."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(admin, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    return time.monotonic() - began


def descriptors(node: Node) -> int:
    return len(os.listdir(f"/proc/{node.pid}/fd"))  # noqa: PTH208 - names are enough


async def assert_alive(node: Node) -> None:
    """Fails if one of a hundred probes takes a second, or if strangers' lines fill the log."""
    await wait_until(lambda: descriptors(node) >= SOFT - 4, within=20)
    slowest = 0.0
    for _ in range(PROBES):
        slowest = max(slowest, await trio.to_thread.run_sync(probe, node.admin))
    assert slowest < PROBE_SECONDS
    assert [event for event in node.events if event["level"] in {"error", "critical"}] == []
    assert len(node.warnings) <= 24, "four kinds: five lines at once, then one in 20 s"


@pytest.mark.parametrize("hello", [b"", REQ], ids=["silent", "like nng"])
async def test_a_crowd_at_the_port_for_nodes_does_not_reach_livez(
    nodes: Nodes, hello: bytes
) -> None:
    game = limited(nodes, "game", "--listen", ANY_URL)
    await game.wait_started()
    with crowd(game.listen.removeprefix("tcp://"), hello):
        await assert_alive(game)


async def test_a_crowd_at_the_feed_reaches_neither_livez_nor_the_log_of_the_client_port(
    nodes: Nodes,
) -> None:
    game = nodes.game()
    await game.wait_started()
    with socket.create_server(("127.0.0.1", 0)) as free:
        feed = f"127.0.0.1:{free.getsockname()[1]}"
    options = ("--listen", ANY_PORT, "--feed", f"tcp://{feed}", "--games", game.listen)
    api = limited(nodes, "api", *options)
    await api.wait_ready()
    with crowd(feed, PUB):
        await wait_until(lambda: descriptors(api) >= SOFT - 4, within=20)
        host, _, port = api.listen.rpartition(":")
        with ExitStack() as stack:
            with trio.fail_after(10):
                while not api.event("clients.not_accepted"):  # a few descriptors may still be free
                    stack.enter_context(socket.create_connection((host, int(port))))
                    await trio.sleep(POLL_SECONDS)
            await assert_alive(api)
    said = [event for event in api.warnings if event["event"] == "clients.not_accepted"]
    assert 1 <= len(said) <= 6, "five at once, then one in 20 s"
    assert all("traceback" not in event for event in api.events)


async def test_a_crowd_at_the_client_port_does_not_reach_livez(nodes: Nodes) -> None:
    game = nodes.game()
    await game.wait_started()
    options = ("--listen", ANY_PORT, "--feed", ANY_URL, "--games", game.listen)
    api = limited(nodes, "api", *options)
    await api.wait_ready()
    before = descriptors(api)
    with crowd(api.listen):
        await wait_until(lambda: descriptors(api) >= before + 80, within=20)
        for _ in range(PROBES):
            assert await trio.to_thread.run_sync(probe, api.admin) < PROBE_SECONDS
    assert [event for event in api.events if event["level"] in {"error", "critical"}] == []


async def test_an_operator_can_drain_a_node_whose_descriptors_are_used_up(nodes: Nodes) -> None:
    token = nodes.folder / "token"
    token.write_text(TOKEN)
    game = limited(nodes, "game", "--listen", ANY_URL, "--admin-token-file", str(token))
    await game.wait_started()
    command = (sys.executable, "-m", "lastcall", "drain", "--admin")
    with crowd(game.listen.removeprefix("tcp://"), REQ):
        await wait_until(lambda: descriptors(game) >= SOFT - 4, within=20)
        drain = nodes.run("drain", *command, game.admin, "--admin-token-file", str(token))
        assert await drain.exit_code(within=20) == 0, drain.stderr_text
        assert await game.exit_code(within=20) == 0


async def test_a_node_serves_again_when_the_crowd_has_gone(nodes: Nodes, clients: Clients) -> None:
    game = limited(nodes, "game", "--listen", ANY_URL)
    await game.wait_started()
    before = descriptors(game)
    with crowd(game.listen.removeprefix("tcp://"), REQ):
        await assert_alive(game)
    await wait_until(lambda: descriptors(game) <= before + 8, within=20)
    api = nodes.api(game.listen)
    await api.wait_ready()
    client = await clients.connect(api)
    assert (await client.join(kind="lounge", new=True))["t"] == "joined"
