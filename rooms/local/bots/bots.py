"""Bots that play tic-tac-toe or talk, over real WebSockets, and check every message."""

from __future__ import annotations

import random
from collections.abc import Sequence

import trio

from lastcall.client import OpenStream, open_tcp
from lastcall.local.bots.crowd import Crowd
from lastcall.local.bots.ledger import Ledger
from lastcall.local.bots.player import Player
from lastcall.local.bots.talker import Talker


class Bots:
    """``count`` bots that play on ``urls`` and record what they see in ``ledger``.

    Each bot is one client and plays match after match. When its socket is lost, it reconnects, also
    in the middle of a match: that is a hop, not an error. A place that it does not get back within
    10 s is an error. ``talkers`` more bots talk in lounges, which have no end of their own.
    """

    def __init__(
        self,
        urls: Sequence[str],
        count: int,
        ledger: Ledger,
        rng: random.Random,
        *,
        talkers: int = 0,
        open_stream: OpenStream = open_tcp,
    ) -> None:
        self._crowd = Crowd(urls, count, ledger, rng, open_stream)
        self._count = count
        self._talkers = talkers

    async def run(self) -> None:
        """Plays until :meth:`stop`; each bot then finishes its match."""
        async with trio.open_nursery() as nursery:
            for number in range(1, self._count + 1):
                nursery.start_soon(Player(f"bot-{number}", self._crowd).run)
            for number in range(1, self._talkers + 1):
                nursery.start_soon(Talker(f"talker-{number}", self._crowd).run)

    def stop(self) -> None:
        """Starts no more matches. A bot that waits for an opponent leaves; the others finish
        theirs, and talkers stop.
        """
        self._crowd.stop()
