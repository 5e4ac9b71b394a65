"""A rolling update and a node that is missing, behind each proxy of ``deploy/proxies``, with TLS:
nobody notices.

The proxies run the files as they are, with the addresses of the test in place of those in them.
Everybody comes from an address of their own, and claims another one: an address may connect only a
few times, so everybody is served only if their own address counts.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count, cycle
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from lastcall.client import Place, connect
from tests.e2e.nodes import POLL_SECONDS, ROOT, Node, Nodes, wait_until
from tests.e2e.test_tls import Pair

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

FILES = ROOT / "deploy" / "proxies"
HOSTS = ("127.0.0.1", "127.0.0.2")
SOURCES = [f"127.0.1.{number}" for number in range(1, 200)]
PLAYERS, GUESTS = 6, 20
VISIT_SECONDS, TALK_SECONDS = 0.04, 0.05
PATIENCE_SECONDS = 10.0
CHECK_SECONDS = 0.5
"""How often the proxies ask a node whether it is ready."""
CONNECTS = 6
"""How often an address may connect."""
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n"
)


class Site(NamedTuple):
    """The ports of the proxy, of the nodes on both hosts, and of their admin port."""

    proxy: int
    listen: int
    admin: int
    pair: Pair


def envoy() -> str | None:
    """The path of Envoy, from PyPI or the system."""
    wheel = importlib.util.find_spec("envoy")
    bundled = wheel and wheel.origin and Path(wheel.origin).parent / "_bin" / "envoy"
    return shutil.which(bundled) if bundled else shutil.which("envoy")


def filled(file: str, site: Site, *replacements: tuple[str, str]) -> str:
    """A file of ``deploy/proxies`` with the addresses of the test; each must be in it."""
    text = (FILES / file).read_text(encoding="utf-8")
    ours = (
        ("10.0.0.5", HOSTS[0]),
        ("10.0.0.6", HOSTS[1]),
        ("8080", str(site.listen)),
        ("/etc/lastcall/tls.crt", str(site.pair.certificate)),
        ("/etc/lastcall/tls.key", str(site.pair.key)),
    )
    for old, new in (*ours, *replacements):
        assert old in text, f"{old} is not in {file}"
        text = text.replace(old, new)
    return text


def start_nginx(nodes: Nodes, site: Site) -> None:
    folder = nodes.folder
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    listen = ("listen 443", f"listen 127.0.0.1:{site.proxy}")
    config = folder / "nginx.conf"
    config.write_text(filled("nginx.conf", site, listen, ("http {", f"http {{ {paths}")))
    settings = f"daemon off; pid {folder}/nginx.pid; error_log stderr;"
    nodes.run("nginx", "nginx", "-c", str(config), "-e", "stderr", "-g", settings)


def start_caddy(nodes: Nodes, site: Site) -> None:
    options = "{\n admin off\n auto_https disable_redirects\n}\n"
    name = ("play.example:443", f"{options}https://localhost:{site.proxy}")
    config = nodes.folder / "Caddyfile"
    config.write_text(filled("Caddyfile", site, name, ("9001", str(site.admin))))
    home = {"HOME": str(nodes.folder), "XDG_DATA_HOME": str(nodes.folder)}
    command = ("caddy", "run", "--adapter", "caddyfile", "--config", str(config))
    nodes.run("caddy", *command, env=home)


def start_envoy(nodes: Nodes, site: Site) -> None:
    listen = ("address: 0.0.0.0, port_value: 443", f"address: 127.0.0.1, port_value: {site.proxy}")
    config = nodes.folder / "envoy.yaml"
    config.write_text(filled("envoy.yaml", site, listen, ("9001", str(site.admin))))
    options = ("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning")
    nodes.run("envoy", str(envoy()), "-c", str(config), *options)


def start_haproxy(nodes: Nodes, site: Site) -> None:
    both = nodes.folder / "tls.pem"
    both.write_bytes(site.pair.certificate.read_bytes() + site.pair.key.read_bytes())
    environment = {"LASTCALL_HTTP": f"127.0.0.1:{site.proxy}", "LASTCALL_TLS": str(both)}
    for unused in ("LASTCALL_TCP", "LASTCALL_STATS"):
        environment[unused] = f"unix@{nodes.folder}/{unused}"
    for number, host in enumerate(HOSTS * 2, 1):
        port = (site.listen, site.admin) if number <= len(HOSTS) else (1, 1)
        environment[f"LASTCALL_API_{number}"] = f"{host}:{port[0]}"
        environment[f"LASTCALL_API_{number}_CHECK"] = f"{host}:{port[1]}"
    command = ("haproxy", "-db", "-f", str(FILES / "haproxy.cfg"))
    nodes.run("haproxy", *command, env=environment)


class Proxy(NamedTuple):
    """How to start it, and what its nodes need."""

    program: str | None
    start: Callable[[Nodes, Site], None]
    options: tuple[str, ...] = ()


PROXIES = {
    "nginx": Proxy(shutil.which("nginx"), start_nginx),
    "caddy": Proxy(shutil.which("caddy"), start_caddy, ("--lame-duck", "1.5")),
    "envoy": Proxy(envoy(), start_envoy),
    "haproxy": Proxy(shutil.which("haproxy"), start_haproxy),
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Reserves the nodes' ports by sockets that do not listen."""
    with ExitStack() as reserved:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            proxy = listener.getsockname()[1]
        yield Site(proxy, _reserve(reserved), _reserve(reserved), Pair(tmp_path))


def _reserve(stack: ExitStack) -> int:
    """A port that is free on both hosts."""
    while True:
        port = 0
        for host in HOSTS:
            bound = stack.enter_context(socket.socket())
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the node sets it, too
            try:
                bound.bind((host, port))
            except OSError:
                break
            port = int(bound.getsockname()[1])
        else:
            return port


class Guests:
    """Players who talk in one lounge, and visitors, who connect and go."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sources = cycle(SOURCES)
        self.visits: Counter[str] = Counter()
        """By the node that said hello."""
        self.visited_at: dict[str, float] = {}
        """When each node last said hello, as trio's clock."""
        self.failed: list[str] = []
        self.said: set[tuple[int, int]] = set()
        self.heard: list[list[tuple[int, int]]] = [[] for _ in range(PLAYERS)]
        self.begin, self.stop = trio.Event(), trio.Event()
        self._talking = PLAYERS

    async def open_stream(self, _url: str = "") -> trio.abc.Stream:
        """TLS to the proxy, from another address each time."""
        tcp = trio.socket.socket()
        try:
            await tcp.bind((next(self._sources), 0))
            await tcp.connect(("127.0.0.1", self._site.proxy))
        except OSError:
            tcp.close()
            raise
        return trio.SSLStream(
            trio.SocketStream(tcp),
            self._site.pair.trust,
            server_hostname="localhost",
            https_compatible=True,
        )

    async def wait_proxy(self) -> None:
        """Waits until the proxy leads to a node."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not self.visits:
                with suppress(OSError):
                    await self.visit()
                await trio.sleep(POLL_SECONDS)
        self.failed.clear()

    async def wait_open(self) -> None:
        """Waits until the proxy's port is open."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                with suppress(OSError):
                    await (await trio.open_tcp_stream("127.0.0.1", self._site.proxy)).aclose()
                    return
                await trio.sleep(POLL_SECONDS)

    async def visit(self, stay: trio.Event | None = None) -> None:
        """One visit: connects, reads hello, and goes, or stays until the event."""
        stream, answer = await self.open_stream(), b""
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                await stream.send_all(REQUEST)
                while b'"version"' not in answer:
                    answer += (news := await stream.receive_some())
                    if not news:
                        raise trio.BrokenResourceError("closed")  # noqa: TRY301
            node = answer.partition(b'"node":"')[2].partition(b'"')[0].decode()
            self.visits[node] += 1
            self.visited_at[node] = trio.current_time()
            if stay is not None:
                await stay.wait()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            self.failed.append(f"{error!r} after {answer[:80]!r}")
        finally:
            await trio.aclose_forcefully(stream)

    async def visit_again_and_again(self) -> None:
        async with trio.open_nursery() as visits:
            while not self.stop.is_set():
                visits.start_soon(self.visit)
                await trio.sleep(VISIT_SECONDS)

    async def wait_visited(self, node: Node) -> None:
        """Waits until the proxy has sent somebody there."""
        await wait_until(lambda: self.visits[node.name] > 0, within=PATIENCE_SECONDS)

    async def wait_known(self, node: Node) -> None:
        """Waits until the proxy sends somebody to a node, and has asked since the node is ready.

        An answer from just before that makes a proxy avoid the node for one more interval.
        """
        known_at = trio.current_time() + 2 * CHECK_SECONDS
        await wait_until(
            lambda: self.visited_at.get(node.name, 0) > known_at, within=PATIENCE_SECONDS
        )

    async def play(self, number: int, room: str, *, task_status: trio.TaskStatus[str]) -> None:
        """Talks and listens until all is heard that was said before the stop."""
        url = f"wss://localhost:{self._site.proxy}"
        seat = {"room": room} if room else {"kind": "lounge", "new": True}
        async with connect(url, **seat, open_stream=self.open_stream) as place:
            task_status.started(place.room)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, number, place)
                await self._talk(number, place)
                await wait_until(lambda: self._is_heard_by(number), within=PATIENCE_SECONDS)
                nursery.cancel_scope.cancel()

    async def _talk(self, number: int, place: Place) -> None:
        await self.begin.wait()  # all are seated, so that all hear everything
        for word in count(1):
            if self.stop.is_set():
                break
            self.said.add((number, word))
            await place.say([number, word])
            await trio.sleep(TALK_SECONDS)
        self._talking -= 1

    async def _listen(self, number: int, place: Place) -> None:
        async for message in place:
            self.heard[number].append(tuple(message.data["said"]))

    def _is_heard_by(self, number: int) -> bool:
        return self._talking == 0 and len(self.heard[number]) >= len(self.said)


async def start_api(nodes: Nodes, site: Site, host: str, game: Node, *options: str) -> Node:
    """Starts an api node behind the proxy, and waits until it is ready."""
    node = nodes.api(
        *(game.listen, "--listen", f"{host}:{site.listen}", "--admin", f"{host}:{site.admin}"),
        *("--trusted-proxies", "127.0.0.0/24", *options),
    )
    await node.wait_ready()
    return node


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> Proxy:
    """Each proxy that is installed."""
    found = PROXIES[request.param]
    if found.program is None:
        pytest.skip(f"{request.param} is not installed")
    return found


async def test_nobody_notices_that_a_node_is_missing_when_the_proxy_starts(
    proxy: Proxy, nodes: Nodes, site: Site
) -> None:
    game = nodes.game()
    await game.wait_started()
    node = await start_api(nodes, site, HOSTS[1], game)
    proxy.start(nodes, site)
    guests = Guests(site)
    await guests.wait_open()
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(GUESTS):
            nursery.start_soon(guests.visit, go)
            await trio.sleep(VISIT_SECONDS)
        await wait_until(
            lambda: guests.visits.total() + len(guests.failed) == GUESTS, within=PATIENCE_SECONDS
        )
        go.set()
    assert (guests.visits, guests.failed) == ({node.name: GUESTS}, [])


async def test_nobody_notices_that_both_api_nodes_are_replaced_behind(
    proxy: Proxy, nodes: Nodes, site: Site
) -> None:
    limits = nodes.folder / "limits.toml"
    limits.write_text(f"[limits]\nhandshakes = {{ burst = {CONNECTS}, per-second = 0.01 }}\n")
    game = nodes.game()
    await game.wait_started()

    options = ("--config", str(limits), "--clients", "move", "--spread", "0.5", "--grace", "20")

    async def start(host: str) -> Node:
        return await start_api(nodes, site, host, game, *options, *proxy.options)

    running = [await start(host) for host in HOSTS]
    proxy.start(nodes, site)
    guests = Guests(site)
    await guests.wait_proxy()
    async with trio.open_nursery() as nursery:
        room = ""
        for number in range(PLAYERS):
            room = await nursery.start(guests.play, number, room)
        guests.begin.set()
        nursery.start_soon(guests.visit_again_and_again)
        for old, host in zip(running, HOSTS, strict=True):
            await guests.wait_visited(old)
            old.signal()
            assert await old.exit_code(within=15) == 0
            await guests.wait_known(await start(host))
        guests.stop.set()

    assert guests.failed == []
    for heard in guests.heard:
        assert sorted(heard) == sorted(guests.said), "everything, once"
    stopped = [node for node in nodes.processes if isinstance(node, Node) and not node.running]
    finished = [node.events[-1] for node in stopped]
    assert [event["clients_cut"] for event in finished] == [0, 0]
    assert sum(event["clients_moved"] for event in finished) >= PLAYERS
