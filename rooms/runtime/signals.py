"""Stop requests: SIGTERM, SIGINT or the death of the parent, and a watchdog that enforces grace.

The first statement of a node's ``__main__`` is :func:`install`, before any other import: the kernel
ignores a signal without a handler for PID 1, and the imports may take longer than an operator
waits. So this file only imports modules that the interpreter has nearly loaded already.

A signal handler runs between any two bytecodes of the main thread, also of the handler itself. So
:meth:`StopRequests.request` takes no lock that the main thread may hold and starts no thread
(``Thread.start`` takes a lock): each of its steps is one atomic call of a built-in type, and the
watchdog is a thread that has been waiting since :func:`install`.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

LIFELINE = "LASTCALL_LIFELINE"
"""Environment: a pipe's descriptor. Its end of file means that the parent died: a stop request."""

FRAMES_SHOWN = 6
CUT = 3
"""``ExitCode.CUT``, written out: its import would take longer than the rest of this file."""
DRAINED = 0
"""``ExitCode.DRAINED``: a node that has not served has nothing to drain, and cuts nothing."""

NUDGE = signal.SIGURG
"""Ignored by default, so a process without our handler takes no harm from it."""
NUDGE_SECONDS = 0.1
STDERR = 2


class StopRequests:
    """Counts the stop requests, and ends the process when grace, from the first one, is over.

    With ``starting``, a second request ends the process at once, until :meth:`started`: no drain
    runs yet that could cut, and the main thread may be in an author's import for any time.

    ``clock`` gives seconds; ``end`` ends the process with an exit code and does not return. Tests
    replace both. Without :meth:`watch` there is no thread: under a virtual clock, let a task wait
    for :attr:`deadline` and call :meth:`overrun`.

    :meth:`request` may be called from a signal handler and from any thread, the other methods from
    the main thread.
    """

    def __init__(
        self,
        *,
        starting: bool = False,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._starting = starting
        self._clock = clock
        self._end = end
        self._grace_seconds = 25.0
        self._farewell_seconds = math.inf
        self._timeout_message: Callable[[float, str], str] = _timeout_message
        self._report_message: Callable[[float], str] = lambda _seconds: ""
        self._early_stop_message: Callable[[], str] = _early_stop_message
        self._times: list[float] = []
        self._pending: deque[float] = deque()
        self._callback: Callable[[], object] | None = None
        # A binary semaphore, not a mutex: a change releases it, and the watchdog acquires it.
        self._changed = threading.Lock()
        self._changed.acquire()

    @property
    def count(self) -> int:
        """The number of requests; the second one cuts."""
        return len(self._times)

    @property
    def first_at(self) -> float | None:
        """When the first request came, in the clock's seconds; grace runs from then."""
        return self._times[0] if self._times else None

    @property
    def deadline(self) -> float | None:
        """When the process must have ended, in the clock's seconds; ``None`` before a request.

        This is the end of grace, or, after a second request, the end of the farewell if it is
        earlier.
        """
        if not self._times:
            return None
        at_grace = self._times[0] + self._grace_seconds
        if len(self._times) == 1:
            return at_grace
        return min(at_grace, self._times[1] + self._farewell_seconds)

    def request(self) -> None:
        """Counts a request, and notifies the watchdog and the subscriber."""
        now = self._clock()
        self._times.append(now)
        self._pending.append(now)
        self._notify_watchdog()
        self._notify_subscriber()
        if self._starting and len(self._times) > 1:
            self._end_early()

    def started(self) -> None:
        """The node serves: from now on, the drain handles a second request."""
        self._starting = False

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Calls ``callback`` once for each request, also for earlier ones.

        It runs in a signal handler or another thread, so it may only schedule work, as
        ``lambda: token.run_sync_soon(f)`` does. There is one subscriber: the drain.
        """
        if self._callback is not None:
            raise RuntimeError("stop requests already have a subscriber: the drain")
        self._callback = callback
        self._notify_subscriber()

    def arm(
        self,
        grace_seconds: float,
        farewell_seconds: float = math.inf,
        *,
        timeout_message: Callable[[float, str], str] | None = None,
        report_message: Callable[[float], str] | None = None,
        early_stop_message: Callable[[], str] | None = None,
    ) -> None:
        """Sets grace and farewell, once they are known; grace runs from the first request, also an
        earlier one.

        ``timeout_message`` makes the line that is written to stderr at the deadline, from grace in
        seconds and the stack of the main thread; ``report_message`` makes the last line, from the
        seconds since the first request. They run in the watchdog's thread, and must not need the
        loop or a lock. ``early_stop_message`` makes the line for a second request while
        the node starts; it runs in a signal handler.
        """
        self._grace_seconds = grace_seconds
        self._farewell_seconds = farewell_seconds
        if timeout_message is not None:
            self._timeout_message = timeout_message
        if report_message is not None:
            self._report_message = report_message
        if early_stop_message is not None:
            self._early_stop_message = early_stop_message
        self._notify_watchdog()

    def watch(self) -> None:
        """Starts the watchdog: a daemon thread that calls :meth:`overrun` at the deadline.

        It needs the interpreter's lock for a moment: a loop in Python cannot stop it, but C code
        that never releases the lock can.
        """
        threading.Thread(target=self._watch, name="lastcall-watchdog", daemon=True).start()

    def overrun(self) -> None:
        """Grace is over and the process still runs: writes why and the report to stderr, and exits
        with code 3.
        """
        try:
            _write_if_possible(self._timeout_message(self._grace_seconds, _main_thread_stack()))
            seconds = self._clock() - self._times[0] if self._times else 0.0
            _write_if_possible(self._report_message(seconds))
        finally:
            self._end(CUT)

    def _end_early(self) -> None:
        try:
            _write_if_possible(self._early_stop_message())
        finally:
            self._end(DRAINED)

    def _notify_subscriber(self) -> None:
        # Reentrant: exactly one `popleft` takes each request, in any order of interruptions.
        while self._callback is not None:
            try:
                self._pending.popleft()
            except IndexError:
                return
            try:  # noqa: SIM105 (contextlib would be one more import)
                self._callback()
            except RuntimeError:
                pass  # the subscribed loop has ended; the process will end, too

    def _notify_watchdog(self) -> None:
        try:  # noqa: SIM105
            self._changed.release()
        except RuntimeError:
            pass  # already released: the watchdog has not acquired it yet

    def _watch(self) -> None:
        while True:
            deadline = self.deadline
            left = None if deadline is None else deadline - self._clock()
            if left is not None and left <= 0:
                self.overrun()
                return
            if self._starting:
                # A signal that arrives just before the main thread enters a long call, such as an
                # author's import that sleeps, is noted but does not interrupt that call.
                _interrupt_main_thread()
                left = NUDGE_SECONDS if left is None else min(left, NUDGE_SECONDS)
            self._changed.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX))


def install() -> StopRequests:
    """Handles SIGTERM and SIGINT from now on, starts the watchdog and watches the lifeline.

    SIGHUP does nothing: a closed terminal does not end a node, and a node that has files to read
    again waits for this signal itself. Call it once, from the main thread.
    """
    stops = StopRequests(starting=True)
    stops.watch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stops.request())
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    signal.signal(NUDGE, lambda _number, _frame: None)
    signal.siginterrupt(NUDGE, False)  # calls that can go on do: they belong to an author
    lifeline = os.environ.pop(
        LIFELINE, None
    )  # popped: children of this process have other lifelines
    if lifeline is not None:
        watch_lifeline(lifeline, stops)
    return stops


def ignore_signals() -> None:
    """Ignores SIGTERM and SIGINT from now on, in a node that has ended its work.

    The interpreter removes our handlers some 100 ms before the process ends. A signal in between
    would kill the process, and a drained node would have -15 in place of its exit code.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def watch_lifeline(descriptor: str, stops: StopRequests) -> None:
    """Requests a stop when the other end of the pipe ``descriptor`` is closed.

    A descriptor that is not open is reported on stderr and ignored: a mistake in the environment
    must not end a node.
    """
    try:
        os.set_inheritable(int(descriptor), False)
    except (ValueError, OSError):
        _write_if_possible(f"{LIFELINE}={descriptor} is not an open descriptor: ignored")
        return
    threading.Thread(
        target=_read_to_end, args=(int(descriptor), stops), name="lastcall-lifeline", daemon=True
    ).start()


def _interrupt_main_thread() -> None:
    """Has the main thread run the handlers of signals that have arrived."""
    if (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, NUDGE)


def _read_to_end(descriptor: int, stops: StopRequests) -> None:
    try:
        while os.read(descriptor, 512):
            pass
    except OSError:
        pass  # a broken pipe means the same as its end
    stops.request()


def _main_thread_stack() -> str:
    """The innermost frames of the main thread; empty if they are not available."""
    try:
        import traceback  # noqa: PLC0415 - too slow for the first import of a node

        frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
        return "".join(traceback.format_stack(frame)[-FRAMES_SHOWN:])
    except Exception:  # noqa: BLE001 - the process must end, with these lines or without
        return ""


def _timeout_message(grace_seconds: float, stack: str) -> str:
    return (
        f"Grace ({grace_seconds:g} s) is over and the process did not end by itself: something "
        f"blocks its loop. It exits now with code {CUT}. The main thread is at:\n{stack}"
    )


def _early_stop_message() -> str:
    return f"Second stop request before the node serves: it exits now with code {DRAINED}."


def _write_if_possible(line: str) -> None:
    # A full pipe would block this thread, which has to end the process. A writable pipe takes 4 KiB
    # at once (PIPE_BUF), so one line does not block.
    try:
        if line and select.select([], [STDERR], [], 0)[1]:
            os.write(STDERR, line.encode(errors="replace") + b"\n")
    except OSError:
        pass  # nobody can read it; the exit code tells the same
