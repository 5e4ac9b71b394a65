"""Stop requests: from SIGTERM, SIGINT or a parent that died, until the process ends.

The first statement of a node's ``__main__`` is :func:`install`, before any other import: as PID 1 a
signal without a handler is ignored by the kernel, and the imports alone take longer than the wait
of an impatient operator. So this file imports only what the interpreter has nearly loaded already.

A signal handler runs between any two bytecodes of the main thread, inside itself too. So
:meth:`StopRequests.request` takes no lock that the main thread may hold and starts no thread
(``Thread.start`` takes one): each of its steps is a single atomic call of a built-in type, and the
watchdog is a thread that has been parked since :func:`install`.
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

__all__ = ["LIFELINE", "StopRequests", "install"]

LIFELINE = "LASTCALL_LIFELINE"
"""Environment: a descriptor whose end of file says that the parent died: a stop request."""

FRAMES_TOLD = 6
OVERRUN = 3
"""``ExitCode.CUT``; written out, because importing it would cost more than all of this file."""
GIVEN_UP = 0
"""``ExitCode.DRAINED``: who has not served has nothing to drain, and cuts nothing."""

STDERR = 2


class StopRequests:
    """Counts the requests to stop, and ends the process when the grace after the first is over.

    With ``starting``, a second request ends it at once, until :meth:`started`: there is no drain
    yet that could cut, and the main thread may be in an author's import for as long as that takes.

    ``clock`` gives seconds; ``end`` ends the process with an exit code and does not return. Both
    are injected by tests. Without :meth:`watch` no thread is made: under a virtual clock, let a
    task wait for :attr:`deadline` and call :meth:`overrun`.

    :meth:`request` may be called from a signal handler and from any thread, the rest from the
    main thread.
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
        self._words: Callable[[float, str], str] = _plain_words
        self._early_words: Callable[[], str] = _plain_early_words
        self._times: list[float] = []
        self._untold: deque[float] = deque()
        self._callback: Callable[[], object] | None = None
        # A binary semaphore, not a mutex: whoever has news releases it, and the watchdog takes it.
        self._news = threading.Lock()
        self._news.acquire()

    @property
    def count(self) -> int:
        """How many requests came; the second one cuts."""
        return len(self._times)

    @property
    def first_at(self) -> float | None:
        """When the first request came, in the clock's seconds; the grace runs from here."""
        return self._times[0] if self._times else None

    @property
    def deadline(self) -> float | None:
        """When the process must be gone, in the clock's seconds; ``None`` before a request.

        At the end of grace; after a second request, at the end of the farewell that it begins.
        """
        if not self._times:
            return None
        at_grace = self._times[0] + self._grace_seconds
        if len(self._times) == 1:
            return at_grace
        return min(at_grace, self._times[1] + self._farewell_seconds)

    def request(self) -> None:
        """One more request: counted, and told to the watchdog and to the subscriber."""
        now = self._clock()
        self._times.append(now)
        self._untold.append(now)
        self._notify_watchdog()
        self._tell()
        if self._starting and len(self._times) > 1:
            self._give_up()

    def started(self) -> None:
        """The node serves: from here on a second request is the drain's affair."""
        self._starting = False

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Calls ``callback`` once for each request, also for those that came before.

        It is called in a signal handler or a foreign thread, so it may only hand over, as
        ``lambda: token.run_sync_soon(f)`` does. There is one subscriber: the drain.
        """
        if self._callback is not None:
            raise RuntimeError("stop requests have a subscriber already: the drain")
        self._callback = callback
        self._tell()

    def arm(
        self,
        grace_seconds: float,
        farewell_seconds: float = math.inf,
        *,
        words: Callable[[float, str], str] | None = None,
        early_stop_message: Callable[[], str] | None = None,
    ) -> None:
        """Sets the budget, once it is known; it counts from the first request, also a past one.

        ``words`` makes the line that is written to stderr at the deadline, from the grace in
        seconds and the stack of the main thread: where it hangs. It runs in the watchdog's thread,
        and must not need the loop or a lock. ``early_stop_message`` makes the one for a second
        request while starting, in a signal handler.
        """
        self._grace_seconds = grace_seconds
        self._farewell_seconds = farewell_seconds
        if words is not None:
            self._words = words
        if early_stop_message is not None:
            self._early_words = early_stop_message
        self._notify_watchdog()

    def watch(self) -> None:
        """Parks the watchdog: a daemon thread that calls :meth:`overrun` at the deadline.

        It needs the interpreter's lock for a moment: a room that loops in Python is no obstacle,
        but C code that never releases the lock is.
        """
        threading.Thread(target=self._watch, name="lastcall-watchdog", daemon=True).start()

    def overrun(self) -> None:
        """The grace is over and the process still here: one line to stderr, then exit code 3."""
        try:
            _write_if_possible(self._words(self._grace_seconds, _where_it_hangs()))
        finally:
            self._end(OVERRUN)

    def _give_up(self) -> None:
        try:
            _write_if_possible(self._early_words())
        finally:
            self._end(GIVEN_UP)

    def _tell(self) -> None:
        # Reentrant: each request is taken by exactly one `popleft`, whoever interrupts whom.
        while self._callback is not None:
            try:
                self._untold.popleft()
            except IndexError:
                return
            try:  # noqa: SIM105 (contextlib is an import too many here)
                self._callback()
            except RuntimeError:
                pass  # the loop that subscribed has ended; so will the process

    def _notify_watchdog(self) -> None:
        try:  # noqa: SIM105
            self._news.release()
        except RuntimeError:
            pass  # released already: news that the watchdog has not taken yet

    def _watch(self) -> None:
        while True:
            deadline = self.deadline
            left = None if deadline is None else deadline - self._clock()
            if left is not None and left <= 0:
                self.overrun()
                return
            self._news.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX))


def install() -> StopRequests:
    """Takes SIGTERM and SIGINT from here on, parks the watchdog and holds the lifeline.

    To be called from the main thread, once.
    """
    stops = StopRequests(starting=True)
    stops.watch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stops.request())
    lifeline = os.environ.pop(LIFELINE, None)  # popped: our children hang on other lines
    if lifeline is not None:
        hold_lifeline(lifeline, stops)
    return stops


def hold_lifeline(descriptor: str, stops: StopRequests) -> None:
    """Asks ``stops`` to stop when the other end of the pipe ``descriptor`` is closed.

    A descriptor that is not open is said on stderr and otherwise ignored: better a node that
    outlives its parent than one that ends for a mistake in its environment.
    """
    try:
        os.set_inheritable(int(descriptor), False)
    except (ValueError, OSError):
        _write_if_possible(f"{LIFELINE}={descriptor} is no open descriptor: not held")
        return
    threading.Thread(
        target=_read_to_end, args=(int(descriptor), stops), name="lastcall-lifeline", daemon=True
    ).start()


def _read_to_end(descriptor: int, stops: StopRequests) -> None:
    try:
        while os.read(descriptor, 512):
            pass
    except OSError:
        pass  # a line that breaks says the same as one that ends
    stops.request()


def _where_it_hangs() -> str:
    """The innermost frames of the main thread; empty if they cannot be had."""
    try:
        import traceback  # noqa: PLC0415 - loaded by now, and too dear for the first statement

        frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
        return "".join(traceback.format_stack(frame)[-FRAMES_TOLD:])
    except Exception:  # noqa: BLE001 - the end must come, with these words or without
        return ""


def _plain_words(grace_seconds: float, where: str) -> str:
    return (
        f"The time is up (grace {grace_seconds:g} s) and the process did not end by itself: "
        f"something blocks its loop. It ends now with code {OVERRUN}. The main thread is at:\n"
        f"{where}"
    )


def _plain_early_words() -> str:
    return f"Told twice to stop, and not serving yet: it ends now with code {GIVEN_UP}."


def _write_if_possible(line: str) -> None:
    # A full pipe would block this thread, and with it the end that it is here to bring about. A
    # writable pipe takes 4 KiB at once (PIPE_BUF), so one line does not block.
    try:
        if select.select([], [STDERR], [], 0)[1]:
            os.write(STDERR, line.encode(errors="replace") + b"\n")
    except OSError:
        pass  # nobody can read it: the exit code says it too
