"""Bots that play tic-tac-toe or talk, over real WebSockets, and check every message."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

import msgspec
import trio

from lastcall.client import (
    Client,
    Message,
    OpenStream,
    Picture,
    Place,
    PlaceState,
    open_client,
    open_tcp,
)
from lastcall.client.connection import NO_CLOSE_FRAME
from lastcall.errors import (
    ConnectFailed,
    ConnectionLost,
    JoinRefused,
    RemoteProtocolError,
)
from lastcall.local.bots.ledger import Ledger
from lastcall.local.bots.referee import Referee
from lastcall.reasons import Close, EndReason

THINK_SECONDS = (0.05, 0.25)
TALK_SECONDS = (0.2, 0.4)
PAUSE_SECONDS = (0.2, 0.6)
"""Between a failed join and the bot's next one. The client itself does not try again, so that each
refusal is counted."""
ARRIVE_SECONDS = 0.2
WAIT_SECONDS = (4.0, 8.0)
"""For an opponent; then a bot looks for a seat anew: somebody may wait in another node's room."""
STALL_SECONDS = 10.0
"""A match in which nothing happens for this long has lost a message; so has a client that cannot
reconnect for this long."""

SEATS_PER_BOT = 8
"""Matches that a bot may have played since the one whose end another bot still has to read."""


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
        self.urls = urls
        self.ledger = ledger
        self.rng = rng
        self.open_stream = open_stream
        self.stopping = False
        self.waiting: set[trio.CancelScope] = set()
        """The scopes of bots that wait for an opponent."""
        self.seats: deque[str] = deque(maxlen=SEATS_PER_BOT * max(count, 1))
        """The players that bots are or were lately; any other player is a person."""
        self._count = count
        self._talkers = talkers

    async def run(self) -> None:
        """Plays until :meth:`stop`; each bot then finishes its match."""
        async with trio.open_nursery() as nursery:
            for number in range(1, self._count + 1):
                nursery.start_soon(_Player(f"bot-{number}", self).run)
            for number in range(1, self._talkers + 1):
                nursery.start_soon(_Talker(f"talker-{number}", self).run)

    def stop(self) -> None:
        """Starts no more matches. A bot that waits for an opponent leaves; the others finish
        theirs, and talkers stop.
        """
        self.stopping = True
        for scope in self.waiting:
            scope.cancel()


class _Bot(ABC):
    """One bot: one client, one room after the other."""

    kind: str

    def __init__(self, name: str, crowd: Bots) -> None:
        self._name = name
        self._crowd = crowd
        self._ledger = crowd.ledger
        self._rng = crowd.rng
        self._asked_at: float | None = None
        """When it first asked for its seat. A refusal or a move does not restart the wait."""
        self._sockets = 1
        """Sockets so far, of those whose hops are counted."""

    async def run(self) -> None:
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
            self._ledger.add_numbering_errors(gaps=place.holes, repeats=place.repeats)

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


class _Player(_Bot):
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


class _Repeated(msgspec.Struct, frozen=True):
    """A message of a lounge."""

    speaker: str = msgspec.field(name="from")
    said: int


class _Talker(_Bot):
    """Talks in a lounge: says one number after the other, and waits until it hears each."""

    kind = "lounge"

    async def _play(self, place: Place) -> None:
        said = 0
        while not self._crowd.stopping and place.ended is None:
            said += 1
            said_at = trio.current_time()
            await place.say(said)
            with trio.fail_after(STALL_SECONDS):
                await self._hear(place, said)
            self._ledger.answered(trio.current_time() - said_at)
            await trio.sleep(self._rng.uniform(*TALK_SECONDS))
        if place.ended is None:
            await place.leave()
        elif place.ended.reason is EndReason.CUT:
            self._ledger.was_cut()
        else:
            raise RemoteProtocolError(f"the lounge ended with {place.ended.reason}")

    async def _hear(self, place: Place, said: int) -> None:
        """Waits until the lounge repeats what the bot said; or for the lounge's end."""
        async for message in place:
            try:
                heard = msgspec.convert(message.data, _Repeated)
            except msgspec.ValidationError as error:
                raise RemoteProtocolError(f"{message.data!r} is not said: {error}") from error
            if heard.speaker == place.you:
                if heard.said != said:
                    raise RemoteProtocolError(f"the bot said {said}, and heard {heard.said}")
                return
