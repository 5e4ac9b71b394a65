"""A link finds out within milliseconds that its game node has died. It believes nothing less than a
refused connection, and only while a request waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from lastcall.bus.base import Probe
from lastcall.bus.memory import MemoryBus
from lastcall.links.node_watch import BROKEN_SECONDS, NodeWatch
from lastcall.policy import LinkPolicy

GAME = "tcp://game:1"


class Bus(MemoryBus):
    """The address refuses connections from ``refuses_at`` on."""

    refuses_at = float("inf")
    probes = 0

    async def probe(self, address: str, timeout_seconds: float) -> Probe:
        await trio.lowlevel.checkpoint()
        assert (address, timeout_seconds) == (GAME, LinkPolicy().probe_seconds)
        self.probes += 1
        return Probe.REFUSED if trio.current_time() >= self.refuses_at else Probe.REACHED


class Connection:
    """A caller whose connection the test breaks."""

    refused_by_tls = False

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[None](1)

    def break_down(self) -> None:
        self._send.send_nowait(None)

    async def wait_broken(self) -> None:
        await self._receive.receive()

    async def call(self, request: bytes) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Link:
    """Records when it was told that the node is gone; ``asks`` when it is to ask, if it ``can``."""

    def __init__(self) -> None:
        self.bus, self.connection = Bus(), Connection()
        self.watch = NodeWatch(GAME, bus=self.bus, caller=self.connection, policy=LinkPolicy())
        self.can_ask = True
        self.gone_at: list[float] = []
        self.news: list[str] = []

    def ask_now(self) -> None:
        if self.can_ask:
            self.watch.asked(trio.current_time())

    def node_lost(self, *, certain: bool) -> None:
        if certain:
            self.gone_at.append(trio.current_time())
        else:
            self.news.append("lost")

    def node_silent(self, *, silent: bool) -> None:
        self.news.append("silent" if silent else "heard")


@asynccontextmanager
async def watched() -> AsyncIterator[Link]:
    link = Link()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.watch.run, link)
        await trio.testing.wait_all_tasks_blocked()
        yield link
        nursery.cancel_scope.cancel()


async def test_a_process_that_dies_is_known_to_be_gone_after_1_ms(
    autojump_clock: MockClock,
) -> None:
    async with watched() as link:
        link.bus.refuses_at = began = trio.current_time()
        link.connection.break_down()
        await trio.sleep(0.1)
        assert link.gone_at[0] - began == pytest.approx(0.001)


async def test_one_whose_port_closes_after_its_connections_is_found_by_the_next_probe(
    autojump_clock: MockClock,
) -> None:
    async with watched() as link:
        began = trio.current_time()
        link.bus.refuses_at = began + 0.03
        link.connection.break_down()
        await trio.sleep(0.1)
        assert link.gone_at[0] - began == pytest.approx(sum(BROKEN_SECONDS[:4])) == 0.035


async def test_a_connection_that_breaks_proves_nothing_while_the_address_accepts_others(
    autojump_clock: MockClock,
) -> None:
    async with watched() as link:
        link.connection.break_down()
        await trio.sleep(0.2)
        assert (link.gone_at, link.news, link.bus.probes) == ([], [], len(BROKEN_SECONDS))


async def test_a_refused_connection_proves_nothing_unless_a_request_waits(
    autojump_clock: MockClock,
) -> None:
    """An address that is a balancer's may refuse while the connection behind it stands."""
    async with watched() as link:
        link.can_ask = False
        link.bus.refuses_at = trio.current_time()
        link.connection.break_down()
        await trio.sleep(10)
        assert (link.gone_at, link.news) == ([], [])
        link.watch.asked(trio.current_time())
        await trio.sleep(2 * LinkPolicy().probe_seconds)
        assert len(link.gone_at) == 1


async def test_a_process_that_is_stopped_is_silent_after_3_s_and_lost_after_6_but_never_gone(
    autojump_clock: MockClock,
) -> None:
    async with watched() as link:
        link.watch.asked(trio.current_time())
        await trio.sleep(2.9)
        assert link.news == []
        await trio.sleep(0.5)
        assert set(link.news) == {"silent"}
        await trio.sleep(3)
        assert link.news[-1] == "lost"
        assert link.gone_at == []
