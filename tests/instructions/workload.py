"""Both tiers in one process under a virtual clock, and clients on real sockets: the same each time.

``python tests/instructions/workload.py WORKLOAD TURNS [CLIENTS]`` sends 20 inputs in each turn, by
as many of 80 clients in rooms of 4, and waits until the nodes have handled them. With 1,000 clients
it sends 60, and the tiers call each other as in ``lastcall serve``. It uses the nodes and the
harness of the tree on ``PYTHONPATH``, which may be an older one.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
from contextlib import AsyncExitStack, suppress
from typing import Any

import msgspec
import trio
import trio.testing

from lastcall.bench.load.frame_builder import TEXT, masked, upgrade_request
from lastcall.bus.memory import MemoryBus
from lastcall.game.loader import load
from tests.harness import cluster as harness

SEATS = 4
FEW, MANY = 80, 1_000
AT_ONCE = {FEW: 20, MANY: 60}
"""The inputs of a turn, by the number of clients."""
PACE = 10_000
"""Inputs of all clients together in a second of virtual time."""
SEED = 7
SPINS_MAX = 2_000
PAYLOAD = "a" * 60
WORKLOADS = {"got": "bench-sink", "said": "bench-sink", "round": "bench-relay"}
"""As in the bench: a frame for the api node alone, an input to a silent room, and one that all four
hear; with the kind of the rooms.
"""


class PortListener(trio.abc.Listener[trio.abc.Stream]):
    """A client port of the kernel's, in place of the harness's one in memory."""

    def __init__(self) -> None:
        port = socket.create_server(("127.0.0.1", 0), backlog=MANY)
        self.address: tuple[str, int] = port.getsockname()
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(port))

    async def accept(self) -> trio.abc.Stream:
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()


class Crowd:
    """The clients, and the counts of their node."""

    def __init__(self, workload: str, api: Any, clients: int) -> None:
        self._workload = workload
        self._address = api.listener.address
        self._counts = api.node.gateway.counts
        self._sockets: list[socket.socket] = []
        self._rooms: list[str] = []
        self._said = [0] * clients

    async def seat(self) -> None:
        """Connects all, and gives each a seat."""
        request = upgrade_request("here", "lastcall.v1", compression=False)
        for number in range(len(self._said)):
            client = socket.create_connection(self._address)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            client.send(request)
            self._sockets.append(client)
            await self._heard(client, b"\r\n\r\n")
            first = number % SEATS == 0
            where = {"room": self._rooms[-1]} if not first else {"new": True}
            kind = {"kind": WORKLOADS[self._workload]} if first else {}
            self._send(number, {"t": "join"} | kind | where)
            seat = await self._joined(client)
            self._rooms.append(seat)

    async def _joined(self, client: socket.socket) -> str:
        """The room in the answer to a join."""
        heard = await self._heard(client, b'"joined"')
        return heard.partition(b'"room":"')[2].partition(b'"')[0].decode()

    async def _heard(self, client: socket.socket, part: bytes) -> bytes:
        """Whatever ``client`` hears until that has ``part``."""
        heard = b""
        for _ in range(SPINS_MAX):
            await pass_time(0.01)
            with suppress(BlockingIOError):
                heard += client.recv(1 << 16)
            if part in heard:
                return heard
        raise SystemExit(f"a client waits for {part!r}, and heard {heard!r}")

    async def turn(self, speakers: list[int]) -> None:
        """Each of the ``speakers`` sends one input; returns when the nodes have handled all."""
        frames_in = self._counts.frames_in + len(speakers)
        frames_out = self._counts.frames_out + SEATS * len(speakers)
        for number in speakers:
            self._said[number] += 1
            if self._workload == "got":
                room = self._rooms[number]
                self._send(number, {"t": "got", "room": room, "seq": 0, "pad": PAYLOAD})
            else:
                self._send(number, {"t": "say", "n": self._said[number], "d": PAYLOAD})
        clock().jump(len(speakers) / PACE)
        for spins in range(1, SPINS_MAX):
            await trio.lowlevel.checkpoint()
            if spins % 4 == 0:
                clock().jump(0.003)
            heard = self._workload != "round" or self._counts.frames_out >= frames_out
            if heard and self._counts.frames_in >= frames_in:
                return
        raise SystemExit(f"after {SPINS_MAX} turns of the loop the nodes have not handled all")

    def read(self) -> None:
        """Takes what the clients have been sent."""
        for client in self._sockets:
            with suppress(BlockingIOError):
                client.recv(1 << 20)

    def _send(self, number: int, frame: dict[str, object]) -> None:
        self._sockets[number].send(masked(TEXT, msgspec.json.encode(frame)))


def clock() -> Any:
    return trio.lowlevel.current_clock()


async def pass_time(seconds: float) -> None:
    """The nodes' clock goes on in small steps, with some turns of the loop after each."""
    for _ in range(round(seconds / 0.005)):
        clock().jump(0.005)
        for _ in range(4):
            await trio.lowlevel.checkpoint()


async def run(workload: str, turns: int, clients: int = FEW) -> None:
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        nodes = harness.Cluster(nursery, stack, SEED)
        if clients == MANY:
            nodes.bus = MemoryBus(direct=True)
        nodes.game(kinds=load(["lastcall.bench.rooms.kinds"]))
        crowd = Crowd(workload, nodes.api(), clients)
        await pass_time(1)
        await crowd.seat()
        await pass_time(1)
        crowd.read()
        gc.collect()
        gc.disable()
        rng = random.Random(SEED)
        for turn in range(1, turns + 1):
            await crowd.turn(rng.sample(range(clients), AT_ONCE[clients]))
            if turn % 10 == 0:
                crowd.read()
        sys.stdout.flush()
        os._exit(0)  # the nodes would drain, on a clock that stands still


def make_repeatable() -> None:
    """The order of tasks is drawn from a seed, and no decision depends on the real time."""
    trio._core._run._r = random.Random(SEED)
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True
    for name, module in list(sys.modules.items()):
        if name.startswith("lastcall.") and getattr(module, "perf_counter", None) is not None:
            module.perf_counter = trio.current_time
    harness.MemoryListener = PortListener


if __name__ == "__main__":
    make_repeatable()
    trio.run(run, sys.argv[1], *map(int, sys.argv[2:]), clock=trio.testing.MockClock())
