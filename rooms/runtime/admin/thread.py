"""Runs the admin port in a thread, with a loop of its own, beside the node's loop.

The node's loop may be late: thousands of handshakes expire at once, or a room computes for seconds.
``/livez`` must answer nevertheless, and say whether the loop is late or dead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import outcome
import trio

T = TypeVar("T")


async def serve_in_thread(
    serve: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Runs ``serve`` in a thread under trio until cancelled, and then waits for its end: ``serve``
    must end at once when it is cancelled. Raises what it raises.
    """
    ours, started, stop = trio.lowlevel.current_trio_token(), trio.Event(), trio.CancelScope()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        ours.run_sync_soon(started.set)
        with stop:
            await serve()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.to_thread.run_sync, trio.run, main))
        try:
            with trio.CancelScope(shield=True):  # ends within milliseconds: the thread starts
                await started.wait()
            task_status.started()
            await trio.sleep_forever()
        finally:
            for theirs in tokens:
                with suppress(trio.RunFinishedError):  # it has ended by an error
                    theirs.run_sync_soon(stop.cancel)


class NodeLoop:
    """The node's loop, as another thread's loop asks it. Made in the node's loop."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()

    async def call(self, ask: Callable[[], T]) -> T:
        """Calls ``ask`` in the node's loop; returns or raises what it does.

        May be cancelled: ``ask`` is called nevertheless. From the node's own loop, too.
        """
        asker, answered = trio.lowlevel.current_trio_token(), trio.Event()
        answers: list[outcome.Maybe[T]] = []

        def answer() -> None:
            answers.append(outcome.capture(ask))
            with suppress(trio.RunFinishedError):  # the asker has gone
                asker.run_sync_soon(answered.set)

        self._token.run_sync_soon(answer)
        await answered.wait()
        return answers[0].unwrap()
