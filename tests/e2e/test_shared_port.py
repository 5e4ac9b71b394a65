"""Two api nodes on one client port: through an inherited listening socket, or haproxy."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
import trio
from websockets.exceptions import InvalidStatus

from tests.e2e.clients import Client, Clients
from tests.e2e.nodes import Node, Nodes

pytestmark = pytest.mark.e2e

HAPROXY = """
global
    maxconn 500
defaults
    mode http
    timeout connect 200ms
    timeout client 1h
    timeout server 5s
    timeout tunnel 1h
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response 503
listen apis
    bind fd@{descriptor}
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz
    default-server check inter 500ms fall 1 rise 1
"""


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listening socket for child processes; connections wait in its backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


async def open_and_close(clients: Clients, target: str) -> str:
    """Opens a client and closes it again; returns the name of its api node."""
    client = await clients.connect(target)
    await trio.to_thread.run_sync(client.close)
    return str(client.heard[0]["node"])


async def test_two_api_nodes_share_a_listening_socket_and_one_that_stops_resets_no_connection(
    nodes: Nodes, clients: Clients, port: socket.socket
) -> None:
    game = nodes.game()
    await game.wait_started()
    inherited = f"fd:{port.fileno()}"
    apis = [
        nodes.api(game.listen, "--listen", inherited, "--spread", "0.2", pass_fds=[port.fileno()])
        for _ in range(2)
    ]
    for api in apis:
        await api.wait_ready()
    opened: Counter[str] = Counter()
    refused: list[tuple[int, bool]] = []
    while opened.total() < 200:
        if opened.total() == 50 and not refused:
            apis[0].signal()
        try:
            opened[await open_and_close(clients, address(port))] += 1
        except InvalidStatus as invalid:
            response = invalid.response
            refused.append((response.status_code, "Retry-After" in response.headers))
    assert refused in ([], [(503, True)]), "at most one handshake was under way at the signal"
    assert opened["api-2"] >= 130, "the draining node accepted no more"
    assert await apis[0].exit_code(within=5) == 0
    assert apis[1].running


def start_haproxy(nodes: Nodes, port: socket.socket, apis: list[Node]) -> None:
    """Starts haproxy for the api nodes; until it is up, connections wait in the backlog."""
    servers = [
        f"    server {api.name} {api.listen} check port {api.admin.rpartition(':')[2]}\n"
        for api in apis
    ]
    config = nodes.folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(descriptor=port.fileno()) + "".join(servers))
    nodes.run("haproxy", "haproxy", "-db", "-f", str(config), pass_fds=[port.fileno()])


@pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="haproxy is not installed: apt-get install haproxy"
)
async def test_behind_haproxy_every_client_can_connect_while_an_api_node_drains(
    nodes: Nodes, clients: Clients, port: socket.socket
) -> None:
    game = nodes.game()
    await game.wait_started()
    apis = [nodes.api(game.listen), nodes.api(game.listen)]
    for api in apis:
        await api.wait_ready()
    start_haproxy(nodes, port, apis)
    ann, bob = await connect_to_both(clients, address(port))
    room = (await ann.join(kind="tictactoe"))["room"]
    await bob.join(room=room)
    await ann.hear("msg")

    before = await open_20_per_second(clients, address(port), 10)
    assert before.keys() == {"api-1", "api-2"}
    draining = apis[0] if ann.heard[0]["node"] == "api-1" else apis[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play_on, ann, bob)
        draining.signal()
        after = await open_20_per_second(clients, address(port), 40)
    assert after.total() == 40, "no connection failed"
    assert await draining.exit_code(within=5) == 0
    staying = "api-2" if draining is apis[0] else "api-1"
    assert await open_20_per_second(clients, address(port), 5) == {staying: 5}


async def connect_to_both(clients: Clients, target: str) -> tuple[Client, Client]:
    """Returns two clients on different api nodes."""
    ann = bob = await clients.connect(target)
    with trio.fail_after(5):
        while bob.heard[0]["node"] == ann.heard[0]["node"]:
            bob = await clients.connect(target)
    return ann, bob


async def open_20_per_second(clients: Clients, target: str, count: int) -> Counter[str]:
    """Opens ``count`` clients at a fixed rate; returns the number for each api node."""
    opened: Counter[str] = Counter()
    started_at = trio.current_time()
    for number in range(count):
        await trio.sleep_until(started_at + number / 20)
        opened[await open_and_close(clients, target)] += 1
    return opened


async def play_on(ann: Client, bob: Client) -> None:
    """Plays a match to its end while the api node of ``ann`` drains."""
    await ann.hear("draining")
    for player, cell in ((ann, 0), (bob, 3), (ann, 1), (bob, 4), (ann, 2)):
        await player.say({"cell": cell})
        await ann.hear("msg")
    for player in (ann, bob):
        assert (await player.hear("ended"))["reason"] == "finished"
    await ann.hear("move")
    assert await ann.close_code() == 1012
