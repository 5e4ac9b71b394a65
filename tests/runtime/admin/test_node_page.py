"""A node's own page, over a real socket: what it shows, and who may command it there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from pathlib import Path
from typing import NoReturn

import httpx
import msgspec
import pytest
import structlog
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall.bus.address import HostPort
from lastcall.core.lifecycle import Event
from lastcall.ids import NodeName
from lastcall.policy import DrainPolicy
from lastcall.runtime import log_tap
from lastcall.runtime.admin.event_hub import HEARTBEAT_SECONDS, EventStream
from lastcall.runtime.admin.node_page import NodePage
from lastcall.runtime.admin.page_files import page_files
from lastcall.runtime.admin.server import AdminPort
from lastcall.runtime.drain import Drain
from lastcall.runtime.figures import Figures
from lastcall.runtime.options import NodeOptions
from lastcall.runtime.process import NodeAdmin
from lastcall.runtime.signals import StopRequests
from lastcall.wire.views import KindView, NodeNow
from tests.harness.event_source import event_source

LIMIT_SECONDS, NEVER_SECONDS = 20, 60
COMMAND = {"X-Lastcall": "1"}
TOKEN = "0123456789abcdef"  # noqa: S105 - a test's


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    config = structlog.get_config()
    yield
    structlog.configure(**config)


class StillNode:
    """A node whose rooms do nothing."""

    tier = "game"
    listen = "tcp://127.0.0.1:7101"
    ready = True
    unready = ""
    client_urls = ("ws://127.0.0.1:8080/",)
    asked = 0

    def figures(self) -> Figures:
        self.asked += 1
        return Figures("serving", rooms=3, messages_in=5, limited={}, rooms_ended={"cut": 2})

    def why(self) -> list[str]:
        return [f"room {number}, " + "x" * 500 for number in range(50)]

    def kinds(self) -> list[KindView]:
        return [KindView("dice", 4, 1, survives=False, moves="never")]


def drop(_logger: object, _method: str, _event: object) -> NoReturn:
    raise structlog.DropEvent


class Served:
    """A node with an admin port that answers."""

    def __init__(self, token_file: Path | None) -> None:
        options = NodeOptions(
            NodeName("game-1"), HostPort("127.0.0.1", 0), "json", None, "7", token_file
        )
        self.node, self.stops = StillNode(), StopRequests()
        self.drain = Drain(DrainPolicy(), end_process=lambda _code: None)
        self.drain._step(Event.READY)
        self.stops.subscribe(self.drain.stop)
        self.admin = NodeAdmin(options, self.drain, self.node, self.stops)  # type: ignore[arg-type]
        self.http: httpx.AsyncClient
        self.address: HostPort
        self.page: NodePage
        self.stop: Callable[[], None]

    async def post(self, verb: str, body: bytes = b'{"node":"game-1"}', **headers: str) -> int:
        headers = COMMAND | {key.replace("_", "-"): value for key, value in headers.items()}
        answer = await self.http.post(f"/cluster/{verb}", content=body, headers=headers)
        return answer.status_code

    async def look(self, last_id: str = "") -> NodeNow:
        answer = await self.http.get("/cluster/node", headers={"Last-Event-ID": last_id})
        return msgspec.json.decode(answer.content, type=NodeNow)


@asynccontextmanager
async def serving(
    token_file: Path | None = None, *, look_seconds: float = NEVER_SECONDS
) -> AsyncIterator[Served]:
    """By itself its page looks at the node so seldom that a test would not live to see it."""
    served = Served(token_file)

    def make_page(admin: HostPort) -> NodePage:
        served.page = NodePage(served.admin, admin, look_seconds=look_seconds)
        return served.page

    port = await AdminPort.open(
        HostPort("127.0.0.1", 0),
        served.admin,
        CollectorRegistry(),
        page_files(),
        page=make_page,
    )
    with trio.fail_after(LIMIT_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: port.serve(task_status=task_status))
            served.address, served.stop = port.address, nursery.cancel_scope.cancel
            url = f"http://{port.address}"
            async with httpx.AsyncClient(base_url=url, trust_env=False) as served.http:
                yield served
                nursery.cancel_scope.cancel()


async def test_a_node_says_in_one_answer_what_it_is_and_does() -> None:
    async with serving() as served:
        now = await served.look()
        assert (now.card.name, now.card.tier, now.card.version) == ("game-1", "game", "7")
        assert (now.card.phase, now.card.rooms, now.card.why) == ("serving", 3, ())
        assert (now.card.seconds_left, now.card.grace) == (None, None)
        assert now.card.admin == str(served.http.base_url).removeprefix("http://").rstrip("/")
        assert (now.figures.messages_in, now.figures.rooms_cut) == (5, 2)
        assert now.clients == ("ws://127.0.0.1:8080/",)


async def test_while_it_drains_it_says_why_and_how_long_in_bounds() -> None:
    async with serving() as served:
        served.drain.stop()
        now = await served.look()
        assert now.card.phase == "draining"
        assert now.card.grace == DrainPolicy().cut_seconds
        assert now.card.seconds_left is not None
        assert now.card.grace - 10 < now.card.seconds_left <= now.card.grace
        assert len(now.card.why) == 10
        assert {len(why) for why in now.card.why} == {200}


async def test_who_asks_again_gets_the_lines_of_the_log_since_then() -> None:
    structlog.configure(processors=[log_tap.pass_on, drop])
    log = structlog.get_logger()
    async with serving() as served:
        log.info("node.phase", phase="before anybody has asked")
        first = await served.look()
        assert first.logs == ()
        log.info("node.phase", phase="one")
        log.info("node.phase", phase="two")
        seen: list[str] = []
        last_id = first.last_id
        while len(seen) < 2:
            now = await served.look(last_id)
            seen += [line.text for line in now.logs]
            last_id = now.last_id
        assert seen == ["phase=one", "phase=two"]
        assert (await served.look(last_id)).logs == ()


async def test_a_node_is_looked_at_and_woken_only_while_somebody_has_a_stream(
    autojump_clock: MockClock,
) -> None:
    served = Served(None)
    served.admin.now()
    each, served.node.asked = served.node.asked, 0
    page = NodePage(served.admin, HostPort("127.0.0.1", 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page.watch, page.hub)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == inf
        stream = EventStream(page.hub, "")
        page.hub.open(stream, "10.0.0.1")
        await trio.sleep(2.9)
        assert served.node.asked == 3 * each, "at 0, 1 and 2 s"
        page.hub.drop(stream)
        await trio.sleep(2.9)
        assert served.node.asked == 3 * each
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == inf
        nursery.cancel_scope.cancel()


async def test_a_stream_tells_a_command_s_effect_at_once() -> None:
    async with serving() as served, event_source(served.address) as source:
        first = await source.next("cluster")
        assert first.data["nodes"][0]["phase"] == "serving"
        assert (await source.next("figures")).data["nodes"]["game-1"]["rooms"] == 3
        assert await served.post("cordon") == 200
        assert (await source.next("cluster")).data["nodes"][0]["phase"] == "cordoned"


async def test_a_stream_tells_what_has_changed_at_once_when_the_log_says_something() -> None:
    structlog.configure(processors=[log_tap.pass_on, drop])
    async with serving() as served, event_source(served.address) as source:
        assert (await source.next("cluster")).data["nodes"][0]["phase"] == "serving"
        served.drain.cordon()
        assert (await source.next("log")).data["text"] == "phase=cordoned"
        assert (await source.next("cluster")).data["nodes"][0]["phase"] == "cordoned"


async def test_commands_of_the_page_do_what_those_of_the_admin_port_do() -> None:
    async with serving() as served:
        assert await served.post("cordon") == 200
        assert served.drain.phase == "cordoned"
        assert await served.post("uncordon") == 200
        assert served.drain.phase == "serving"
        assert await served.post("drain") == 200
        assert await served.post("drain") == 200
        assert served.stops.count == 1
        assert await served.post("cordon") == 409


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"node":"game-2"}', {}, 400),
        (b"{}", {}, 400),
        (b"", {}, 400),
        (b'{"node":7}', {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 10_000, {}, 400),
        (b'{"node":"game-1"}', {"X_Lastcall": "0"}, 403),
        (b'{"node":"game-1"}', {"Host": "evil.example:9000"}, 403),
        (b'{"node":"game-1"}', {"Origin": "http://evil.example"}, 403),
        (b'{"node":"game-1"}', {"Origin": "null"}, 403),
    ],
)
async def test_a_foreign_page_or_a_wrong_body_commands_nothing(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with serving() as served:
        for verb in ("cordon", "drain"):
            assert await served.post(verb, body, **headers) == status
        assert served.drain.phase == "serving"
        assert not served.stops.count


async def test_a_node_with_a_token_takes_no_command_without_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with serving(file) as served:
        assert await served.post("cordon") == 403
        assert await served.post("cordon", Authorization="Bearer " + "x" * 16) == 403
        assert served.drain.phase == "serving"
        assert await served.post("cordon", Authorization=f"Bearer {TOKEN}") == 200


async def test_a_node_has_no_roll_and_no_kill_and_commands_are_posts() -> None:
    async with serving() as served:
        assert await served.post("kill") == 404
        assert await served.post("roll") == 404
        assert (await served.http.get("/cluster/drain")).status_code == 405
        assert served.drain.phase == "serving"


@pytest.mark.parametrize("path", ["events", "kinds", "node"])
async def test_a_page_that_has_rebound_its_name_reads_nothing(path: str) -> None:
    async with serving() as served:
        answer = await served.http.get(f"/cluster/{path}", headers={"Host": "evil.example"})
        assert answer.status_code == 403
        assert "game-1" not in answer.text


async def test_kinds_and_the_page_are_served() -> None:
    async with serving() as served:
        (kind,) = (await served.http.get("/cluster/kinds")).json()
        assert (kind["name"], kind["inputs"]) == ("dice", None)
        page = await served.http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "unsafe" not in page.headers["content-security-policy"]
        assert (await served.http.get("/lastcall.js")).status_code == 200


async def test_a_port_that_stops_ends_its_streams_at_once_and_in_good_order() -> None:
    async with serving() as served, event_source(served.address) as source:
        await source.next("figures")
        served.stop()
        began = trio.current_time()
        with pytest.raises(EOFError):
            await source.next()
        assert trio.current_time() - began < HEARTBEAT_SECONDS / 2


async def test_32_streams_that_nobody_reads_do_not_disturb_a_probe() -> None:
    async with serving() as served, AsyncExitStack() as streams:
        for _ in range(32):
            await streams.enter_async_context(event_source(served.address))
        while served.page.hub.streams < 32:
            await trio.sleep(0.01)
        for _ in range(20):
            with trio.fail_after(1):
                assert (await served.http.get("/livez")).text == "ok"
