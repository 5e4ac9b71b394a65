"""All bots share this: the ledger, and who of them waits for whom."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

import trio

from lastcall.client import OpenStream
from lastcall.local.bots.ledger import Ledger

SEATS_PER_BOT = 8
"""Matches that a bot may have played since the one whose end another bot still has to read."""


class Crowd:
    """``count`` bots that play on ``urls``, and record what they see in ``ledger``."""

    def __init__(
        self,
        urls: Sequence[str],
        count: int,
        ledger: Ledger,
        rng: random.Random,
        open_stream: OpenStream,
    ) -> None:
        self.urls = urls
        self.ledger = ledger
        self.rng = rng
        self.open_stream = open_stream
        self.stopping = False
        self.waiting: set[trio.CancelScope] = set()
        """The scopes of bots that wait for an opponent."""
        self.seats: deque[str] = deque(maxlen=SEATS_PER_BOT * max(count, 1))
        """The players that bots are or were lately; any other player is a person."""

    def stop(self) -> None:
        """Starts no more matches; bots that wait for an opponent leave."""
        self.stopping = True
        for scope in self.waiting:
            scope.cancel()
