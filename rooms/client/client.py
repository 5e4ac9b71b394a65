"""A client that keeps its place: sockets come and go, and it takes the place to the next.

Who owns what: the nursery of :func:`open_client` owns every socket's tasks, one task a place
(``_carry``) decides about them and waits, and the place knows neither. What is decided by
arithmetic is in :mod:`lastcall.core.client.reconnect` (when) and
:mod:`lastcall.core.client.place_state` (what to say).
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import trio

from lastcall.client.connection import NO_CLOSE_FRAME, Connection
from lastcall.client.dial import OpenStream, open_tcp
from lastcall.client.opening import checked, first_that_answers, socket_nursery
from lastcall.client.place import Place
from lastcall.client.values import PlaceState
from lastcall.core.client.reconnect import ReconnectPolicy
from lastcall.core.pacing import RandomSource
from lastcall.errors import (
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    LocalProtocolError,
    PlaceLost,
)

__all__ = ["ANSWER_SECONDS", "LEAVE_SECONDS", "Client", "OnState", "open_client"]

CONNECT_SECONDS = 3.0
JOIN_SECONDS = 10.0
ANSWER_SECONDS = 8.0
"""A server that takes a ``join`` or a ``resume`` answers sooner, if only with a close (1013)."""
LEAVE_SECONDS = 2.0

OnState = Callable[[Place, PlaceState], None]
"""Called at each change of a place's state after ``joined``, in the task that reads the socket:
it returns soon, without waiting. An exception from it ends the client's block and comes out of it.
"""


@asynccontextmanager
async def open_client(
    urls: str | Iterable[str],
    *,
    connect_seconds: float = CONNECT_SECONDS,
    give_up_seconds: float | None = None,
    on_state: OnState | None = None,
    dice: RandomSource | None = None,
    open_stream: OpenStream = open_tcp,
) -> AsyncIterator[Client]:
    """A client for one place after the other; leaving the block leaves the place of then.

    The first URL is tried first, and after each socket the next one; one round over all of them is
    an attempt, and each URL has ``connect_seconds``, the server's ``hello`` included. A place that
    is away for ``give_up_seconds`` is lost; None: the client tries for as long as no server says
    that the place is no more. ``dice`` are for the waits. Opens nothing yet. Raises
    :class:`lastcall.errors.BadAddress` for what is no WebSocket URL. At the end it waits for the
    room's word on the leaving, up to 2 s, also when the place is away then, and up to 0.5 s for
    the socket to close.
    """
    async with socket_nursery() as nursery:
        client = Client(
            nursery,
            checked(urls),
            connect_seconds=connect_seconds,
            give_up_seconds=give_up_seconds,
            on_state=on_state,
            dice=dice or random.SystemRandom(),
            open_stream=open_stream,
        )
        try:
            yield client
        finally:
            with trio.CancelScope(shield=True):  # aclose() has time limits of its own
                await client.aclose()


class Client:
    """Made by :func:`open_client`; has one place at a time."""

    def __init__(
        self,
        nursery: trio.Nursery,
        urls: list[str],
        *,
        connect_seconds: float,
        give_up_seconds: float | None,
        on_state: OnState | None,
        dice: RandomSource,
        open_stream: OpenStream,
    ) -> None:
        self._nursery = nursery
        self._urls = urls
        self._connect_seconds = connect_seconds
        self._give_up_seconds = inf if give_up_seconds is None else give_up_seconds
        self._on_state = on_state
        self._dice = dice
        self._open_stream = open_stream
        self.connection: Connection | None = None
        """The socket of now or, while there is none, the one before."""
        self.opened = 0
        """How many sockets were opened."""
        self.place: Place | None = None
        """The place taken last."""

    async def join(
        self,
        *,
        kind: str = "",
        room: str = "",
        new: bool = False,
        options: Mapping[str, Any] | None = None,
        name: str = "",
        key: str = "",
        join_seconds: float = JOIN_SECONDS,
    ) -> Place:
        """Takes a seat and keeps it; the arguments are those of :meth:`Connection.join`.

        ``key`` is random unless given, so a ``join`` whose answer was lost is said again and is
        one seat. Servers that cannot be reached, and refusals that may pass, are tried again with
        back-off; after ``join_seconds`` no new attempt begins, and the last one's error is raised:
        :class:`ConnectFailed`, :class:`ConnectionLost` or :class:`JoinRefused`. So with 0 there is
        one attempt. Raises :class:`LocalProtocolError` while there is a place already. Cancelled,
        a seat that is granted all the same is given up.
        """
        await self._no_other_place()
        comeback = ReconnectPolicy(self._dice)
        give_up_at = trio.current_time() + join_seconds
        request = {"kind": kind, "room": room, "new": new, "options": options, "name": name}
        request["key"] = key or secrets.token_urlsafe(16)
        wait = self._wait_before_joining(comeback)
        while True:
            await trio.sleep(wait)
            try:
                place = await self._ask(request)
            except (ConnectFailed, ConnectionLost, JoinRefused) as error:
                pause = self._pause(error, comeback)
                if pause is None or trio.current_time() + pause > give_up_at:
                    raise
                wait = pause
            else:
                comeback.arrived(trio.current_time())
                self._nursery.start_soon(self._carry, place, comeback)
                return place

    async def aclose(self) -> None:
        """Leaves the place, within 2 s, and closes the socket, within 0.5 s."""
        if self.place is not None:
            with trio.move_on_after(LEAVE_SECONDS):
                await self.place.leave()
        if self.connection is not None:
            await self.connection.aclose()

    async def _no_other_place(self) -> None:
        if self.place is not None:
            if self.place.leaving:
                await self.place.wait_over()
            if self.place.state is not PlaceState.OVER:
                raise LocalProtocolError(
                    f"this client has a place in {self.place.room}: leave it first"
                )

    def _wait_before_joining(self, comeback: ReconnectPolicy) -> float:
        """A socket lost between two places is a loss like others: not all come back at once."""
        if self.connection is None or self.connection.lost_at is None:
            return 0.0
        wait = self._after_loss(comeback) or 0.0
        return max(0.0, self.connection.lost_at + wait - trio.current_time())

    def _pause(self, error: Exception, comeback: ReconnectPolicy) -> float | None:
        """Seconds to wait after a join that did not succeed; None if it never will."""
        if isinstance(error, ConnectionLost):
            return self._after_loss(comeback)
        if isinstance(error, JoinRefused) and not error.retry:
            return None
        return comeback.failed()

    def _after_loss(self, comeback: ReconnectPolicy) -> float | None:
        connection = self.connection
        assert connection is not None  # noqa: S101 - there is one that was lost
        assert connection.lost is not None  # noqa: S101
        told = connection.move is not None
        return comeback.lost(connection.lost.code, trio.current_time(), told=told)

    async def _ask(self, request: dict[str, Any]) -> Place:
        connection = self.connection
        if connection is None or connection.lost is not None:
            connection = await self._open()
        with trio.move_on_after(ANSWER_SECONDS):
            self.place = await connection.join(**request)
            return self.place
        connection.abandon(f"no answer to a join in {ANSWER_SECONDS:g} s")
        raise ConnectionLost(NO_CLOSE_FRAME, f"no answer to a join in {ANSWER_SECONDS:g} s")

    async def _open(self) -> Connection:
        """One round over the URLs, from the one after the last that was good."""
        first = 0
        if self.connection is not None:
            first = self._urls.index(self.connection.url) + 1
        self.connection = await first_that_answers(
            self._nursery,
            self._urls[first:] + self._urls[:first],
            self._connect_seconds,
            self._open_stream,
            self._tell,
        )
        self.opened += 1
        return self.connection

    async def _carry(self, place: Place, comeback: ReconnectPolicy) -> None:
        """Takes ``place`` from socket to socket until it is over."""
        while await place.wait_state(PlaceState.AWAY) is PlaceState.AWAY:
            wait = self._after_loss(comeback)
            with trio.move_on_after(self._give_up_seconds) as giving_up:
                while wait is not None and place.state is PlaceState.AWAY:
                    await trio.sleep(wait)
                    wait = await self._bring_back(place, comeback)
            if place.state is PlaceState.AWAY:
                place.lose(self._why_lost(giving_up.cancelled_caught))

    async def _bring_back(self, place: Place, comeback: ReconnectPolicy) -> float | None:
        """One attempt. Unless the place is here or over: seconds to wait; None is for ever."""
        try:
            connection = await self._open()
            with trio.fail_after(ANSWER_SECONDS):
                await connection.resume(place)
        except ConnectionLost as error:
            return comeback.turned_away(error.code)
        except (ConnectFailed, JoinRefused, trio.TooSlowError):
            return comeback.failed()
        comeback.arrived(trio.current_time())
        return None

    def _why_lost(self, gave_up: bool) -> PlaceLost:
        lost = self.connection.lost if self.connection is not None else None
        code, reason = (NO_CLOSE_FRAME, "") if lost is None else (lost.code, lost.reason)
        if gave_up:
            reason = f"not back within {self._give_up_seconds:g} s: {reason}"
        return PlaceLost(code, reason)

    def _tell(self, place: Place, state: PlaceState) -> None:
        if self._on_state is None:
            return
        try:
            self._on_state(place, state)
        except Exception as error:  # noqa: BLE001 - raised where the caller can see it
            self._nursery.start_soon(_raise, error)


async def _raise(error: Exception) -> None:
    raise error
