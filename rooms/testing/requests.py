"""The requests of a table's players, and the answers of the room's node."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import trio

from lastcall.errors import JoinRefused, StateFailed
from lastcall.identity import Identity
from lastcall.reasons import ErrorCode
from lastcall.wire import nodes

REST_SECONDS = 10.0
"""After a move, for the room's function to come to rest; else nobody would get their place."""
WORKS = (
    "the room has spoken in the middle of a step, so its answer waits for its end: until "
    "it waits for an event or says table.commit()"
)

Answer = nodes.Seated | nodes.Resumed | nodes.Refused


class Requests:
    """The calls for places, from the question to the look at its answer."""

    def __init__(self) -> None:
        self._asked: dict[int, Identity | None] = {}
        """By the number of a request that is not over: whose it is."""
        self._last = 0
        self._answers: dict[int, Answer] = {}
        self._answered = trio.Event()

    def begin(self, identity: Identity | None) -> int:
        """The number of a new request."""
        self._last += 1
        self._asked[self._last] = identity
        return self._last

    def asker(self, call: int) -> Identity | None:
        """Whose request ``call`` is."""
        return self._asked[call]

    def answer(self, answer: Answer) -> bool:
        """The node has answered; False for a request that is over."""
        if answer.call not in self._asked:
            return False
        self._answers[answer.call] = answer
        self._answered.set()
        self._answered = trio.Event()
        return True

    async def wait(self, calls: AbstractSet[int]) -> None:
        """Waits for the answers; raises :class:`StateFailed` if they do not come in time."""
        with trio.move_on_after(REST_SECONDS):
            while not calls <= self._answers.keys():
                await self._answered.wait()
        if not calls <= self._answers.keys():
            raise StateFailed(f"the room does not come to rest at another node: {WORKS}")

    def end(self, call: int) -> nodes.Seated | nodes.Resumed:
        """The answer, which is looked at now; raises :class:`JoinRefused` for a no, or without."""
        self._asked.pop(call)
        answer = self._answers.pop(call, None)
        if answer is None:
            raise JoinRefused(ErrorCode.NO_GAME_NODE, WORKS, retry=True)
        if isinstance(answer, nodes.Refused):
            raise JoinRefused(answer.code, answer.message, retry=False)
        return answer
