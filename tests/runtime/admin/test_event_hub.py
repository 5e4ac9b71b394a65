"""Streams of server-sent events, in virtual time and memory: through the HTTP loop of the port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from starlette.applications import Starlette
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from lastcall.bus.address import HostPort
from lastcall.runtime.admin.auth import AdminAuth
from lastcall.runtime.admin.cluster_routes import Order, cluster_routes
from lastcall.runtime.admin.event_hub import (
    HEARTBEAT_SECONDS,
    LINGER_SECONDS,
    EventHub,
    EventStream,
)
from lastcall.runtime.admin.http import SEND_SECONDS, HttpConnection
from lastcall.wire.views import ClusterNow, LogLine, NodeCard

SERVER = HostPort("127.0.0.1", 9000)


class QuietWatch:
    """Publishes one state at the start, and counts the starts and ends of its watches."""

    verbs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.hub = EventHub(self)
        self.begun = self.ended = 0

    async def watch(self, hub: EventHub) -> None:
        self.begun += 1
        hub.show_cluster(now("serving"))
        try:
            await trio.sleep_forever()
        finally:
            self.ended += 1
            hub.forget()

    async def kinds(self) -> bytes:
        return b"[]"

    async def obey(self, verb: str, order: Order, token: bytes | None) -> None: ...


def now(phase: str, rooms: int = 0) -> ClusterNow:
    card = NodeCard("game-1", "game", "1", phase, rooms)
    return ClusterNow(trio.current_time(), "node", (), (), (card,))


def line(number: int) -> LogLine:
    return LogLine(float(number), "game-1", "info", "node.phase", str(number))


class Browser:
    """Reads a stream, as ``EventSource`` does; each has an address of its own."""

    count = 0

    def __init__(self, watch: QuietWatch, *, slow: bool = False) -> None:
        Browser.count += 1
        app = Starlette(routes=cluster_routes(watch, AdminAuth()))
        self.stream, theirs = lockstep_stream_pair() if slow else memory_stream_pair()
        client = HostPort(f"10.0.{Browser.count // 250}.{Browser.count % 250}", 1)
        self.connection = HttpConnection(theirs, app, client=client, server=SERVER)
        self._theirs = theirs
        self._text = ""
        self.closed_at: float | None = None

    async def serve(self) -> None:
        await self.connection.serve()
        self.closed_at = trio.current_time()
        await trio.aclose_forcefully(self._theirs)

    async def ask(self, last_id: str = "", method: str = "GET") -> None:
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        request = f"{method} /cluster/events HTTP/1.0\r\nHost: a\r\n{resume}\r\n"
        await self.stream.send_all(request.encode())

    async def read(self, seconds: float = 0.1) -> list[tuple[str, str, object]]:
        """The events that arrive within this time: id, name and data."""
        with trio.move_on_after(seconds):
            async for data in self.stream:
                self._text += data.decode()
        *blocks, self._text = self._text.split("\n\n")
        events = []
        for block in blocks:
            fields = dict(one.split(": ", 1) for one in block.split("\n") if ": " in one)
            if "event" in fields:
                data = msgspec.json.decode(fields["data"])
                events.append((fields["id"], fields["event"], data))
        return events


def names(events: list[tuple[str, str, object]]) -> list[str]:
    return [name for _, name, _ in events]


def texts(events: list[tuple[str, str, object]]) -> list[str]:
    return [data["text"] for _, name, data in events if name == "log"]  # type: ignore[index]


class Port:
    """The streams of a port, whose events come from ``watch``."""

    def __init__(self, watch: QuietWatch, nursery: trio.Nursery) -> None:
        self.watch, self.hub = watch, watch.hub
        self._nursery = nursery

    async def browser(
        self, last_id: str = "", *, method: str = "GET", slow: bool = False
    ) -> Browser:
        """One that has asked for a stream."""
        browser = Browser(self.watch, slow=slow)
        self._nursery.start_soon(browser.serve)
        await browser.ask(last_id, method)
        return browser


@asynccontextmanager
async def watching(watch_type: type[QuietWatch] = QuietWatch) -> AsyncIterator[Port]:
    watch = watch_type()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.hub.run)
        yield Port(watch, nursery)
        nursery.cancel_scope.cancel()


async def test_a_stream_begins_with_the_state_and_goes_on_with_each_line(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        browser = await port.browser()
        first = await browser.read()
        assert names(first) == ["cluster"]
        port.hub.add_log(line(1))
        port.hub.add_log(line(2))
        more = await browser.read()
        assert texts(more) == ["1", "2"]
        assert len({event[0] for event in more}) == 2


async def test_what_changes_all_the_time_is_no_new_state(autojump_clock: MockClock) -> None:
    async with watching() as port:
        browser = await port.browser()
        await browser.read()
        port.hub.show_cluster(now("serving", rooms=7))
        assert await browser.read() == []
        port.hub.show_cluster(now("draining", rooms=7))
        assert names(await browser.read()) == ["cluster"]


async def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        first = await port.browser()
        await first.read()
        port.hub.add_log(line(1))
        last_id = (await first.read())[-1][0]
        await first.stream.aclose()
        port.hub.add_log(line(2))
        await trio.sleep(LINGER_SECONDS - 1)
        port.hub.add_log(line(3))
        again = await port.browser(last_id)
        assert texts(await again.read()) == ["2", "3"]
        assert (port.watch.begun, port.watch.ended) == (1, 0)


async def test_nothing_is_watched_before_the_first_stream_nor_long_after_the_last_one(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        await trio.sleep(100)
        assert port.watch.begun == 0
        browser = await port.browser()
        (last_id, _, _), *_ = await browser.read()
        await trio.sleep(100)
        assert (port.watch.begun, port.watch.ended) == (1, 0)
        await browser.stream.aclose()
        await trio.sleep(HEARTBEAT_SECONDS + LINGER_SECONDS + 1)
        assert (port.watch.begun, port.watch.ended) == (1, 1)
        port.hub.add_log(line(1))
        late = await port.browser(last_id)
        assert names(await late.read()) == ["log", "cluster"]
        assert port.watch.begun == 2


async def test_a_comment_goes_out_every_five_seconds_in_which_nothing_else_does(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        browser = await port.browser()
        await browser.read()
        beats = b""
        with trio.move_on_after(3 * HEARTBEAT_SECONDS):
            async for data in browser.stream:
                beats += data
        assert beats == b": \n\n" * 3


async def test_a_reader_that_reads_nothing_is_cut_after_five_seconds(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        browser = await port.browser(slow=True)
        await trio.sleep(3 * SEND_SECONDS)
        assert browser.closed_at == SEND_SECONDS
        assert port.hub.streams == 0


async def test_a_slow_reader_holds_up_no_other_one(autojump_clock: MockClock) -> None:
    async with watching() as port:
        slow, quick = await port.browser(slow=True), await port.browser()
        await quick.read()
        for number in range(1_000):
            port.hub.add_log(line(number))
            if number % 100 == 99:
                got = texts(await quick.read(0.01))
                assert got == [str(one) for one in range(number - 99, number + 1)]
        assert slow.closed_at is None


async def test_32_streams_are_open_at_once_and_one_more_ends_the_oldest(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        browsers = []
        for count in range(1, 34):
            browsers.append(await port.browser())
            assert names(await browsers[-1].read(0.01)) == ["cluster"]
            assert port.hub.streams == min(count, 32)
        assert [browser.closed_at is None for browser in browsers] == [False] + 32 * [True]


async def test_when_the_hub_closes_each_stream_sends_what_is_left_and_ends_at_once(
    autojump_clock: MockClock,
) -> None:
    async with watching() as port:
        browsers = [await port.browser() for _ in range(3)]
        for browser in browsers:
            await browser.read()
        port.hub.add_log(line(1))
        port.hub.close()
        closing_at = trio.current_time()
        for browser in browsers:
            assert texts(await browser.read()) == ["1"]
            assert browser.closed_at == closing_at


async def test_a_head_request_is_answered_without_a_stream(autojump_clock: MockClock) -> None:
    async with watching() as port:
        browser = await port.browser(method="HEAD")
        assert await browser.read() == []
        assert port.hub.streams == 0
        assert browser.closed_at == 0


class BrokenWatch(QuietWatch):
    """Fails the first time."""

    async def watch(self, hub: EventHub) -> None:
        self.begun += 1
        if self.begun == 1:
            raise ZeroDivisionError("a bug in a watch")
        hub.show_cluster(now("serving"))
        await trio.sleep_forever()


async def test_a_bug_in_a_watch_ends_no_stream(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with watching(BrokenWatch) as port:
        browser = await port.browser()
        assert names(await browser.read(2)) == ["cluster"]
        assert port.watch.begun == 2


class LeavingWatch(QuietWatch):
    """Has a stream that begins while its first watch ends."""

    def __init__(self) -> None:
        super().__init__()
        self.late = EventStream(self.hub, "")

    async def watch(self, hub: EventHub) -> None:
        try:
            await super().watch(hub)
        finally:
            if self.ended == 1:
                hub.open(self.late, "10.0.0.1")


async def test_a_stream_that_begins_while_the_watch_ends_is_watched_for(
    autojump_clock: MockClock,
) -> None:
    watch = LeavingWatch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.hub.run)
        watch.hub.touch()
        await trio.sleep(LINGER_SECONDS + 1)
        assert (watch.begun, watch.ended) == (2, 1)
        await trio.sleep(2 * LINGER_SECONDS)
        assert (watch.begun, watch.ended) == (2, 1)
        nursery.cancel_scope.cancel()
