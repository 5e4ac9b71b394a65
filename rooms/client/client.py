"""A client that keeps its place: when a socket is lost, it moves the place to the next one.

The nursery of :func:`open_client` owns every socket's tasks. One task for each place
(``_keep``) opens sockets and waits between attempts; the place knows neither. The decisions are
in :mod:`lastcall.core.client.reconnect` (when to try) and
:mod:`lastcall.core.client.resume_state` (what to send again).
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import trio

from lastcall.client.connection import NO_CLOSE_FRAME, Connection
from lastcall.client.dial import OpenStream, open_tcp
from lastcall.client.opening import Opener, socket_nursery
from lastcall.client.place import OnState, Place
from lastcall.client.suspends import SecondsAsleep, seconds_asleep, watch_suspends
from lastcall.client.tokens import Token, TokenSource
from lastcall.client.values import PlaceState
from lastcall.core.client.reconnect import ReconnectPolicy
from lastcall.core.pacing import RandomSource
from lastcall.errors import (
    AuthRefused,
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    LocalProtocolError,
    PlaceLost,
)

CONNECT_SECONDS = 3.0
JOIN_SECONDS = 10.0
ANSWER_SECONDS = 8.0
"""A server answers a ``join`` or a ``resume`` sooner than this, if only with a close (1013)."""
LEAVE_SECONDS = 2.0

log = logging.getLogger("lastcall.client")


@asynccontextmanager
async def open_client(
    urls: str | Iterable[str],
    *,
    token: Token | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    give_up_seconds: float | None = None,
    on_state: OnState | None = None,
    dice: RandomSource | None = None,
    open_stream: OpenStream = open_tcp,
    asleep: SecondsAsleep | None = seconds_asleep,
) -> AsyncIterator[Client]:
    """A client for one place after the other; leaving the block leaves its place.

    The first URL is tried first, and after each socket the next one. One attempt tries all of them
    once, and each URL has ``connect_seconds``, the server's ``hello`` included. ``token`` says who
    the client is; a function is asked anew for each socket, and has ``connect_seconds`` too. A
    place that is away for ``give_up_seconds`` is lost; with None, the client tries until a server
    says that the place no longer exists. ``dice`` makes the waits random. ``asleep`` tells how long
    the computer has slept: after 10 s or more, the client reconnects at once. Opens no socket yet.
    Raises :class:`lastcall.errors.BadAddress` for a text that is not a WebSocket URL. The end of
    the block waits up to 2 s for the room to confirm the leave, also while the place is away, and
    up to 0.5 s for the socket to close.
    """
    opener = Opener(urls, connect_seconds, TokenSource(token), open_stream)
    async with socket_nursery() as nursery:
        client = Client(
            nursery,
            opener,
            give_up_seconds=inf if give_up_seconds is None else give_up_seconds,
            on_state=on_state,
            dice=dice or random.SystemRandom(),
        )
        if asleep is not None:
            nursery.start_soon(watch_suspends, asleep, client.reconnect_now)
        try:
            yield client
        finally:
            with trio.CancelScope(shield=True):  # aclose() has time limits of its own
                await client.aclose()


class Client:
    """Keeps one place at a time; made by :func:`open_client`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        opener: Opener,
        *,
        give_up_seconds: float,
        on_state: OnState | None,
        dice: RandomSource,
    ) -> None:
        self._nursery = nursery
        self._opener = opener
        self._give_up_seconds = give_up_seconds
        self._on_state = on_state
        self._dice = dice
        self._attempt = trio.CancelScope()
        """Of the newest attempt to connect, and the wait before it."""
        self._given_up: Connection | None = None
        self.connection: Connection | None = None
        """The current socket or, while there is none, the last one."""
        self.opened = 0
        """How many sockets were opened."""
        self.place: Place | None = None
        """The place taken last, if any."""

    async def join(
        self,
        *,
        kind: str = "",
        room: str = "",
        new: bool = False,
        private: bool = False,
        options: Mapping[str, Any] | None = None,
        name: str = "",
        key: str = "",
        join_seconds: float = JOIN_SECONDS,
    ) -> Place:
        """Takes a seat and keeps it; the arguments are those of :meth:`Connection.join`.

        ``key`` is random unless given, so a ``join`` whose answer was lost can be repeated without
        taking a second seat. Servers that cannot be reached, and refusals with ``retry``, are
        tried again with back-off. After ``join_seconds`` no new attempt begins, and the last
        error is raised: :class:`ConnectFailed`, :class:`ConnectionLost` or :class:`JoinRefused`;
        with 0 there is one attempt. Raises :class:`LocalProtocolError` while there is a place
        already. If it is cancelled and the seat is granted all the same, the seat is given up.
        """
        await self._check_no_place()
        policy = ReconnectPolicy(self._dice)
        give_up_at = trio.current_time() + join_seconds
        request = {"kind": kind, "room": room, "new": new, "options": options, "name": name}
        request["private"] = private
        request["key"] = key or secrets.token_urlsafe(16)
        wait = self._wait_before_joining(policy)
        while True:
            try:
                with trio.CancelScope() as self._attempt:
                    await trio.sleep(wait)
                    place = await self._join_once(request)
                    policy.arrived(trio.current_time())
                    self._nursery.start_soon(self._keep, place, policy)
                    return place
                wait = policy.woke()
            except (ConnectFailed, ConnectionLost, JoinRefused) as error:
                pause = self._pause(error, policy)
                if pause is None or trio.current_time() + pause > give_up_at:
                    raise
                wait = pause

    async def aclose(self) -> None:
        """Leaves the place, within 2 s, and closes the socket, within 0.5 s."""
        if self.place is not None:
            with trio.move_on_after(LEAVE_SECONDS):
                await self.place.leave()
        if self.connection is not None:
            await self.connection.aclose()

    def reconnect_now(self) -> None:
        """Gives the socket up and dials at once, as after a sleep; does not wait for it."""
        if self.connection is not None and self.connection.lost is None:
            self._given_up = self.connection
            self.connection.abandon("given up after a sleep, or by the program")
        self._attempt.cancel()

    async def _check_no_place(self) -> None:
        if self.place is not None:
            if self.place.leaving:
                await self.place.wait_over()
            if self.place.state is not PlaceState.OVER:
                raise LocalProtocolError(
                    f"this client has a place in {self.place.room}: leave it first"
                )

    def _wait_before_joining(self, policy: ReconnectPolicy) -> float:
        """Seconds to wait, so that clients between two places do not all return at once."""
        if self.connection is None or self.connection.lost_at is None:
            return 0.0
        wait = self._after_loss(policy) or 0.0
        return max(0.0, self.connection.lost_at + wait - trio.current_time())

    def _pause(self, error: Exception, policy: ReconnectPolicy) -> float | None:
        """Seconds to wait after a join that did not succeed; None if it never will."""
        match error:
            case AuthRefused() | JoinRefused(retry=False):
                return None
            case ConnectionLost():
                return self._after_loss(policy)
            case ConnectFailed():
                return policy.failed(error.retry_after)
            case _:
                return policy.failed()

    def _after_loss(self, policy: ReconnectPolicy) -> float | None:
        connection = self.connection
        assert connection is not None  # noqa: S101 - called after the loss of a connection
        assert connection.lost is not None  # noqa: S101
        if connection is self._given_up:
            return policy.woke()
        announced = connection.move is not None
        return policy.lost(connection.lost.code, trio.current_time(), announced=announced)

    async def _join_once(self, request: dict[str, Any]) -> Place:
        connection = self.connection
        if connection is None or connection.lost is not None:
            connection = await self._open_next()
        with trio.move_on_after(ANSWER_SECONDS):
            self.place = await connection.join(**request)
            return self.place
        reason = f"no answer to a join in {ANSWER_SECONDS:g} s"
        connection.abandon(reason)
        raise ConnectionLost(NO_CLOSE_FRAME, reason)

    async def _open_next(self) -> Connection:
        """Tries each URL once, beginning after the one that was used last."""
        self.connection = await self._opener.open(
            self._nursery, self.connection, self._report_state
        )
        self.opened += 1
        return self.connection

    async def _keep(self, place: Place, policy: ReconnectPolicy) -> None:
        """Moves ``place`` from socket to socket until it is over."""
        while await place.wait_state(PlaceState.AWAY) is PlaceState.AWAY:
            wait = self._after_loss(policy)
            with trio.move_on_after(self._give_up_seconds) as giving_up:
                while wait is not None and place.state is PlaceState.AWAY:
                    with trio.CancelScope() as self._attempt:
                        await trio.sleep(wait)
                        wait = await self._resume_once(place, policy)
                    if self._attempt.cancel_called:
                        wait = policy.woke()
            if place.state is PlaceState.AWAY:
                place.lose(self._final_loss(gave_up=giving_up.cancelled_caught))

    async def _resume_once(self, place: Place, policy: ReconnectPolicy) -> float | None:
        """One attempt. Returns the seconds to wait before the next; None: there is no next."""
        try:
            connection = await self._open_next()
            with trio.fail_after(ANSWER_SECONDS):
                await connection.resume(place)
        except Exception as error:  # noqa: BLE001 - raised again if it is not one of a few
            return self._pause_away(error, place, policy)
        policy.arrived(trio.current_time())
        self._opener.tokens.accepted()
        return None

    def _pause_away(self, error: Exception, place: Place, policy: ReconnectPolicy) -> float | None:
        """Seconds to wait after an attempt that did not bring the place back; None: it is lost."""
        tokens = self._opener.tokens
        if error is tokens.failure:
            wait = policy.failed()
            log.warning("no token; the next attempt is in %.1f s", wait, exc_info=error)
            return wait
        match error:
            case AuthRefused() if tokens.may_differ(error):
                return 0.0
            case AuthRefused():
                place.lose(error.again())
                return None
            case ConnectionLost():
                return policy.turned_away(error.code)
            case ConnectFailed():
                return policy.failed(error.retry_after)
            case JoinRefused() | trio.TooSlowError():
                return policy.failed()
            case _:
                raise error

    def _final_loss(self, *, gave_up: bool) -> PlaceLost:
        lost = self.connection.lost if self.connection is not None else None
        if isinstance(lost, AuthRefused):
            return AuthRefused(lost.code, lost.reason)
        code, reason = (NO_CLOSE_FRAME, "") if lost is None else (lost.code, lost.reason)
        if gave_up:
            reason = f"not back within {self._give_up_seconds:g} s: {reason}"
        return PlaceLost(code, reason)

    def _report_state(self, place: Place, state: PlaceState) -> None:
        if self._on_state is None:
            return
        try:
            self._on_state(place, state)
        except Exception as error:  # noqa: BLE001 - raised where the caller can see it
            self._nursery.start_soon(_raise, error)


async def _raise(error: Exception) -> None:
    raise error
