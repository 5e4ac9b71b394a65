"""All bots of a run in one task and one epoll set, at their tables; and the check at the end."""

from __future__ import annotations

import random
import select
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from rich.progress import Progress

from lastcall.bench.bots.bot import Bot, Return
from lastcall.bench.load.dial import DialFailed, Door
from lastcall.bench.load.load import LoadFailed
from lastcall.bench.rooms.kinds import KIND
from lastcall.bench.rooms.ledger import Verdict, check_room
from lastcall.ids import KindName, RoomId
from lastcall.wire import frames

__all__ = ["Crowd", "open_crowd", "until"]

STEPS_PER_BATCH = 1024
OPENING_AT_ONCE = 16
TICK_SECONDS = 0.005
QUIET_SECONDS = 20.0
"""So long may the last acks and messages take after the last input."""
ASIDE_SECONDS = 0.5
"""After everything has come, for what comes a second time."""
TALLY_SECONDS = 10.0
POLL_SECONDS = 0.05


class Crowd:
    """The bots; they live while :meth:`run` does. Made by :func:`open_crowd`."""

    def __init__(self, urls: Sequence[str], nursery: trio.Nursery) -> None:
        self._doors = [Door(url) for url in urls]
        self._epoll = select.epoll()
        self._watched: dict[int, Bot] = {}
        self._nursery = nursery
        self._rng = random.Random()
        self.tables: list[list[Bot]] = []
        self.returns: list[Return] = []
        self.complaints: list[str] = []
        self.waits: list[tuple[float, float]] = []
        """Of each own message: when it was said, and how long it took."""
        self.inputs = 0
        self.late_seconds = 0.0
        """By how much the bots themselves were late at worst."""

    @property
    def bots(self) -> list[Bot]:
        """All of them, table by table."""
        return [bot for table in self.tables for bot in table]

    # What a bot asks for.

    def watch(self, bot: Bot, descriptor: int) -> None:
        """Reads for the bot from now on."""
        self._watched[descriptor] = bot
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """The socket is about to be closed."""
        self._epoll.unregister(descriptor)
        del self._watched[descriptor]

    def lost(self, bot: Bot) -> None:
        """Has the bot come back."""
        self._nursery.start_soon(bot.come_back)

    def returned(self, how: Return) -> None:
        """Notes it."""
        self.returns.append(how)

    def own_message(self, said_at: float, heard_at: float) -> None:
        """Notes it."""
        self.waits.append((said_at, heard_at - said_at))

    def complain(self, sentence: str) -> None:
        """Notes it; the run goes on, and fails at its end."""
        self.complaints.append(sentence)

    # The run.

    async def run(self) -> None:
        """Reads for all bots until cancelled; closes them at the end."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, _ in self._epoll.poll(0, STEPS_PER_BATCH):
                    bot = self._watched.get(descriptor)
                    if bot is not None:  # an earlier one of this round may have closed it
                        bot.receive()
        finally:
            for bot in list(self._watched.values()):
                bot.close()
            self._epoll.close()

    async def seat(self, tables: int, seats: int, progress: Progress) -> None:
        """So many rooms of exactly so many bots, by turns over the URLs.

        Raises :class:`LoadFailed`.
        """
        await self.seat_all(tables * seats, seats, progress, doors=len(self._doors))

    async def seat_all(self, bots: int, seats: int, progress: Progress, *, doors: int) -> None:
        """So many bots, ``seats`` to a room, by turns over the first ``doors`` URLs.

        Raises :class:`LoadFailed`.
        """
        bar = progress.add_task("seating bots", total=bots)
        some = trio.CapacityLimiter(OPENING_AT_ONCE)

        async def fill(first: int) -> None:
            async with some:
                table: list[Bot] = []
                for index in range(first, min(first + seats, bots)):
                    bot = Bot(self, self._doors, index % doors, self._rng)
                    await bot.enter(_join(table[0].room if table else ""))
                    table.append(bot)
                    progress.advance(bar)
                self.tables.append(table)

        try:
            async with trio.open_nursery() as nursery:
                for first in range(0, bots, seats):
                    nursery.start_soon(fill, first)
        except* DialFailed as failed:
            raise LoadFailed(str(failed.exceptions[0])) from failed

    async def talk(self, every_seconds: float) -> None:
        """Each bot says something so often, by turns, in ticks of 5 ms; until cancelled."""
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

    def some_with_sockets(self, share: float) -> list[Bot]:
        """So many of all bots, drawn from those that have a socket, whatever its state."""
        bots = self.bots
        there = [bot for bot in bots if bot.ports is not None]
        return self._rng.sample(there, min(len(there), round(share * len(bots))))

    async def all_back(self, limit_seconds: float) -> bool:
        """Returns when every bot has its place on a socket, or the limit is over (False)."""
        bots = self.bots
        return await until(lambda: all(bot.live or bot.dead for bot in bots), limit_seconds)

    # The end.

    async def settle(self, progress: Progress) -> Verdict:
        """Waits until all is acked and heard, asks each room for its tally, and judges."""
        bar = progress.add_task("settling", total=3)
        await until(lambda: all(map(_quiet, self.tables)), QUIET_SECONDS)
        unacked = sum(bot.unacked for bot in self.bots)
        homeless = sum(not bot.live for bot in self.bots)
        progress.advance(bar)
        await trio.sleep(ASIDE_SECONDS)
        await self.ask_tallies()
        progress.advance(bar)
        verdict = Verdict(complaints=self._last_complaints(unacked, homeless))
        for table in self.tables:
            tally = next((bot.tally for bot in table if bot.tally is not None), None)
            verdict = verdict.plus(check_room([bot.ledger for bot in table], tally))
        progress.advance(bar)
        return verdict

    async def ask_tallies(self) -> None:
        """One bot of each table asks; returns when all have their answers, or after 10 s."""
        askers = []
        for table in self.tables:
            asker = next((bot for bot in table if bot.live), None)
            if asker is not None:
                asker.ask_tally()
                askers.append(asker)
        await until(
            lambda: all(bot.tally is not None and not bot.unacked for bot in askers), TALLY_SECONDS
        )

    def _last_complaints(self, unacked: int, homeless: int) -> tuple[str, ...]:
        complaints = list(self.complaints)
        if homeless:
            complaints.append(f"{homeless} bots did not get their place back")
        if unacked:
            complaints.append(f"{unacked} inputs were not acked within {QUIET_SECONDS:g} s")
        return tuple(complaints)


async def until(true: Callable[[], bool], limit_seconds: float) -> bool:
    """Returns when ``true()`` is, looked at every 50 ms; False when the limit is over before."""
    with trio.move_on_after(limit_seconds):
        while not true():  # noqa: ASYNC110 - a sum over hundreds of bots has no event of its own
            await trio.sleep(POLL_SECONDS)
        return True
    return False


def _join(room: str) -> frames.Join:
    if room:
        return frames.Join(room=RoomId(room))
    return frames.Join(kind=KindName(KIND), new=True)


def _quiet(table: list[Bot]) -> bool:
    """Whether everybody at the table has been heard by all. Who is dead is not waited for."""
    said = sum(len(bot.ledger.said) for bot in table)
    return all(
        bot.dead or (bot.live and not bot.unacked and bot.ledger.broadcasts >= said)
        for bot in table
    )


@asynccontextmanager
async def open_crowd(urls: Sequence[str]) -> AsyncIterator[Crowd]:
    """A crowd that is read for inside the block."""
    async with trio.open_nursery() as nursery:
        crowd = Crowd(urls, nursery)
        nursery.start_soon(crowd.run)
        yield crowd
        nursery.cancel_scope.cancel()
