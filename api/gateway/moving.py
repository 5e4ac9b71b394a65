"""Moves clients to other nodes: tells each when its turn is, and closes it with 1012 then.

And who is left, while a node drains.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

import trio

from lastcall.api.sessions.session import Session
from lastcall.api.sessions.states import State
from lastcall.reasons import Close
from lastcall.runtime.batches import CLIENTS_PER_BATCH

STANDING = {
    "in rooms": {State.SEATED},
    "with a join under way": {State.JOINING, State.REGROUPING},
    "with a resume under way": {State.RESUMING},
    "outside rooms": {State.FREE},
}


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
            session.connection.announce_move(max(0.0, at - now))


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
