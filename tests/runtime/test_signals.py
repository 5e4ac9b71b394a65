import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from lastcall.runtime import signals
from lastcall.runtime.signals import LIFELINE, StopRequests, install

BOUND_SECONDS = 10.0
"""The longest wait for a thread or a process. Only a failing test waits this long."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ProcessEnd:
    """Replaces the end of the process, and records the exit codes."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.called = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self.called.set()


def start_watchdog(clock: Clock, end: ProcessEnd) -> tuple[StopRequests, threading.Thread]:
    before = set(threading.enumerate())
    stops = StopRequests(clock=clock, end=end)
    stops.watch()
    [thread] = set(threading.enumerate()) - before
    return stops, thread


@pytest.fixture
def installed() -> Iterator[Callable[[], StopRequests]]:
    """Calls ``install`` as a node does; after the test, its watchdog rests, and never ends pytest.

    While a node starts, its watchdog interrupts the main thread ten times a second.
    """
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signals.NUDGE)
    kept = {number: signal.getsignal(number) for number in numbers}
    made: list[StopRequests] = []

    def install_here() -> StopRequests:
        made.append(install())
        return made[-1]

    yield install_here
    for stops in made:
        stops.started()
        stops.arm(math.inf)
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_requests_are_counted_and_the_time_of_the_first_is_kept() -> None:
    clock = Clock()
    stops = StopRequests(clock=clock)
    assert (stops.count, stops.first_at, stops.deadline) == (0, None, None)

    stops.request()
    clock.now = 107.0
    stops.request()

    assert (stops.count, stops.first_at) == (2, 100.0)


def test_the_grace_is_25_s_until_it_is_set_and_counts_from_the_first_request() -> None:
    clock = Clock()
    stops = StopRequests(clock=clock)
    stops.request()
    assert stops.deadline == 125.0

    clock.now = 110.0
    stops.arm(60)

    assert stops.deadline == 160.0


def test_a_subscriber_is_called_for_earlier_and_for_later_requests() -> None:
    stops = StopRequests()
    calls: list[int] = []
    stops.request()
    stops.subscribe(lambda: calls.append(stops.count))
    assert calls == [1]

    stops.request()

    assert calls == [1, 2]


def test_a_request_that_interrupts_the_callback_of_another_is_notified_once() -> None:
    stops = StopRequests()
    calls: list[int] = []

    def interrupted() -> None:
        calls.append(stops.count)
        if stops.count < 3:
            stops.request()  # as a signal handler would between two bytecodes

    stops.request()
    stops.subscribe(interrupted)

    assert calls == [1, 2, 3]


def test_each_request_of_many_threads_is_notified_once() -> None:
    stops = StopRequests()
    calls: list[None] = []
    stops.subscribe(lambda: calls.append(None))
    threads = [
        threading.Thread(target=lambda: [stops.request() for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_SECONDS)

    assert (stops.count, len(calls)) == (1600, 1600)


def test_a_second_subscriber_is_refused() -> None:
    stops = StopRequests()
    stops.subscribe(lambda: None)
    with pytest.raises(RuntimeError, match="already have a subscriber"):
        stops.subscribe(lambda: None)


def test_a_subscriber_that_raises_runtime_error_does_not_break_the_handler() -> None:
    def notify_ended_loop() -> None:
        raise RuntimeError("the run has finished")  # as trio does after its loop has ended

    stops = StopRequests()
    stops.subscribe(notify_ended_loop)
    stops.request()
    assert stops.count == 1


def test_the_watchdog_ends_the_process_with_3_after_the_grace() -> None:
    clock, end = Clock(), ProcessEnd()
    stops, thread = start_watchdog(clock, end)
    stops.arm(0)
    assert end.codes == []

    stops.request()

    assert end.called.wait(BOUND_SECONDS)
    thread.join(BOUND_SECONDS)
    assert end.codes == [3]


def test_a_shorter_grace_applies_to_a_watchdog_that_already_waits() -> None:
    clock, end = Clock(), ProcessEnd()
    stops, thread = start_watchdog(clock, end)
    stops.request()
    clock.now = 130.0

    stops.arm(30)

    assert end.called.wait(BOUND_SECONDS)
    thread.join(BOUND_SECONDS)


def test_the_watchdog_writes_the_reason_before_it_ends_the_process(
    capfd: pytest.CaptureFixture[str],
) -> None:
    end = ProcessEnd()
    stops = StopRequests(end=end)
    stops.arm(7)
    stops.overrun()
    assert "test_the_watchdog_writes_the_reason" in capfd.readouterr().err

    stops.arm(
        7, timeout_message=lambda seconds, _stack: f'{{"event":"drain.overrun","grace":{seconds}}}'
    )
    stops.overrun()

    assert capfd.readouterr().err == '{"event":"drain.overrun","grace":7}\n'
    assert end.codes == [3, 3]


def test_a_second_request_while_starting_ends_the_process_with_0_and_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    end = ProcessEnd()
    stops = StopRequests(starting=True, end=end)
    stops.request()
    assert end.codes == []

    stops.request()

    assert end.codes == [0]
    assert capfd.readouterr().err.splitlines() == [
        "Second stop request before the node serves: it exits now with code 0."
    ]


def test_once_the_node_has_started_the_drain_handles_a_second_request() -> None:
    end = ProcessEnd()
    stops = StopRequests(starting=True, end=end)
    stops.request()
    stops.started()
    stops.request()
    assert (stops.count, end.codes) == (2, [])


def fill_pipe(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(pipe, b"x" * 4096):
            pass
    os.set_blocking(pipe, True)


def test_the_process_ends_although_nobody_reads_its_last_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    fill_pipe(writer)
    monkeypatch.setattr(signals, "STDERR", writer)
    end = ProcessEnd()

    threading.Thread(target=StopRequests(end=end).overrun, daemon=True).start()

    assert end.called.wait(BOUND_SECONDS)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_is_a_stop_request(
    number: signal.Signals, installed: Callable[[], StopRequests]
) -> None:
    stops = installed()
    os.kill(os.getpid(), number)
    assert stops.count == 1


def test_the_death_of_the_parent_process_is_a_stop_request(
    monkeypatch: pytest.MonkeyPatch, installed: Callable[[], StopRequests]
) -> None:
    child_end, parent_end = os.pipe()
    monkeypatch.setenv(LIFELINE, str(child_end))
    stops = installed()
    requested = threading.Event()
    stops.subscribe(requested.set)
    assert LIFELINE not in os.environ
    os.write(parent_end, b"alive")
    assert stops.count == 0

    os.close(parent_end)

    assert requested.wait(BOUND_SECONDS)
    assert stops.count == 1
    os.close(child_end)


@pytest.mark.parametrize("text", ["", "three", "99999"])
def test_an_invalid_lifeline_is_reported_and_ignored(
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    installed: Callable[[], StopRequests],
) -> None:
    monkeypatch.setenv(LIFELINE, text)
    stops = installed()
    assert stops.count == 0
    assert f"{LIFELINE}={text} is not an open descriptor" in capfd.readouterr().err


def run_in_a_process(code: str, after: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        after(process)
        _, error = process.communicate(timeout=BOUND_SECONDS)
        return process.returncode, error


def test_a_loop_that_never_yields_does_not_outlive_the_grace() -> None:
    code = (
        "from lastcall.runtime.signals import install\n"
        "install().arm(0)\n"
        "print('ready', flush=True)\n"
        "while True: pass"
    )
    status, error = run_in_a_process(code, lambda process: process.terminate())
    assert status == 3
    assert "line 4" in error  # the line that blocks
    assert "the process did not end by itself" in error


def test_importing_the_module_loads_no_large_library() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import lastcall.runtime.signals\n"
        "print('ready'); print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    _, error = run_in_a_process(code, lambda _process: None)
    loaded = set(error.split())
    assert "lastcall.runtime.signals" in loaded
    large = {
        "trio",
        "click",
        "structlog",
        "msgspec",
        "socket",
        "logging",
        "asyncio",
        "lastcall.author",
    }
    assert not loaded & large
