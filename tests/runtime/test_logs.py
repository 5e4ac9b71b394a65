import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from lastcall.runtime import logs
from lastcall.runtime.log_tap import tapped


class Lines:
    """Collects the written lines."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []

    def __call__(self, line: bytes) -> None:
        self.raw.append(line)

    @property
    def objects(self) -> list[dict[str, object]]:
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in self.raw)
        return [msgspec.json.decode(line) for line in self.raw]


def broken_stderr(_line: bytes) -> None:
    raise BrokenPipeError


def crash(error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Undoes what a test changes in the logging of this process."""
    root = logging.getLogger()
    kept = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    config = structlog.get_config()
    yield
    structlog.configure(**config)
    logging.captureWarnings(False)
    root.handlers[:], root.level = kept[0], kept[1]
    sys.excepthook, threading.excepthook = kept[2], kept[3]


@pytest.fixture
def lines() -> Lines:
    written = Lines()
    logs.configure("json", node="game-1", write=written)
    return written


log = structlog.get_logger()


def test_a_json_line_has_time_level_event_and_node(lines: Lines) -> None:
    log.info("node.ready", listen="127.0.0.1:1", rooms=3)
    [line] = lines.objects
    assert list(line)[:4] == ["at", "level", "event", "node"]
    at = str(line.pop("at"))
    assert len(at) == len("2025-01-31T12:00:00.123Z")
    assert at.endswith("Z")
    assert line == {
        "level": "info",
        "event": "node.ready",
        "node": "game-1",
        "listen": "127.0.0.1:1",
        "rooms": 3,
    }


def test_an_exception_is_logged_with_its_traceback_in_the_same_line(lines: Lines) -> None:
    try:
        crash(ExceptionGroup("two", [ValueError("deep inside"), KeyError("k")]))
    except ExceptionGroup:
        log.exception("room.crashed", room="game-1.x")
    [line] = lines.objects
    assert line["event"] == "room.crashed"
    assert "ValueError: deep inside" in str(line["traceback"])
    assert "exc_info" not in line


def test_an_exception_may_be_given_as_a_value(lines: Lines) -> None:
    log.error("room.crashed", exc_info=ValueError("given"))
    assert "ValueError: given" in str(lines.objects[0]["traceback"])


def test_records_of_standard_logging_have_the_same_format(lines: Lines) -> None:
    other = logging.getLogger("trio_websocket")
    other.warning("%s of %d lost", "half", 4)
    other.info("chatter")
    other.log(35, "between two levels")
    first, second = lines.objects
    assert (first["event"], first["level"], first["logger"]) == (
        "half of 4 lost",
        "warning",
        "trio_websocket",
    )
    assert second["level"] == "warning"


def test_warnings_have_the_same_format(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("json", write=lines)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    [line] = lines.objects
    assert "old ways" in str(line["event"])
    assert "node" not in line


def test_values_that_json_cannot_represent_are_logged_as_text(lines: Lines) -> None:
    log.info("odd", value=object(), half="\ud800", big=2**70)
    log.info("odd", never=float("inf"))
    first, second = lines.objects
    assert first["event"] == "'odd'"
    assert "object object" in str(first["value"])
    assert second["never"] is None


def test_a_broken_stderr_does_not_fail_the_caller() -> None:
    logs.configure("json", write=broken_stderr)
    log.info("lost.line")
    logging.getLogger("hypercorn").error("a lost line")


def test_the_console_format_is_plain_text() -> None:
    written = Lines()
    logs.configure("console", node="game-1", write=written)
    log.warning("drain.started", seconds=25)
    try:
        crash(ValueError("seen"))
    except ValueError:
        log.exception("room.crashed")
    first, second = written.raw
    for word in (b"drain.started", b"warning", b"seconds", b"25", b"game-1"):
        assert word in first
    assert b"ValueError: seen" in second
    assert b"Traceback" in second


def test_a_crashed_thread_writes_one_line(lines: Lines) -> None:
    thread = threading.Thread(target=crash, args=(ValueError("in a thread"),), name="helper")
    thread.start()
    thread.join()
    [line] = lines.objects
    assert (line["event"], line["thread"]) == ("thread.crashed", "helper")
    assert "ValueError: in a thread" in str(line["traceback"])


def run_in_a_process(code: str, stderr: int) -> subprocess.CompletedProcess[bytes]:
    prelude = "from lastcall.runtime.logs import configure; import structlog; configure('json')\n"
    command = [sys.executable, "-c", prelude + code]
    return subprocess.run(command, check=False, stderr=stderr, timeout=20)


def test_a_crashed_process_writes_one_line_and_exits_with_1() -> None:
    done = run_in_a_process("raise ValueError('a bug')", subprocess.PIPE)
    line = msgspec.json.decode(done.stderr)
    assert (done.returncode, line["event"], line["level"]) == (1, "process.crashed", "critical")
    assert "ValueError: a bug" in line["traceback"]


def test_a_closed_stderr_does_not_change_the_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_in_a_process("structlog.get_logger().info('lost.line'); raise SystemExit(3)", writer)
    os.close(writer)
    assert done.returncode == 3


def test_the_lines_of_the_watchdog_have_the_same_format() -> None:
    timeout = logs.timeout_message("json", "game-1")
    assert timeout is not None
    line = msgspec.json.decode(timeout(25.0, "in a loop"))
    assert (line["event"], line["node"], line["grace_seconds"]) == ("drain.overrun", "game-1", 25.0)
    assert line["traceback"] == "in a loop"
    assert logs.timeout_message("console", "game-1") is None
    early_stop = logs.early_stop_message("json", "game-1")
    assert early_stop is not None
    assert msgspec.json.decode(early_stop())["event"] == "start.aborted"
    assert logs.early_stop_message("console", "game-1") is None


@pytest.mark.parametrize(
    ("log_format", "shown"), [("json", '"rooms_cut": 2'), ("console", "rooms_cut=2")]
)
def test_the_watchdogs_last_line_is_the_report(log_format: logs.LogFormat, shown: str) -> None:
    message = logs.report_message(
        log_format, "game-1", lambda seconds: {"rooms_cut": 2, "seconds": seconds}
    )
    line = message(25.0)
    assert "drain.finished" in line
    assert shown in line
    assert "\n" not in line


def test_whoever_watches_gets_a_line_with_its_node(lines: Lines) -> None:
    seen: list[dict[str, object]] = []
    with tapped(lambda event: seen.append(dict(event))):
        log.info("node.phase", phase="draining")
    log.info("node.phase", phase="stopped")
    assert [(event["node"], event["phase"]) for event in seen] == [("game-1", "draining")]
    assert len(lines.objects) == 2
