"""Lines of the log that those who watch a node may see."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall.runtime import log_tap
from lastcall.runtime.log_tap import LINES_WAITING, LogTap, pass_on, short_line, tapped

AT = 5.0


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    config = structlog.get_config()
    yield
    structlog.configure(**config)


def short(**event: object) -> object:
    line = short_line(event, AT)
    return None if line is None else (line.node, line.level, line.event, line.text)


def test_a_line_is_shown_by_its_event_and_its_fields() -> None:
    line = {"at": "x", "node": "game-1", "level": "info", "event": "node.phase", "phase": "cutting"}
    assert short(**line) == ("game-1", "info", "node.phase", "phase=cutting")


def test_what_an_author_s_code_has_said_is_not_shown() -> None:
    assert short(event="a payment", level="info", card="4000") is None
    assert short(event="payment.made", level="info", card="4000") is None
    assert short(event="node.phase", level="info", logger="payments") is None
    crash = {"event": "room.crashed", "level": "error", "room": "r1"}
    secret = {"error": "ValueError('4000')", "traceback": "…4000…", "exc_info": True}
    assert short(**crash, **secret) == ("", "error", "room.crashed", "room=r1")


def test_what_an_author_s_code_has_bound_to_its_context_is_not_shown() -> None:
    crash = {"event": "room.crashed", "level": "error", "room": "r1"}
    with structlog.contextvars.bound_contextvars(card="4000"):
        line = structlog.contextvars.merge_contextvars(None, "error", dict(crash))
        assert line["card"] == "4000"
        assert short(**line) == ("", "error", "room.crashed", "room=r1")


def test_a_path_of_any_bytes_can_be_shown() -> None:
    path = b"/keys/\xff".decode(errors="surrogateescape")
    assert short(event="auth.keys_read", file=path) == (
        "",
        "",
        "auth.keys_read",
        r"file=/keys/\udcff",
    )


def test_a_long_line_is_cut() -> None:
    line = short_line({"event": "node.phase", "why": "x" * 10_000}, AT)
    assert line is not None
    assert len(line.text) == 301


def test_without_a_watcher_a_line_passes_through() -> None:
    event = {"event": "node.phase"}
    assert log_tap._taps == ()
    assert pass_on(None, "info", event) is event


async def test_a_tap_hears_lines_of_any_thread_as_long_as_it_is_in_place() -> None:
    written: list[object] = []

    def write(_logger: object, _method: str, event: object) -> str:
        written.append(event)
        return ""

    structlog.configure(processors=[pass_on, write])
    log = structlog.get_logger()
    tap = LogTap(wall=lambda: AT)
    more: list[object] = []

    async def hear_more() -> None:
        more.extend(await tap.wait())

    with tapped(tap), trio.fail_after(10):
        thread = threading.Thread(target=lambda: log.info("node.phase", phase="draining"))
        thread.start()
        (line,) = await tap.wait()
        thread.join()
        assert (line.at, line.event, line.text) == (AT, "node.phase", "phase=draining")
    log.info("node.phase", phase="stopped")
    assert len(written) == 2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear_more)
        await wait_all_tasks_blocked()
        assert more == []
        nursery.cancel_scope.cancel()


async def test_a_tap_that_nobody_reads_keeps_the_newest_lines_only() -> None:
    tap = LogTap()
    for number in range(3 * LINES_WAITING):
        tap({"event": "node.phase", "n": number})
    with trio.fail_after(10):
        lines = await tap.wait()
    assert len(lines) == LINES_WAITING
    assert lines[-1].text == f"n={3 * LINES_WAITING - 1}"
