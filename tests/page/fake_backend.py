"""A server of the page that tells it of a cluster that a test makes up, of any size."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "rooms" / "page"
CLIENT = ROOT / "api" / "static" / "lastcall.js"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
VERBS = ("roll", "cordon", "uncordon", "drain", "kill")


def node(name: str, tier: str, **more: Any) -> dict[str, Any]:
    """A node of a ``cluster`` event."""
    plain = {"version": "0.2.0", "phase": "serving", "rooms": 0, "clients": 0, "why": []}
    timeless = {"seconds_left": None, "grace": None, "admin": "", "pid": None, "dead": ""}
    return {"name": name, "tier": tier, "generation": 1, **plain, **timeless, **more}


def figures(
    names: list[str], seconds: int, players: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A ``figures`` event of nodes with 10 messages in and 40 out a second."""
    totals = {"messages_in": 10 * seconds, "messages_out": 40 * seconds}
    rest = {"rooms": 7, "clients": 21, "limited": 0, "rooms_cut": 0, "lag_p99": 0.0004}
    nodes = {name: {**totals, **rest} for name in names}
    return {"at": 1_800_000_000.0 + seconds, "nodes": nodes, "players": players}


class FakeBackend:
    """Serves the page, and the events that :meth:`publish` is given; keeps the commands it got."""

    def __init__(self, clients: list[str], kinds: list[dict[str, Any]], port: int = 0) -> None:
        self.kinds = kinds
        self.commands: list[tuple[str, Any, str | None]] = []
        self.refusal = ""
        self.requests: list[str] = []
        self.last_ids: list[str | None] = []
        self._clients = clients
        self._events: list[tuple[str, str]] = []
        self._changed = threading.Condition()
        self._open = True
        self._server = _Server(self, port)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def cluster(self, *nodes: dict[str, Any], **more: Any) -> None:
        """Publishes the state of a cluster of these nodes."""
        plain = {"at": time.time(), "about": "cluster", "clients": self._clients}
        self.publish("cluster", {**plain, "verbs": VERBS, "roll": None, "nodes": nodes, **more})

    def log(self, node: str, event: str, text: str, level: str = "info") -> None:
        line = {"at": time.time(), "node": node, "level": level, "event": event, "text": text}
        self.publish("log", line)

    def publish(self, name: str, data: Any) -> None:
        with self._changed:
            self._events.append((name, json.dumps(data)))
            self._changed.notify_all()

    def events(self, last: int) -> Iterator[tuple[int, str, str]]:
        """The events after number ``last``, as they come, until the end."""
        while True:
            with self._changed:
                while self._open and len(self._events) <= last:
                    self._changed.wait()
                if not self._open:
                    return
                news = self._events[last:]
            for name, data in news:
                last += 1
                yield last, name, data

    def stop(self) -> None:
        """Ends at once: streams break off, and the port refuses connections."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, backend: FakeBackend, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.backend = backend

    def handle_error(self, *_args: object) -> None:
        """A browser closes connections when it likes."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.backend.requests.append(path)
        if path == "/cluster/events":
            self._stream()
        elif path == "/cluster/kinds":
            self._answer(200, "application/json", json.dumps(self.server.backend.kinds).encode())
        else:
            self._file(path)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.backend.commands.append((self.path, body, self.headers["x-lastcall"]))
        if self.server.backend.refusal:
            self._answer(409, "text/plain", self.server.backend.refusal.encode())
        else:
            self._answer(200, "application/json", b"{}")

    def _file(self, path: str) -> None:
        file = {"/": PAGE / "index.html", "/lastcall.js": CLIENT}.get(path)
        if path.startswith("/page/"):
            file = PAGE / Path(path).name
        if file is None or not file.is_file():
            self._answer(404, "text/plain", b"no such file")
        else:
            self._answer(200, TYPES[file.suffix], file.read_bytes())

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-cache")
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        last = self.headers["last-event-id"]
        self.server.backend.last_ids.append(last)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"retry: 200\n\n")
        for number, name, data in self.server.backend.events(int(last or 0)):
            self.wfile.write(f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode())

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@contextmanager
def serving(
    clients: list[str], kinds: list[dict[str, Any]], port: int = 0
) -> Iterator[FakeBackend]:
    backend = FakeBackend(clients, kinds, port)
    try:
        yield backend
    finally:
        backend.stop()
