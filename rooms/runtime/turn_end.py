"""The end of a turn of the event loop: when all tasks that could run have run, before it waits."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

log = structlog.get_logger()


class TurnEnd(trio.abc.Instrument):
    """Does at the end of a turn, early, what tasks would do in the next turn.

    So what many rooms say in one turn leaves together, and none of it waits for the loop.

    The loop has decided by then whether it waits. So call :meth:`at_end` only in a step that also
    wakes the task which does the same later; an act may wake others then.
    """

    def __init__(self) -> None:
        self._acts: dict[Callable[[], None], None] = {}

    def at_end(self, act: Callable[[], None]) -> None:
        """Calls ``act`` once at the end of this turn, while :meth:`run` runs."""
        self._acts[act] = None

    async def run(self) -> None:
        """Looks at the ends of turns, until cancelled."""
        self._acts.clear()
        trio.lowlevel.add_instrument(self)
        try:
            await trio.sleep_forever()
        finally:
            trio.lowlevel.remove_instrument(self)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the instrument's
        """Called by trio."""
        if self._acts:
            acts, self._acts = self._acts, {}
            for act in acts:
                try:
                    act()
                except Exception:  # trio would remove the instrument; the task tries it again
                    log.exception("turn.act_failed")
