"""Real proxies in front of a gateway: the address that counts is the client's own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from lastcall.api.gateway.handshake import EntryRules
from lastcall.api.gateway.tls import ServerTls
from lastcall.core.edge.addresses import parse_networks
from tests.api.conftest import UPGRADE
from tests.api.paths import Server, serving
from tests.e2e.nodes import POLL_SECONDS, Nodes, wait_until

pytestmark = pytest.mark.e2e

needs_haproxy = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="haproxy is not installed: apt-get install haproxy"
)
needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is not installed: apt-get install nginx"
)

CLIENT = "127.0.0.3"
HERE = parse_networks("127.0.0.1")

HAPROXY = """
defaults
    mode {mode}
    timeout connect 1s
    timeout client 1h
    timeout server 1h
listen nodes
    bind fd@{descriptor}
    {options}
    server node {node} source 127.0.0.1 {settings}
"""

NGINX = """
daemon off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{node};
            proxy_bind 127.0.0.1;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection Upgrade;
            proxy_set_header Host $host;
            {header}
        }}
    }}
}}
"""


@asynccontextmanager
async def gateway(
    monkeypatch: pytest.MonkeyPatch, rules: EntryRules
) -> AsyncIterator[tuple[Server, str]]:
    """A gateway that listens, and its address."""
    async with serving(monkeypatch, pumped=True, rules=rules) as server:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.nursery.start_soon(
            lambda: server.gateway.serve(listeners, handler_nursery=server.nursery)
        )
        yield server, f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"


async def counted(
    server: Server, port: int, request: bytes, trust: ssl.SSLContext | None = None
) -> str:
    """The address that counts for a client at :data:`CLIENT`, or the first line of its refusal.

    A proxy that still starts is asked again.
    """
    while True:
        with socket.socket() as end:
            end.bind((CLIENT, 0))
            end.setblocking(False)
            stream: trio.abc.Stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
            with contextlib.suppress(OSError, trio.BrokenResourceError):
                await stream.socket.connect(("127.0.0.1", port))
                if trust is not None:
                    stream = trio.SSLStream(stream, trust, server_hostname="play.example")
                await stream.send_all(request)
                head = bytes(await stream.receive_some())
                if b" 101 " in head:
                    await wait_until(lambda: server.sessions, within=5)
                    return server.sessions[0].guest.address
                if head:
                    return head.partition(b"\r\n")[0].decode()
        await trio.sleep(POLL_SECONDS)


def start_haproxy(nodes: Nodes, node: str, mode: str, options: str, settings: str) -> int:
    listener = socket.create_server(("127.0.0.1", 0))
    config = nodes.folder / "haproxy.cfg"
    descriptor = listener.fileno()
    config.write_text(
        HAPROXY.format(
            mode=mode, descriptor=descriptor, node=node, options=options, settings=settings
        )
    )
    nodes.run("haproxy", "haproxy", "-db", "-f", str(config), pass_fds=[descriptor])
    port = int(listener.getsockname()[1])
    listener.close()
    return port


def start_nginx(nodes: Nodes, node: str, header: str) -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    folder = nodes.folder
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, node=node, header=header, temporary=temporary)
    )
    nodes.run("nginx", "nginx", "-c", str(config), "-e", f"{folder}/error.log")
    return port


SPOOFED = UPGRADE.replace(
    b"\r\n\r\n", b"\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n"
)
HAPROXY_SETTINGS = {
    "send-proxy-v2": ("tcp", "", "send-proxy-v2", SPOOFED),
    "send-proxy": ("tcp", "", "send-proxy", SPOOFED),
    "send-proxy-v2 with checks": ("tcp", "", "send-proxy-v2 check inter 100ms", SPOOFED),
    "send-proxy-v2 over HTTP": ("http", "option forwardfor", "send-proxy-v2", SPOOFED),
    "forwardfor": ("http", "option forwardfor", "", UPGRADE),
    "forwardfor in place of what a client says": (
        "http",
        "option forwardfor\n    http-request del-header forwarded",
        "",
        SPOOFED,
    ),
}


@needs_haproxy
@pytest.mark.parametrize("how", HAPROXY_SETTINGS)
async def test_behind_haproxy_a_clients_own_address_counts(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    mode, options, settings, request = HAPROXY_SETTINGS[how]
    async with gateway(monkeypatch, EntryRules(proxies=HERE)) as (server, node):
        port = start_haproxy(nodes, node, mode, options, settings)
        assert await counted(server, port, request) == CLIENT


@needs_haproxy
async def test_behind_haproxy_a_proxy_header_comes_before_tls(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    pair, trust = authority.issue_cert("play.example"), ssl.create_default_context()
    authority.configure_trust(trust)
    pair.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "node.pem"))
    tls = ServerTls(tmp_path / "node.pem", tmp_path / "node.pem")
    async with gateway(monkeypatch, EntryRules(proxies=HERE, tls=tls)) as (server, node):
        port = start_haproxy(nodes, node, "tcp", "", "send-proxy-v2")
        assert await counted(server, port, UPGRADE, trust) == CLIENT


@needs_haproxy
async def test_haproxy_is_not_believed_unless_it_is_trusted(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(monkeypatch, EntryRules()) as (server, node):
        port = start_haproxy(nodes, node, "tcp", "", "send-proxy-v2")
        assert await counted(server, port, UPGRADE) == "HTTP/1.1 400 Bad Request"


ADDED = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
NONE = 'proxy_set_header Forwarded "";'
RFC_7239 = """
    proxy_set_header X-Forwarded-For "";
    proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=$scheme";
"""
NGINX_HEADERS = {
    "X-Forwarded-For": (ADDED + NONE, CLIENT),
    "Forwarded": (RFC_7239, CLIENT),
    "one header, and the other as the client sent it": (ADDED, "127.0.0.1"),
}


@needs_nginx
@pytest.mark.parametrize("how", NGINX_HEADERS)
async def test_behind_nginx_the_address_that_it_adds_counts_and_none_that_a_client_adds(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    header, address = NGINX_HEADERS[how]
    async with gateway(monkeypatch, EntryRules(proxies=HERE)) as (server, node):
        port = start_nginx(nodes, node, header)
        assert await counted(server, port, SPOOFED) == address
