"""A process of its own that asks a node's admin port again and again, and notes the answers.

In the load's process it would wait for the load, and blame the node for it. Run as ``python -m
bench.nodes.probe HOST:PORT PATH EVERY_SECONDS``, it asks on one open connection, one question at a
time, until an answer is not 200 or the node is gone. On stdout it says so when it begins, and at
the end what it saw.
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

__all__ = ["Answer", "Probe", "open_probe"]

ANSWER_SECONDS = 5.0
BEGUN = b"begun\n"


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One question and its answer, in the seconds of ``time.monotonic`` (one clock for all).

    ``status`` 0: there was none, since the node has gone.
    """

    asked: float
    answered: float
    status: int


class Probe:
    """What a running probe has found; only after it has ended."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.ended = trio.Event()


@contextlib.asynccontextmanager
async def open_probe(admin: str, path: str, every_seconds: float) -> AsyncIterator[Probe]:
    """Runs a probe of ``http://ADMIN/PATH`` beside the block, and waits for its end after it."""
    command = [sys.executable, "-m", "lastcall.bench.nodes.probe", admin, path, str(every_seconds)]
    probe = Probe()

    async def listen(stdout: trio.abc.ReceiveStream) -> None:
        said = b""
        async for data in stdout:
            said += data
            if said.startswith(BEGUN):
                begun.set()
        probe.answers = msgspec.json.decode(said.removeprefix(BEGUN), type=list[Answer])
        probe.ended.set()

    begun = trio.Event()
    async with trio.open_nursery() as nursery:
        run = functools.partial(trio.run_process, command, stdout=subprocess.PIPE)
        process: trio.Process = await nursery.start(run)
        assert process.stdout is not None
        nursery.start_soon(listen, process.stdout)
        await begun.wait()
        yield probe


def ask_on(host: str, port: int, path: str, every_seconds: float) -> list[Answer]:
    """Asks until an answer is not 200, or none comes."""
    answers: list[Answer] = []
    question = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    connection: socket.socket | None = None
    while not answers or answers[-1].status == 200:
        asked = time.monotonic()
        try:
            if connection is None:
                connection = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(question)
            head = _read_answer(connection)
        except OSError:
            answers.append(Answer(asked, time.monotonic(), 0))
            break
        if not head:  # a server ends a connection after so many questions: another one
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
    """The head of an answer, after its body was read, too; empty at the end of the connection."""
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
    """The entry point of ``python -m bench.nodes.probe``."""
    where, path, every_seconds = sys.argv[1:]
    host, _, port = where.rpartition(":")
    sys.stdout.buffer.write(BEGUN)
    sys.stdout.buffer.flush()
    answers = ask_on(host, int(port), path, float(every_seconds))
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
