"""Processes of nodes that are played by the test."""

from __future__ import annotations

import signal

import msgspec
import trio
from trio.testing import memory_stream_one_way_pair, wait_all_tasks_blocked


class FakeProcess:
    """A node's process, which says what the test lets it say, and ends at any signal."""

    pid = 0
    stdin = None

    def __init__(self) -> None:
        self._says, self.stdout = memory_stream_one_way_pair()
        self.returncode: int | None = None
        self._ended = trio.Event()

    async def say(self, event: str, **fields: object) -> None:
        head = {"at": "now", "level": "info", "event": event}
        await self._says.send_all(msgspec.json.encode(head | fields) + b"\n")
        await wait_all_tasks_blocked()

    async def end(self, code: int) -> None:
        self.send_signal(signal.Signals(-code))
        await wait_all_tasks_blocked()

    def poll(self) -> int | None:
        return self.returncode

    async def wait(self) -> int:
        await self._ended.wait()
        return self.returncode or 0

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            self.returncode = 0 if number is signal.SIGTERM else -number
            self._says.close()
            self._ended.set()

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
