"""A node's admin port in memory, as collectors ask it; and a whole cluster of them."""

from __future__ import annotations

import httpx
import msgspec
import trio

from lastcall.wire.views import LogLine, NodeCard, NodeFigures, NodeNow


def answer_of(name: str, *logs: str, phase: str = "serving", version: str = "1") -> NodeNow:
    tier = name.partition("-")[0]
    lines = tuple(LogLine(0.0, name, "info", "node.phase", text) for text in logs)
    card = NodeCard(name, tier, version, phase, 3, 4)
    clients = (f"ws://{name}/",) if tier == "api" else ()
    return NodeNow(card, NodeFigures(messages_in=7), clients, lines, f"{name}-7")


class FakeNodes(httpx.AsyncBaseTransport):
    """Nodes by their addresses; each takes ``seconds`` to answer."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeNow] = {}
        self.seconds: dict[str, float] = {}
        self.asked: list[httpx.Request] = []
        self.now = self.most = 0
        """How many are asked at the same time, and were at most."""

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(self.seconds.get(request.url.netloc.decode(), 0.0))
        finally:
            self.now -= 1
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        node = self.nodes.get(request.url.netloc.decode())
        if node is None:
            raise httpx.ConnectError("refused", request=request)
        match request.url.path:
            case "/cluster/node":
                return httpx.Response(200, content=msgspec.json.encode(node))
            case "/cluster/kinds":
                return httpx.Response(200, content=node.card.name.encode())
            case _:
                return httpx.Response(404)

    def asked_for(self, path: str) -> list[tuple[str, str]]:
        """The addresses that were asked for it, and the ``Last-Event-ID`` of each."""
        return [
            (request.url.netloc.decode(), request.headers.get("last-event-id", ""))
            for request in self.asked
            if request.url.path == path
        ]
