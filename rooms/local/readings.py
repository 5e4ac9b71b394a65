"""What a node's admin port tells: ready or not, its status, its counters."""

from __future__ import annotations

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Status", "counter", "is_ready", "messages_out", "open_admin_client", "status"]

ANSWER_SECONDS = 1.0


class Status(msgspec.Struct, frozen=True):
    """``GET /status``. ``why`` is what still keeps the node up, one sentence each."""

    name: str
    tier: str
    phase: str
    version: str = ""
    rooms: int = 0
    clients: int = 0
    seconds_left: float | None = None
    why: list[str] = []


def open_admin_client() -> httpx.AsyncClient:
    """An HTTP client for admin ports: no proxies, no TLS set-up, answers within a second."""
    return httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False, verify=False)  # noqa: S501 - plain HTTP on loopback


async def is_ready(client: httpx.AsyncClient, admin: str) -> bool:
    """Whether ``/readyz`` says 200; a node that does not answer is not ready."""
    try:
        return (await client.get(f"http://{admin}/readyz")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def status(client: httpx.AsyncClient, admin: str) -> Status | None:
    """``/status``, or None when the node does not answer with one."""
    try:
        answer = await client.get(f"http://{admin}/status")
        return msgspec.json.decode(answer.content, type=Status)
    except (httpx.HTTPError, msgspec.DecodeError):
        return None


async def messages_out(client: httpx.AsyncClient, admin: str) -> float | None:
    """How many messages the node has delivered, from ``/metrics``."""
    try:
        text = (await client.get(f"http://{admin}/metrics")).text
        return counter(text, "lastcall_messages_total", direction="out")
    except (httpx.HTTPError, ValueError):
        return None


def counter(text: str, name: str, **labels: str) -> float | None:
    """The sum of the samples ``name`` with ``labels`` in Prometheus' text form; None if none."""
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None
