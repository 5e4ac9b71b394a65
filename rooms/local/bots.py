"""Bots that play tic-tac-toe over real WebSockets and check all that they see."""

from __future__ import annotations

import random
from collections.abc import Sequence

import trio

from rooms.client import Connection, Message, OpenStream, Place, open_connection, open_tcp
from rooms.errors import (
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    RemoteProtocolError,
)
from rooms.local.ledger import Ledger
from rooms.local.referee import Referee
from rooms.reasons import Close, EndReason

__all__ = ["Bots"]

KIND = "tictactoe"
THINK_SECONDS = (0.05, 0.25)
PAUSE_SECONDS = (0.2, 0.6)
"""After something went wrong; the clients' own back-off comes with resume."""
ARRIVE_SECONDS = 0.2
STALL_SECONDS = 10.0
"""A match in which nothing happens for so long has lost something."""


class Bots:
    """``count`` bots against ``urls``; what they see is in ``ledger``.

    Each keeps one socket and plays match after match on it. When its node leaves (``move``, or a
    close with 1012) it reconnects at once; any other loss is an error.
    """

    def __init__(
        self,
        urls: Sequence[str],
        count: int,
        ledger: Ledger,
        rng: random.Random,
        *,
        open_stream: OpenStream = open_tcp,
    ) -> None:
        self._urls = urls
        self._count = count
        self._ledger = ledger
        self._rng = rng
        self._open_stream = open_stream
        self._stopping = False
        self._waiting: set[trio.CancelScope] = set()

    async def run(self) -> None:
        """Plays until :meth:`stop`, and then each bot's match to its end."""
        async with trio.open_nursery() as nursery:
            for number in range(1, self._count + 1):
                nursery.start_soon(self._bot, f"bot-{number}")

    def stop(self) -> None:
        """No more matches. A bot that waits for an opponent leaves; the others finish theirs."""
        self._stopping = True
        for scope in self._waiting:
            scope.cancel()

    async def _bot(self, name: str) -> None:
        await trio.sleep(self._rng.uniform(0, ARRIVE_SECONDS))
        while not self._stopping:
            try:
                await self._one_socket(name)
            except (ConnectFailed, ConnectionLost) as error:
                self._ledger.error(f"{name}: {error}")
                await self._pause()

    async def _one_socket(self, name: str) -> None:
        """Plays on one socket until the bots are stopped or its node leaves."""
        async with open_connection(self._urls, open_stream=self._open_stream) as connection:
            try:
                while not self._stopping and connection.move is None:
                    await self._one_join(connection, name)
            except ConnectionLost as lost:
                if connection.move is None and lost.code != Close.SERVICE_RESTART:
                    raise
            if not self._stopping:
                self._ledger.reconnected()

    async def _one_join(self, connection: Connection, name: str) -> None:
        try:
            place = await connection.join(kind=KIND, name=name)
        except JoinRefused as refused:
            if refused.retry:
                self._ledger.refused()
            else:
                self._ledger.error(f"{name}: {refused}")
            await self._pause()
            return
        try:
            await self._match(place)
        except (RemoteProtocolError, trio.TooSlowError) as fault:
            text = str(fault) or f"nothing happened for {STALL_SECONDS:g} s"
            self._ledger.error(f"{name} in {place.room}: {text}")
            await place.leave()
        finally:
            self._ledger.numbered(gaps=place.holes, repeats=place.repeats)

    async def _match(self, place: Place) -> None:
        message = await self._first_message(place)
        room, referee = place.room, Referee(place.you)
        while message is not None:
            if place.room != room:
                room, referee = place.room, Referee(place.you)
            referee.on_message(message.data)
            await self._move(place, referee)
            with trio.fail_after(STALL_SECONDS):
                message = await anext(place, None)
        if place.ended is None:
            await place.leave()
        else:
            self._on_end(place, referee)

    async def _first_message(self, place: Place) -> Message | None:
        """Waits for the match to begin; None when it ends, or when the bots are stopped, before."""
        with trio.CancelScope() as waiting:
            self._waiting.add(waiting)
            if self._stopping:
                waiting.cancel()
            try:
                return await anext(place, None)
            finally:
                self._waiting.discard(waiting)
        return None

    async def _move(self, place: Place, referee: Referee) -> None:
        cell = referee.choose(self._rng)
        if cell is not None:
            await trio.sleep(self._rng.uniform(*THINK_SECONDS))
            await place.say({"cell": cell})

    def _on_end(self, place: Place, referee: Referee) -> None:
        assert place.ended is not None  # noqa: S101 - the caller has looked
        if place.refused:
            raise RemoteProtocolError(f"a legal move was refused: {place.errors[-1].message}")
        match place.ended.reason:
            case EndReason.FINISHED:
                outcome = referee.on_result(place.ended.result)
                if referee.over:
                    self._ledger.finished(place.room, outcome)
                else:
                    self._ledger.walked_over()
            case EndReason.CUT:
                self._ledger.was_cut()
            case EndReason.LEFT:
                pass
            case reason:
                raise RemoteProtocolError(f"the match ended with {reason}")

    async def _pause(self) -> None:
        await trio.sleep(self._rng.uniform(*PAUSE_SECONDS))
