"""Strangers, web pages and neighbours on the same machine at a node's admin port."""

from __future__ import annotations

import http.client
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.clients import Clients
from tests.e2e.javascript import chromium
from tests.e2e.nodes import ANY_URL, Node, Nodes, Process, Response, wait_until

pytestmark = pytest.mark.e2e

TOKEN = "0123456789abcdef"  # noqa: S105 - a test's
PROBE_SECONDS = 1.0
INJECTED = """() => {
    const script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.head.append(script);
    const style = document.createElement("style");
    style.textContent = "h1 { color: rgb(1, 2, 3) }";
    document.head.append(style);
    return [window.injected, getComputedStyle(document.querySelector("h1")).color];
}"""


@pytest.fixture
def token(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return str(file)


def ask(admin: str, method: str, path: str, **headers: str) -> Response:
    """Sends a request with these headers; ``Host`` replaces the usual one."""
    connection = http.client.HTTPConnection(admin, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return Response(answer.status, answer.read().decode(), dict(answer.getheaders()))
    finally:
        connection.close()


def lastcall(nodes: Nodes, *arguments: str, folder: Path | None = None) -> Process:
    env = {} if folder is None else {"XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder)}
    shell = ("sh", "-c", 'exec "$@" >&2', "sh")  # all that it says is in stderr_text
    return nodes.run("lastcall", *shell, sys.executable, "-m", "lastcall", *arguments, env=env)


async def test_a_neighbour_on_loopback_cannot_command_a_node_that_has_a_token(
    nodes: Nodes, token: str
) -> None:
    game = nodes.game("--admin-token-file", token)
    await game.wait_started()
    command = {"X-Lastcall": "1"}
    assert ask(game.admin, "POST", "/drain", **command).status == 403
    wrong = {"Authorization": "Bearer " + "x" * 16}
    assert ask(game.admin, "POST", "/drain", **command, **wrong).status == 403
    refused = lastcall(nodes, "cordon", "--admin", game.admin)
    assert await refused.exit_code(within=20) == 1
    assert "--admin-token-file" in refused.stderr_text
    assert (await game.status())["phase"] == "serving"
    done = lastcall(nodes, "cordon", "--admin", game.admin, "--admin-token-file", token)
    assert await done.exit_code(within=20) == 0, done.stderr_text
    assert (await game.status())["phase"] == "cordoned"
    assert TOKEN not in game.stderr_text


async def test_a_page_that_rebinds_its_name_reads_nothing(nodes: Nodes) -> None:
    game = nodes.game("--admin-hosts", "ops.example", "--advertise", "game.internal")
    await game.wait_started()
    port = game.admin.rpartition(":")[2]
    for path in ("/status", "/metrics"):
        for host in (f"rebound.example:{port}", "ops.example.rebound.example", ""):
            answer = ask(game.admin, "GET", path, Host=host)
            assert (answer.status, "lastcall_" in answer.body) == (403, False)
        for host in (game.name, "ops.example:80", f"game.internal:{port}", f"localhost:{port}"):
            assert ask(game.admin, "GET", path, Host=host).status == 200
        for host in ("10.1.2.3:9101", "[fd00::1]:9101", game.admin):
            assert ask(game.admin, "GET", path, Host=host).status == 200
    for path in ("/livez", "/readyz"):
        assert ask(game.admin, "GET", path, Host="balancer.example").status == 200


async def test_a_websocket_is_not_opened(nodes: Nodes) -> None:
    game = nodes.game()
    await game.wait_started()

    def open_websocket() -> None:
        with pytest.raises(InvalidStatus):
            connect(f"ws://{game.admin}/status", proxy=None)

    await trio.to_thread.run_sync(open_websocket)
    assert [event for event in game.events if event["level"] == "error"] == []


async def test_a_thousand_idle_connections_and_rubbish_leave_probes_and_the_log_alone(
    nodes: Nodes,
) -> None:
    game = nodes.game()
    await game.wait_started()
    host, _, port = game.admin.rpartition(":")
    rubbish = (
        b"",
        b"GET /livez HTT",
        b"\x16\x03\x01\x02",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"\xff" * 999,
    )
    strangers = []
    for number in range(1000):
        stranger = socket.create_connection((host, int(port)), source_address=("127.0.0.2", 0))
        stranger.sendall(rubbish[number % len(rubbish)])
        strangers.append(stranger)
        if number % 50 == 0:
            began = time.monotonic()
            assert (await game.get("/livez")).status == 200
            assert time.monotonic() - began < PROBE_SECONDS
    await wait_until(lambda: open_descriptors(game) < 150, within=10)
    for stranger in strangers:
        stranger.close()
    assert game.warnings == []


def open_descriptors(node: Node) -> int:
    return len(list(Path(f"/proc/{node.pid}/fd").iterdir()))


async def test_livez_answers_within_a_second_while_a_room_blocks_the_loop(
    nodes: Nodes, clients: Clients
) -> None:
    api, game = await nodes.start_pair(rooms="tests.e2e.odd_rooms")
    client = await clients.connect(api)
    await client.send({"t": "join", "kind": "spinner"})
    await wait_until(lambda: game.event("blocking"), within=10)
    for _ in range(20):
        began = time.monotonic()
        answer = await game.get("/livez")
        assert (answer.status, answer.body) == (200, "ok")
        assert time.monotonic() - began < PROBE_SECONDS
    with pytest.raises(TimeoutError):
        ask_quickly(game.admin, "/status")


def ask_quickly(admin: str, path: str) -> None:
    connection = http.client.HTTPConnection(admin, timeout=0.5)
    try:
        connection.request("GET", path)
        connection.getresponse()
    finally:
        connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])  # noqa: S104 - that is the fault
async def test_a_node_says_once_that_its_admin_port_is_open_to_everybody(
    nodes: Nodes, token: str, host: str
) -> None:
    exposed = nodes.game("--admin", f"{host}:0")
    guarded = nodes.game("--admin", f"{host}:0", "--admin-token-file", token)
    local = nodes.game()
    for node in (exposed, guarded, local):
        await node.wait_started()
    await wait_until(lambda: exposed.warnings, within=5)
    [warning] = exposed.warnings
    assert warning["event"] == "node.exposed"
    assert "--admin-token-file" in warning["hint"]
    assert (guarded.warnings, local.warnings) == ([], [])


async def test_a_local_cluster_with_a_token_is_rolled_and_commanded(
    nodes: Nodes, token: str
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="lc-"))  # short, as sockets require
    small = ("--apis", "1", "--games", "1", "--bots", "0", "--port", "0", "--admin", "127.0.0.1:0")
    try:
        up = lastcall(nodes, "up", *small, "--admin-token-file", token, folder=folder)
        await wait_for_cluster(nodes, folder)
        wanted = lastcall(nodes, "cordon", "--all", folder=folder)
        assert await wanted.exit_code(within=20) == 1
        assert "--admin-token-file" in wanted.stderr_text
        roll = lastcall(nodes, "roll", folder=folder)
        assert await roll.exit_code(within=40) == 0, roll.stderr_text
        allowed = lastcall(nodes, "drain", "--all", "--admin-token-file", token, folder=folder)
        assert await allowed.exit_code(within=20) == 0, allowed.stderr_text
        assert await up.exit_code(within=30) == 0, up.stderr_text
    finally:
        nodes.kill_all()
        shutil.rmtree(folder)


async def wait_for_cluster(nodes: Nodes, folder: Path) -> None:
    with trio.fail_after(30):
        while True:
            status = lastcall(nodes, "status", folder=folder)
            if await status.exit_code(within=20) == 0:
                return


def injected_into(path: str, url: str) -> tuple[Any, list[str], str]:
    """Injects a script and a style into the demo page; returns their effects, the script errors of
    the page, and the weight of its own style.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (it may not be installed)

    from tests.e2e.chromium_puppet import ARGS  # noqa: PLC0415

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.locator("#state[data-state=here]").wait_for(timeout=10_000)
        weight = page.evaluate("getComputedStyle(document.querySelector('dd')).fontWeight")
        injected = page.evaluate(INJECTED)
        browser.close()
    return injected, errors, weight


async def test_the_demo_page_works_and_an_injected_script_or_style_does_not(nodes: Nodes) -> None:
    path = chromium()
    if path is None:
        pytest.skip("needs chromium and playwright (apt-get install chromium)")
    game = nodes.game("--listen", ANY_URL)
    await game.wait_started()
    api = nodes.api(game.listen)
    await api.wait_ready()
    url = f"http://{api.admin}/demo?ws=ws://{api.listen}"
    injected, errors, weight = await trio.to_thread.run_sync(injected_into, path, url)
    assert (injected[0], errors) == (None, [])
    assert injected[1] != "rgb(1, 2, 3)"
    assert weight == "600", "the page's own style holds"
