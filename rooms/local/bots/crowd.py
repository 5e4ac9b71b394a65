"""All bots share this: the ledger, and who of them waits for whom."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

import trio

from lastcall.client import OpenStream, Place
from lastcall.local.bots.ledger import Ledger

SEATS_PER_BOT = 8
"""Matches that a bot may have played since the one whose end another bot still has to read."""


class Host:
    """A bot that waits for an opponent in a room of its own."""

    def __init__(self) -> None:
        self.arrived = trio.Event()
        """Set when it has its seat, or will not get one: then ``place`` stays None."""
        self.place: Place | None = None
        self.is_called = False
        """Another bot is about to sit beside it."""


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
        self.hosts: list[Host] = []
        """The bots that wait in a room of their own, or are about to, the first one first."""
        self.seats: deque[str] = deque(maxlen=SEATS_PER_BOT * max(count, 1))
        """The players that bots are or were lately; any other player is a person."""
        self.is_small = count < 3

    def stop(self) -> None:
        """Starts no more matches; bots that wait for an opponent leave."""
        self.stopping = True
        for scope in self.waiting:
            scope.cancel()

    def call_host(self) -> Host | None:
        """A bot that waits, for one that sits beside it; the caller resets ``is_called``. None if
        there is none to spare: one always waits for the next person who comes.
        """
        free = [host for host in self.hosts if not host.is_called]
        if len(free) < 2:
            return None
        free[0].is_called = True
        return free[0]
