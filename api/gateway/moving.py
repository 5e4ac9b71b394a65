"""Moves clients to other nodes: tells each when its turn is, and closes it with 1012 then.

And who is left, while a node drains.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

import trio

from lastcall.api.sessions.client_connection import LEAVING
from lastcall.api.sessions.session import Session
from lastcall.api.sessions.states import State
from lastcall.api.socket.frame_builder import text_frame
from lastcall.core.pacing import RandomSource, spread
from lastcall.reasons import Close
from lastcall.runtime.batches import CLIENTS_PER_BATCH, each
from lastcall.wire import frames

STANDING = {
    "in rooms": {State.SEATED},
    "with a join under way": {State.JOINING, State.REGROUPING},
    "with a resume under way": {State.RESUMING},
    "outside rooms": {State.FREE},
}


class ClientMoves:
    """The moves of a node's clients; ``sessions`` are those that are connected, at any time."""

    def __init__(self, sessions: Collection[Session]) -> None:
        self._sessions = sessions
        self.leaving = False
        """Whether all are to leave, those too who still come."""

    async def notify(self, tier: str, seconds: float) -> None:
        """Tells every client the seconds to the cut."""
        notice = text_frame(frames.encode(frames.Draining(tier, round(seconds, 3))))
        await each_connected(self._sessions, lambda session: session.connection.send_built(notice))

    async def move_idle(self, spread_seconds: float, dice: RandomSource) -> None:
        """Moves the clients outside rooms, spread over ``spread_seconds``; returns when done.

        All others are moved as soon as their room ends (or their join is refused), also after
        this was cancelled. A resume that is under way is seated, one that still comes is moved.
        """
        self._let_all_leave()
        idle = [session for session in self._sessions if session.state is State.FREE]
        await move(idle, spread(len(idle), spread_seconds, dice), LEAVING)

    async def move_all(self, within_seconds: float, dice: RandomSource | None = None) -> None:
        """Moves everybody, in rooms or not, at an even pace or with jitter; returns when done."""
        self._let_all_leave()
        everybody = list(self._sessions)
        await move(everybody, spread(len(everybody), within_seconds, dice), LEAVING)

    async def move_some(
        self, sessions: Iterable[Session], within_seconds: float, dice: RandomSource
    ) -> None:
        """Moves these, since their rooms cannot be reached from here; returns when done.

        They resume through another node, or through this one.
        """
        some = list(sessions)
        offsets = spread(len(some), within_seconds, dice)
        await move(some, offsets, "your room cannot be reached from here")

    def _let_all_leave(self) -> None:
        self.leaving = True
        for session in self._sessions:
            session.draining = True


async def each_connected(sessions: Collection[Session], do: Callable[[Session], None]) -> None:
    """Calls ``do`` with each of ``sessions`` that is still connected when its turn comes."""

    def unless_gone(session: Session) -> None:
        if session.state is not State.GONE:
            do(session)

    await each(tuple(sessions), unless_gone)


async def move(sessions: list[Session], offsets: Sequence[float], reason: str) -> None:
    """Moves each of ``sessions`` at its offset in seconds (``offsets``, rising); empties the list.

    Announcing the move to all takes a while, so the first are closed before the last are told. A
    moved session is dropped at once: to free 10 000 in one step blocks the loop for 60 ms.
    """
    begin = trio.current_time()
    turns = deque((one, begin + offset) for one, offset in zip(sessions, offsets, strict=True))
    sessions.clear()
    untold = turns.copy()
    while turns:
        session, at = turns.popleft()
        while untold:
            _tell_some(untold)
            await trio.lowlevel.checkpoint()
            if trio.current_time() >= at:
                break
        await trio.sleep_until(at)
        session.connection.close(Close.SERVICE_RESTART, reason)


def _tell_some(untold: deque[tuple[Session, float]]) -> None:
    """Tells the next few clients how long they have until their turn."""
    now = trio.current_time()
    for _ in range(min(CLIENTS_PER_BATCH, len(untold))):
        session, at = untold.popleft()
        if session.state is not State.GONE:
            session.connection.send(frames.Move(round(max(0.0, at - now), 3)))


def what_is_left(sessions: Collection[Session], connections: int, now: float) -> list[str]:
    """The reasons why a node with these sessions still runs, one sentence each.

    ``connections`` counts the half-open and closing ones, too.
    """
    reasons = []
    for where, states in STANDING.items():
        ages = [now - one.state_since for one in sessions if one.state in states]
        if ages:
            many = "clients" if len(ages) > 1 else "client"
            reasons.append(f"{len(ages)} {many} {where}, the oldest for {max(ages):.0f} s")
    other = connections - len(sessions)
    if other:
        many = "connections" if other > 1 else "connection"
        reasons.append(f"{other} {many} half-open or closing")
    return reasons
