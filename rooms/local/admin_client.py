"""Asks the nodes' admin ports: readiness, status, counters, commands.

Anything may be at such a port: an answer takes two seconds and 4 MiB at most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import trio
from prometheus_client.parser import text_string_to_metric_families

from lastcall.bus.address import parse_host_port
from lastcall.errors import ClusterFailed, CommandForbidden, UsageError
from lastcall.local.printable import all_printable, printable
from lastcall.runtime.admin.auth import read_token
from lastcall.wire import UNREADABLE
from lastcall.wire.reports import Status

ANSWER_SECONDS = 1.0
"""For each step of an answer; twice as long for all of it."""
ANSWER_BYTES = 4 * 1024 * 1024
MESSAGE_MAX = 300
CONNECTIONS = 128
"""More than the nodes that are asked at the same time."""

T = TypeVar("T")
R = TypeVar("R")


def open_admin_client(token: bytes | None = None) -> httpx.AsyncClient:
    """An HTTP client for admin ports: no proxies, no TLS, a timeout of one second.

    ``token`` is sent with each request: nodes that have one require it for commands.
    """
    headers = {b"Accept-Encoding": b"identity"}
    if token is not None:
        headers[b"Authorization"] = b"Bearer " + token
    return httpx.AsyncClient(
        timeout=ANSWER_SECONDS,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        headers=headers,
        trust_env=False,
        verify=False,  # noqa: S501 - it speaks plain HTTP
    )


class Answer(msgspec.Struct, frozen=True):
    """The answer of an admin port."""

    status_code: int
    content: bytes


async def fetch(
    client: httpx.AsyncClient, method: str, admin: str, path: str, **request: Any
) -> Answer:
    """The answer to a request at an admin port; raises ``httpx.HTTPError``, also for one that is
    too large, too late, or compressed.
    """
    parts, left = list[bytes](), ANSWER_BYTES
    with trio.move_on_after(2 * ANSWER_SECONDS) as patience:
        async with client.stream(method, admin_url(admin, path), **request) as answer:
            if "content-encoding" in answer.headers:
                raise httpx.ReadError("it is compressed")
            async for part in answer.aiter_bytes():
                parts.append(part)
                left -= len(part)
                if left < 0:
                    patience.cancel()  # the next read ends, and closes what is open
        return Answer(answer.status_code, b"".join(parts))
    if left < 0:
        raise httpx.ReadError(f"it has over {ANSWER_BYTES} bytes")
    raise httpx.ReadTimeout("timed out")


def text_of(answer: Answer) -> str:
    """The text of the answer, on one line; not by the codec that it names, which may be any."""
    return printable(answer.content.decode(errors="replace").strip())


def admin_url(admin: str, path: str) -> str:
    """The URL of a path at an admin port: by loopback if that listens at every interface, since a
    node refuses commands for the host ``0.0.0.0``.
    """
    return f"http://{parse_host_port(admin).from_here}/{path}"


def token_in(file: Path | None) -> bytes | None:
    """The token in ``file``, or None if there is none to read: nodes that want one say so."""
    try:
        return None if file is None else read_token(file)
    except UsageError:
        return None


async def ask_all(items: Sequence[T], ask: Callable[[T], Awaitable[R]]) -> list[R]:
    """Asks for all ``items`` at the same time; the answers are in the order of the items."""
    answers: dict[int, R] = {}

    async def ask_one(index: int, item: T) -> None:
        answers[index] = await ask(item)

    async with trio.open_nursery() as nursery:
        for index, item in enumerate(items):
            nursery.start_soon(ask_one, index, item)
    return [answers[index] for index in sorted(answers)]


async def why_not_ready(client: httpx.AsyncClient, admin: str) -> str:
    """The reason that ``/readyz`` gives; empty if the node is ready."""
    try:
        answer = await fetch(client, "GET", admin, "readyz")
    except httpx.HTTPError:
        return "no answer"
    is_ready = answer.status_code == httpx.codes.OK
    return "" if is_ready else text_of(answer) or f"status {answer.status_code}"


async def status(client: httpx.AsyncClient, admin: str) -> Status | None:
    """The node's ``/status``, or None when it does not answer with one."""
    try:
        answer = await fetch(client, "GET", admin, "status")
        return _read_status(answer)
    except (httpx.HTTPError, *UNREADABLE):
        return None


async def command(
    client: httpx.AsyncClient, admin: str, verb: str, token: bytes | None = None
) -> Status:
    """Posts ``/cordon``, ``/uncordon`` or ``/drain``; returns the node's status after it.

    ``token`` is for this command, in place of the client's. Raises :class:`ClusterFailed` with the
    node's own message when it refuses, and :class:`CommandForbidden` when it does not trust us.
    """
    answer = await _post(client, admin, verb, token)
    if answer.status_code != httpx.codes.OK:
        raise _refusal(answer)
    try:
        return _read_status(answer)
    except UNREADABLE as error:
        raise ClusterFailed(f"{admin} is not the admin port of a node: {error}") from error


def _read_status(answer: Answer) -> Status:
    return msgspec.convert(all_printable(msgspec.json.decode(answer.content)), Status)


async def command_by_name(
    client: httpx.AsyncClient, admin: str, verb: str, name: str, token: bytes | None
) -> None:
    """Tells the node ``name`` at ``admin`` to cordon, uncordon or drain; another node that has the
    address by now refuses. Raises as :func:`command` does.
    """
    answer = await _post(client, admin, f"cluster/{verb}", token, {"node": name})
    if answer.status_code == httpx.codes.NOT_FOUND:  # a node of version 0.1
        await command(client, admin, verb, token)
    elif answer.status_code != httpx.codes.OK:
        raise _refusal(answer)


async def _post(
    client: httpx.AsyncClient,
    admin: str,
    path: str,
    token: bytes | None,
    body: dict[str, str] | None = None,
) -> Answer:
    headers = {b"X-Lastcall": b"1"}
    if token is not None:
        headers[b"Authorization"] = b"Bearer " + token
    try:
        return await fetch(client, "POST", admin, path, headers=headers, json=body)
    except httpx.HTTPError as error:
        raise ClusterFailed(f"no answer from {admin} ({str(error) or 'timed out'})") from error


def _refusal(answer: Answer) -> ClusterFailed:
    forbidden = answer.status_code == httpx.codes.FORBIDDEN
    text = text_of(answer)[:MESSAGE_MAX] or f"HTTP {answer.status_code}"
    return CommandForbidden(text) if forbidden else ClusterFailed(text)


async def messages_out(client: httpx.AsyncClient, admin: str) -> float | None:
    """The number of messages that the node has delivered, from ``/metrics``."""
    return await _metric(client, admin, "lastcall_messages_total", direction="out")


async def links(client: httpx.AsyncClient, admin: str) -> float | None:
    """The number of nodes of the other tier that are attached to this one, from ``/metrics``."""
    return await _metric(client, admin, "lastcall_links")


async def _metric(client: httpx.AsyncClient, admin: str, name: str, **labels: str) -> float | None:
    try:
        answer = await fetch(client, "GET", admin, "metrics")
        return counter(answer.content.decode(), name, **labels)
    except (httpx.HTTPError, ValueError):
        return None


def counter(text: str, name: str, **labels: str) -> float | None:
    """The sum of the samples ``name`` with ``labels`` in Prometheus' text format, or None."""
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None
