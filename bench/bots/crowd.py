"""All bots of a run, by rooms.

One task with one epoll set reads all sockets, so that the cores are left to the servers.
"""

from __future__ import annotations

import random
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot, Loss, Return
from lastcall.bench.load.dial import Dialer, DialFailed
from lastcall.bench.load.messages import LoadFailed
from lastcall.bench.rooms.kinds import KIND
from lastcall.ids import KindName, RoomId
from lastcall.wire import frames

EVENTS_PER_POLL = 1024
OPENING_AT_ONCE = 16
CONNECTING_AT_ONCE = 32
TICK_SECONDS = 0.005
POLL_SECONDS = 0.05
LEDGER_LOUNGE = frames.Join(kind=KindName(KIND), new=True)

T = TypeVar("T")


class BotSettings(msgspec.Struct, frozen=True):
    """The number of bots in a scenario: ``seats`` in each of ``rooms``."""

    rooms: int = 125
    seats: int = 4

    @property
    def bots(self) -> int:
        """The number of all bots."""
        return self.rooms * self.seats


class Crowd:
    """The bots; they live while :meth:`run` does. Made by :func:`open_crowd`."""

    def __init__(self, urls: Sequence[str], nursery: trio.Nursery) -> None:
        self._dialers = [Dialer(url) for url in urls]
        self._epoll = select.epoll()
        self._watched: dict[int, Bot] = {}
        self._nursery = nursery
        self._rng = random.Random()
        self.rooms: list[list[Bot]] = []
        self.losses: list[Loss] = []
        self.returns: list[Return] = []
        self.complaints: list[str] = []
        self.waits: list[tuple[float, float]] = []
        """For each own message: the time of the input, and the seconds until it was heard."""
        self.inputs = 0
        self.late_seconds = 0.0
        """The greatest delay of an input, caused by the bots themselves."""

    @property
    def bots(self) -> list[Bot]:
        """All bots, room by room."""
        return [bot for room in self.rooms for bot in room]

    # Calls from bots (:class:`lastcall.bench.bots.bot.BotOwner`).

    def watch(self, bot: Bot, descriptor: int) -> None:
        """Reads the bot's socket from now on."""
        self._watched[descriptor] = bot
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Stops reading: the socket is about to be closed."""
        self._epoll.unregister(descriptor)
        del self._watched[descriptor]

    def lost(self, bot: Bot, loss: Loss) -> None:
        """Records the loss, and makes the bot reconnect if it has a place."""
        self.losses.append(loss)
        if bot.place.room and not bot.dead:
            self._nursery.start_soon(bot.reconnect, loss)

    def returned(self, result: Return) -> None:
        """Records the return."""
        self.returns.append(result)

    def own_message(self, said_at: float, heard_at: float) -> None:
        """Records the time between the two."""
        self.waits.append((said_at, heard_at - said_at))

    def complain(self, sentence: str) -> None:
        """Records the complaint; the run goes on, and fails at its end."""
        self.complaints.append(sentence)

    # The run.

    async def run(self) -> None:
        """Reads the sockets of all bots until cancelled; closes them at the end."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, _ in self._epoll.poll(0, EVENTS_PER_POLL):
                    bot = self._watched.get(descriptor)
                    if bot is not None:  # an earlier event of this batch may have closed it
                        bot.receive()
        finally:
            for bot in list(self._watched.values()):
                bot.close()
            self._epoll.close()

    async def connect(self, bots: int) -> None:
        """Connects ``bots`` bots that stay outside rooms; raises :class:`LoadFailed`."""

        async def connect(index: int) -> None:
            bot = Bot(self, self._dialers, index, self._rng)
            await bot.connect()
            bot.receive()

        await for_each(range(bots), connect, CONNECTING_AT_ONCE)

    async def seat(
        self,
        bots: int,
        seats: int,
        progress: Progress,
        *,
        apis: int = 0,
        new_room: frames.Join = LEDGER_LOUNGE,
    ) -> None:
        """Seats ``bots`` bots, ``seats`` to a room, in turn over the first ``apis`` URLs (0: all).

        The first bot of each room opens it with ``new_room``. Raises :class:`LoadFailed`.
        """
        bar = progress.add_task("seating bots", total=bots)
        apis = apis or len(self._dialers)

        async def fill(first: int) -> None:
            room: list[Bot] = []
            for index in range(first, min(first + seats, bots)):
                bot = Bot(self, self._dialers, index % apis, self._rng)
                await bot.enter(frames.Join(room=RoomId(room[0].place.room)) if room else new_room)
                room.append(bot)
                progress.advance(bar)
            self.rooms.append(room)

        await for_each(range(0, bots, seats), fill, OPENING_AT_ONCE)

    async def talk(self, every_seconds: float) -> None:
        """Each bot says something once in ``every_seconds``, in turn, in ticks of 5 ms; runs until
        cancelled.
        """
        bots = self.bots
        self._rng.shuffle(bots)
        per_second = len(bots) / every_seconds
        begin, said = trio.current_time(), 0
        while True:
            due = begin + said / per_second
            await trio.sleep_until(due + TICK_SECONDS)
            now = trio.current_time()
            self.late_seconds = max(self.late_seconds, now - due - TICK_SECONDS)
            upto = int((now - begin) * per_second) + 1
            for turn in range(said, upto):
                bot = bots[turn % len(bots)]
                if not bot.dead:
                    bot.say()
            self.inputs += upto - said
            said = upto

    def sample_connected(self, share: float) -> list[Bot]:
        """A random sample of the bots with a socket, as many as ``share`` of all bots."""
        bots = self.bots
        connected = [bot for bot in bots if bot.ports is not None]
        return self._rng.sample(connected, min(len(connected), round(share * len(bots))))

    def check_undisturbed(self) -> None:
        """Raises :class:`LoadFailed` if a bot has lost its socket or has complained."""
        if self.losses or self.complaints:
            raise LoadFailed(f"{len(self.losses)} sockets lost; complaints: {self.complaints}")

    async def wait_all_back(self, limit_seconds: float) -> None:
        """Returns once every bot has its place on a socket or is dead, or after the limit."""
        bots = self.bots
        await wait_until(lambda: all(bot.live or bot.dead for bot in bots), limit_seconds)


async def wait_until(condition: Callable[[], bool], limit_seconds: float) -> None:
    """Returns once ``condition()`` is true, checked every 50 ms, or after the limit."""
    with trio.move_on_after(limit_seconds):
        while not condition():  # noqa: ASYNC110 - a sum over hundreds of bots has no event
            await trio.sleep(POLL_SECONDS)


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Runs ``work`` for every item, at most ``at_once`` at a time.

    The first error cancels the others; if it is a failed dial, :class:`LoadFailed` is raised.
    """
    limiter = trio.CapacityLimiter(at_once)

    async def limited(item: T) -> None:
        async with limiter:
            await work(item)

    try:
        async with trio.open_nursery() as nursery:
            for item in items:
                nursery.start_soon(limited, item)
    except* DialFailed as failed:
        raise LoadFailed(str(failed.exceptions[0])) from failed


@asynccontextmanager
async def open_crowd(urls: Sequence[str]) -> AsyncIterator[Crowd]:
    """A crowd whose sockets are read inside the block."""
    async with trio.open_nursery() as nursery:
        crowd = Crowd(urls, nursery)
        nursery.start_soon(crowd.run)
        yield crowd
        nursery.cancel_scope.cancel()
