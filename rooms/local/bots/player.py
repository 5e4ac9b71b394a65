"""A bot that plays tic-tac-toe, with another bot or with a person."""

from __future__ import annotations

import trio

from lastcall.client import Message, Picture, Place
from lastcall.errors import RemoteProtocolError
from lastcall.local.bots.bot import STALL_SECONDS, Bot
from lastcall.local.bots.referee import Referee
from lastcall.reasons import EndReason

THINK_SECONDS = (0.05, 0.25)
WAIT_SECONDS = (4.0, 8.0)
"""For an opponent; then a bot looks for a seat anew: somebody may wait in another node's room."""


class Player(Bot):
    """Plays tic-tac-toe, one match after the other.

    The other player may be a person, who may think for as long as they like, and leave. The ledger
    counts matches of bots. A bot takes any seat that is free, so a person who waits has an
    opponent when the next bot has finished its match; friends meet in a private room.
    """

    kind = "tictactoe"

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
        """Waits for the match to begin; None when the room ends or the bots are stopped before, or
        when nobody comes.
        """
        crowd = self._crowd
        with trio.move_on_after(self._rng.uniform(*WAIT_SECONDS)) as waiting:
            crowd.waiting.add(waiting)
            if crowd.stopping:
                waiting.cancel()
            try:
                return await anext(place, None)
            finally:
                crowd.waiting.discard(waiting)
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
