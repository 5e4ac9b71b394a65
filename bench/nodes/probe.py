"""A process that sends requests to a node's admin port again and again, and records the answers.

It runs in its own process, since it would otherwise also measure its wait for the load. ``python -m
lastcall.bench.nodes.probe HOST:PORT PATH EVERY_SECONDS`` sends one request at a time on an open
connection, until an answer is not 200 or the node has gone. It writes a line to stdout when it
begins, and all answers at the end.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
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

    ``status`` is 0 if the node was gone.
    """

    asked: float
    answered: float
    status: int


class Probe:
    """The answers that a probe got; all of them are there once it has ended."""

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


def probe(address: str, path: str, every_seconds: float) -> list[Answer]:
    """Sends requests until an answer is not 200, or there is none."""
    answers: list[Answer] = []
    connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
    while not answers or answers[-1].status == 200:
        asked, status = time.monotonic(), 0
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (http.client.RemoteDisconnected, http.client.IncompleteRead):
            connection.close()  # a server may close a connection between two requests
            continue
        except OSError:
            pass
        answers.append(Answer(asked, time.monotonic(), status))
        if status:
            time.sleep(max(0.0, asked + every_seconds - time.monotonic()))
    return answers


def main() -> None:
    """The entry point of ``python -m lastcall.bench.nodes.probe``."""
    address, path, every_seconds = sys.argv[1:]
    sys.stdout.buffer.write(BEGUN)
    sys.stdout.buffer.flush()
    answers = probe(address, path, float(every_seconds))
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
