"""A bot that plays tic-tac-toe, with another bot or with a person."""

from __future__ import annotations

import trio

from lastcall.client import Client, Message, Picture, Place
from lastcall.errors import JoinRefused, RemoteProtocolError
from lastcall.local.bots.bot import STALL_SECONDS, Bot
from lastcall.local.bots.crowd import Host
from lastcall.local.bots.referee import Referee
from lastcall.reasons import EndReason

THINK_SECONDS = (0.05, 0.25)


class Player(Bot):
    """Plays tic-tac-toe, one match after the other.

    The other player may be a person, who may think for as long as they like, and leave. The ledger
    counts matches of bots.
    """

    kind = "tictactoe"
    _host: Host | None = None

    async def _take_seat(self, client: Client) -> Place:
        """Sits beside a bot, or waits in a new room.

        The seat beside a person is for the friend that they have invited; a person who wants to
        play at once sits beside a bot that waits. One bot, or two, cannot keep one waiting, and
        sit where there is a seat.
        """
        if self._crowd.is_small:
            return await super()._take_seat(client)
        while (host := self._crowd.call_host()) is not None:
            try:
                await host.arrived.wait()
                if host.place is not None:
                    return await client.join(room=host.place.room, name=self._name, join_seconds=0)
            except JoinRefused:
                break  # somebody was faster, or the room has moved
            finally:
                host.is_called = False
        return await self._wait_in_a_new_room(client)

    async def _wait_in_a_new_room(self, client: Client) -> Place:
        host = self._host = Host()
        self._crowd.hosts.append(host)
        try:
            host.place = await client.join(
                kind=self.kind, new=True, name=self._name, join_seconds=0
            )
        finally:
            host.arrived.set()
            if host.place is None:
                self._crowd.hosts.remove(host)
        return host.place

    async def _play(self, place: Place) -> None:
        self._crowd.seats.append(place.you)
        message = await self._first_message(place)
        regroups, referee = place.regroups, self._referee(place)
        while message is not None:
            if place.regroups != regroups:
                regroups, referee = place.regroups, self._referee(place)
            referee.on_message(message.data)
            said_at = await self._move(place, referee)
            message = await self._next(place, referee)
            if said_at is not None and message is not None:
                self._ledger.answered(trio.current_time() - said_at)
        if place.ended is None:
            await place.leave()
        else:
            self._on_end(place, referee)

    def _referee(self, place: Place) -> Referee:
        if place.you not in self._crowd.seats:  # it was regrouped
            self._crowd.seats.append(place.you)
        return Referee(place.you)

    def _meets_a_person(self, referee: Referee) -> bool:
        return referee.opponent is not None and referee.opponent not in self._crowd.seats

    async def _next(self, place: Place, referee: Referee) -> Message | Picture | None:
        """Waits for the next board; None when the room ends, or when a person thinks for long and
        the bots are stopped. Raises :class:`trio.TooSlowError`.
        """
        while True:
            with trio.move_on_after(STALL_SECONDS):
                return await anext(place, None)
            if not (referee.awaits_opponent and self._meets_a_person(referee)):
                raise trio.TooSlowError
            if self._crowd.stopping:
                return None

    async def _first_message(self, place: Place) -> Message | Picture | None:
        """Waits for the match to begin; None when the room ends or the bots are stopped before."""
        crowd = self._crowd
        with trio.CancelScope() as waiting:
            crowd.waiting.add(waiting)
            if crowd.stopping:
                waiting.cancel()
            try:
                return await anext(place, None)
            finally:
                crowd.waiting.discard(waiting)
                if self._host in crowd.hosts:
                    crowd.hosts.remove(self._host)
        return None

    async def _move(self, place: Place, referee: Referee) -> float | None:
        """Says the next move, if it is this bot's turn; returns when."""
        cell = referee.choose(self._rng)
        if cell is None:
            return None
        regroups = place.regroups
        await trio.sleep(self._rng.uniform(*THINK_SECONDS))
        if place.regroups != regroups:  # the cell was chosen for another board
            return None
        said_at = trio.current_time()
        await place.say({"cell": cell})
        return said_at

    def _on_end(self, place: Place, referee: Referee) -> None:
        assert place.ended is not None  # noqa: S101 - the caller has checked
        if place.refused:
            raise RemoteProtocolError(f"a legal move was refused: {place.errors[-1].message}")
        match place.ended.reason:
            case EndReason.FINISHED:
                outcome = referee.on_result(place.ended.result)
                if self._meets_a_person(referee):
                    return
                if referee.over:
                    self._ledger.finished(place.room, outcome)
                else:
                    self._ledger.walkover()
            case EndReason.CUT:
                self._ledger.was_cut()
            case EndReason.LEFT:
                pass
            case reason:
                raise RemoteProtocolError(f"the match ended with {reason}")
