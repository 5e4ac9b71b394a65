"""Anything may listen at an admin port: it costs its own line, and no more."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from lastcall.errors import ClusterFailed
from lastcall.local.admin_client import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    command,
    messages_out,
    open_admin_client,
    status,
    why_not_ready,
)
from lastcall.local.printable import all_printable, printable

Answer = Callable[[trio.SocketStream], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def port_that(answer: Answer) -> AsyncIterator[str]:
    """The address of a port that answers each request so."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await stream.receive_some()
            await answer(stream)
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


COMPRESSED = gzip.compress(bytes(16 * ANSWER_BYTES))


async def compressed(stream: trio.SocketStream) -> None:
    head = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(COMPRESSED)
    await stream.send_all(head + COMPRESSED)


async def endless(stream: trio.SocketStream) -> None:
    await stream.send_all(OK + b"connection: close\r\n\r\n")
    while True:
        await stream.send_all(b"x" * 64 * 1024)


async def slow(stream: trio.SocketStream) -> None:
    await stream.send_all(OK + b"content-length: 1000\r\n\r\n")
    while True:
        await stream.send_all(b" ")
        await trio.sleep(ANSWER_SECONDS / 5)


def refusal(charset: str, body: bytes) -> Answer:
    async def answer(stream: trio.SocketStream) -> None:
        head = b"HTTP/1.1 409 Conflict\r\ncontent-type: text/plain; charset=%s\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        await stream.send_all(head % charset.encode() + length + body)

    return answer


@pytest.mark.parametrize("answer", [compressed, endless, slow])
async def test_an_answer_that_is_too_large_compressed_or_late_is_none(answer: Answer) -> None:
    began = trio.current_time()
    async with port_that(answer) as admin, open_admin_client() as client:
        assert await status(client, admin) is None
        assert await messages_out(client, admin) is None
        assert await why_not_ready(client, admin) == "no answer"
        with pytest.raises(ClusterFailed, match=f"no answer from {admin}"):
            await command(client, admin, "drain")
    assert trio.current_time() - began < 20, "2 s for each; without a limit, 200 s"


@pytest.mark.parametrize("charset", ["hex", "utf-16", "unknown", "utf-8"])
async def test_a_refusal_is_one_line_of_text_whatever_its_charset_says(charset: str) -> None:
    answer = refusal(charset, b"no\xff\x1b]0;title\x07\nok: all drained")
    async with port_that(answer) as admin, open_admin_client() as client:
        with pytest.raises(ClusterFailed) as refused:
            await command(client, admin, "drain")
    assert str(refused.value) == "no\ufffd?]0;title? ok: all drained"


async def test_the_texts_of_a_status_cannot_move_the_cursor() -> None:
    body = (
        rb'{"name":"a\u001b[2J","tier":"api","version":"1\n2","phase":"serving",'
        rb'"why":["\u009b"],"rooms":0,"clients":0,"seconds_left":null}'
    )

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(OK + b"content-length: %d\r\n\r\n" % len(body) + body)

    async with port_that(answer) as admin, open_admin_client() as client:
        now = await status(client, admin)
    assert now is not None
    assert (now.name, now.version, now.why) == ("a?[2J", "1 2", ("?",))


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert printable("Zoë · 3 s\ttab") == "Zoë · 3 s tab"
    assert all_printable({"a\x1b": [1, None, "b\x07"]}) == {"a?": [1, None, "b?"]}
