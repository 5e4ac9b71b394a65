"""One bot: its client, and the rooms that it takes a seat in, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod

import trio

from lastcall.client import Client, Place, PlaceState, open_client
from lastcall.client.connection import NO_CLOSE_FRAME
from lastcall.errors import (
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    RemoteProtocolError,
)
from lastcall.local.bots.crowd import Crowd
from lastcall.reasons import Close

PAUSE_SECONDS = (0.2, 0.6)
"""Between a failed join and the bot's next one. The client itself does not try again, so that each
refusal is counted."""
ARRIVE_SECONDS = 0.2
STALL_SECONDS = 10.0
"""A match in which nothing happens for this long has lost a message; so has a client that cannot
reconnect for this long."""


class Bot(ABC):
    """One bot: one client, one room after the other."""

    kind: str

    def __init__(self, name: str, crowd: Crowd) -> None:
        self._name = name
        self._crowd = crowd
        self._ledger = crowd.ledger
        self._rng = crowd.rng
        self._asked_at: float | None = None
        """When it first asked for its seat. A refusal or a move does not restart the wait."""
        self._sockets = 1
        """Sockets so far, of those whose hops are counted."""

    async def run(self) -> None:
        """Plays until the bots are stopped; records what is wrong."""
        crowd = self._crowd
        await trio.sleep(self._rng.uniform(0, ARRIVE_SECONDS))
        async with open_client(
            crowd.urls,
            give_up_seconds=STALL_SECONDS,
            on_state=self._on_state,
            dice=self._rng,
            open_stream=crowd.open_stream,
        ) as client:
            self._client = client
            while not crowd.stopping:
                try:
                    await self._join_and_play(client)
                except ConnectFailed as error:
                    self._ledger.rejected(f"{self._name}: {error}")
                    await self._pause()
                except ConnectionLost as error:
                    self._ledger.error(f"{self._name}: {error}")
                    await self._pause()

    def _on_state(self, _place: Place, state: PlaceState) -> None:
        if state is PlaceState.HERE:
            self._count_hops()

    def _count_hops(self) -> None:
        for _ in range(self._client.opened - self._sockets):
            self._ledger.reconnected(self._name)
        self._sockets = max(1, self._client.opened)

    async def _join_and_play(self, client: Client) -> None:
        place = await self._join(client)
        if place is None:
            return
        self._count_hops()
        try:
            await self._play(place)
        except (RemoteProtocolError, trio.TooSlowError) as error:
            text = str(error) or f"nothing happened for {STALL_SECONDS:g} s"
            self._ledger.error(f"{self._name} in {place.room}: {text}")
            await place.leave()
        finally:
            self._ledger.add_numbering_errors(
                gaps=place.progress.holes, repeats=place.progress.repeats
            )

    async def _join(self, client: Client) -> Place | None:
        """Sends one join; None when it is refused or its node dies, or when the client is moved
        instead.
        """
        if self._asked_at is None:
            self._asked_at = trio.current_time()
        try:
            place = await client.join(kind=self.kind, name=self._name, join_seconds=0)
        except JoinRefused as refused:
            if refused.retry:
                self._ledger.refused()
            else:
                self._ledger.rejected(f"{self._name}: {refused}")
            await self._pause()
            return None
        except ConnectionLost as lost:
            moved = client.connection is not None and client.connection.move is not None
            if moved or lost.code == Close.SERVICE_RESTART:
                return None
            if lost.code != NO_CLOSE_FRAME:
                raise
            self._ledger.refused()  # the node is gone, perhaps killed: any client would try again
            await self._pause()
            return None
        self._ledger.joined(trio.current_time() - self._asked_at)
        self._asked_at = None
        return place

    @abstractmethod
    async def _play(self, place: Place) -> None:
        """Plays until the room ends or the bots are stopped. Raises what is wrong."""

    async def _pause(self) -> None:
        await trio.sleep(self._rng.uniform(*PAUSE_SECONDS))
