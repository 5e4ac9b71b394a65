"""A process that sends requests to a node's admin port again and again, and records the answers.

It is a process of its own, as it would else measure how long it waits for the load. ``python -m
lastcall.bench.nodes.probe HOST:PORT PATH EVERY_SECONDS`` sends one request at a time on an open
connection, until an answer is not 200 or the node has gone. It writes a line to stdout when it
begins, and all answers at the end.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import msgspec
import trio

ANSWER_SECONDS = 5.0
BEGUN = b"begun\n"


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One request and its answer, in the seconds of ``time.monotonic`` (one clock for all).

    ``status`` is 0 if the node had gone.
    """

    asked: float
    answered: float
    status: int


class Probe:
    """The answers that a probe got; complete once it has ended."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.ended = trio.Event()


@contextlib.asynccontextmanager
async def open_probe(admin: str, path: str, every_seconds: float) -> AsyncIterator[Probe]:
    """Probes ``http://ADMIN/PATH`` beside the block, and waits for the probe's end after it."""
    command = [sys.executable, "-m", "lastcall.bench.nodes.probe", admin, path, str(every_seconds)]
    probe = Probe()

    async def listen(stdout: trio.abc.ReceiveStream) -> None:
        output = b""
        async for data in stdout:
            output += data
            if output.startswith(BEGUN):
                begun.set()
        probe.answers = msgspec.json.decode(output.removeprefix(BEGUN), type=list[Answer])
        probe.ended.set()

    begun = trio.Event()
    async with trio.open_nursery() as nursery:
        run = functools.partial(trio.run_process, command, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(run)
        assert process.stdout is not None
        nursery.start_soon(listen, process.stdout)
        await begun.wait()
        yield probe


def probe(host: str, port: int, path: str, every_seconds: float) -> list[Answer]:
    """Sends requests until an answer is not 200, or there is none."""
    answers: list[Answer] = []
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    connection: socket.socket | None = None
    while not answers or answers[-1].status == 200:
        asked = time.monotonic()
        try:
            if connection is None:
                connection = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            head = _read_answer(connection)
        except OSError:
            answers.append(Answer(asked, time.monotonic(), 0))
            break
        if not head:  # a server may close a connection between two requests
            connection.close()
            connection = None
            continue
        answers.append(Answer(asked, time.monotonic(), int(head.split(b" ", 2)[1])))
        if b"connection: close" in head.lower():
            connection.close()
            connection = None
        time.sleep(max(0.0, asked + every_seconds - time.monotonic()))
    return answers


def _read_answer(connection: socket.socket) -> bytes:
    """Reads an answer; returns its head, or b"" at the end of the connection."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connection.recv(4096)
        if not data:
            return b""
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    size = next(
        int(line.split(b":")[1])
        for line in head.lower().splitlines()
        if line.startswith(b"content-length:")
    )
    while len(body) < size:
        data = connection.recv(4096)
        if not data:
            return b""
        body += data
    return head


def main() -> None:
    """The entry point of ``python -m lastcall.bench.nodes.probe``."""
    where, path, every_seconds = sys.argv[1:]
    host, _, port = where.rpartition(":")
    sys.stdout.buffer.write(BEGUN)
    sys.stdout.buffer.flush()
    answers = probe(host, int(port), path, float(every_seconds))
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
