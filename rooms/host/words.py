"""The words of a surviving room, kept until its standby has the step in which they were said.

Words leave in the order in which they were said. A *step* is numbered by the node's protector: the
words up to :meth:`Words.seal` belong to it, and leave when the protector says so.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from lastcall.ids import LinkId
from lastcall.wire import nodes

Word = tuple[LinkId, nodes.Down]

WORD_BYTES = 256
"""About what an item takes besides the text of messages."""
WAITING_BYTES = 1024 * 1024
"""A room for which more waits reads no events until half is gone, and takes no joins or resumes."""

WAITING_BYTES_MAX = 16 * 1024 * 1024
"""A room that goes on speaking, without reading an event, is stopped by an error then."""


class Words:
    """The words of one room; ``outbox`` sends those that may leave.

    Until :meth:`hold`, and after :meth:`let_go`, they leave at once.
    """

    __slots__ = ("_bytes", "_calm", "_left", "_open", "_open_bytes", "_outbox", "_sealed")

    def __init__(self, outbox: Callable[[LinkId, nodes.Down], None]) -> None:
        self._outbox = outbox
        self._open: list[Word] = []
        """The words since the last seal."""
        self._open_bytes = 0
        self._sealed: list[tuple[int, list[Word], int]] = []
        """Of each step: its number, its words, and the bytes of both. Few wait at a time, and an
        empty deque takes 760 bytes."""
        self._left: float = inf
        """The last step whose words may leave; ``inf`` while nothing is held back."""
        self._bytes = 0
        self._calm: trio.Event | None = None

    def __len__(self) -> int:
        return len(self._open) + sum(len(words) for _, words, _ in self._sealed)

    @property
    def open(self) -> int:
        """How many words are not sealed."""
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether the room should say no more."""
        return self._bytes + self._open_bytes > WAITING_BYTES

    @property
    def too_many(self) -> bool:
        """Whether the room has gone on speaking for far too long."""
        return self._bytes + self._open_bytes > WAITING_BYTES_MAX

    def hold(self, left: int) -> None:
        """From now on words wait for their steps; those up to ``left`` are kept already."""
        self._left = left

    def put(self, link: LinkId, item: nodes.Down) -> None:
        """The room says ``item`` to ``link``."""
        if self._left == inf:
            self._outbox(link, item)
            return
        self._open.append((link, item))
        if isinstance(item, nodes.Message):
            self._open_bytes += WORD_BYTES + len(item.body)
        elif isinstance(item, nodes.Replay):
            self._open_bytes += sum(WORD_BYTES + len(body) for _, body in item.messages)
        else:
            self._open_bytes += WORD_BYTES

    def seal(self, n: int, step_bytes: int = 0) -> None:
        """All that was said since the last seal belongs to step ``n``, or to one before it.

        If that step is new, it has ``step_bytes``, which wait with its words: the node keeps them.
        """
        words, size = self._open, self._open_bytes + step_bytes
        if not size:
            return
        self._open, self._open_bytes = [], 0
        if n <= self._left:
            self._send(words)
        else:
            self._sealed.append((n, words, size))
            self._bytes += size

    def leave(self, upto: int) -> None:
        """The words of all steps up to ``upto`` leave."""
        self._left = max(self._left, upto)
        sealed = self._sealed
        while sealed and sealed[0][0] <= upto:
            _, words, size = sealed.pop(0)
            self._bytes -= size
            self._send(words)

    def let_go(self) -> None:
        """All words leave, also those still to come."""
        self._left, self._bytes = inf, 0
        while self._sealed:
            self._send(self._sealed.pop(0)[1])
        words, self._open, self._open_bytes = self._open, [], 0
        self._send(words)

    def drop(self) -> None:
        """Nobody hears what waits, nor what is still to come."""
        self._outbox = _to_nobody
        self.let_go()

    async def wait_calm(self) -> None:
        """Waits until the words are not :attr:`full` and half of them are gone."""
        while self.full:
            self._calm = self._calm or trio.Event()
            await self._calm.wait()

    def _send(self, words: list[Word]) -> None:
        outbox = self._outbox
        for link, item in words:
            outbox(link, item)
        if self._calm is not None and self._bytes <= WAITING_BYTES // 2:
            self._calm.set()
            self._calm = None


def _to_nobody(link: LinkId, item: nodes.Down) -> None:
    """In place of an outbox."""
