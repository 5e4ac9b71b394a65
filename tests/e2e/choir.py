"""Players in surviving rooms: they speak without a pause, and what all have heard is compared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import trio

from lastcall.client import Message, Place, connect
from tests.e2e.nodes import wait_until

SPEAK_SECONDS = 0.1


class Singer:
    """One player, who says 1, 2, 3 … and keeps all messages."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.said = 0
        self.answered = 0
        """The last of its numbers that came back."""
        self.singing = False
        self.heard: list[Message] = []
        self.heard_at: list[float] = []

    async def listen(self) -> None:
        async for message in self.place:
            assert isinstance(message, Message), "a picture means that messages are lost"
            self.heard.append(message)
            self.heard_at.append(trio.current_time())
            if message.data[0] == self.place.you:
                self.answered = message.data[1]

    async def sing(self) -> None:
        self.singing = True
        while self.singing:
            self.said += 1
            await self.place.say(self.said)
            await trio.sleep(SPEAK_SECONDS)

    def silence(self, since: float) -> float:
        """The longest time without a message after ``since``, in seconds."""
        times = [since, *(at for at in self.heard_at if at >= since)]
        return max((after - before for before, after in pairwise(times)), default=0.0)


class Choir:
    """All players, by room. Made by :func:`open_choir`."""

    def __init__(self, rooms: Sequence[Sequence[Singer]]) -> None:
        self.rooms = rooms

    @property
    def singers(self) -> Iterator[Singer]:
        return (singer for room in self.rooms for singer in room)

    @asynccontextmanager
    async def singing(self) -> AsyncIterator[None]:
        """All speak while the block runs; then what they have heard is compared."""
        async with trio.open_nursery() as nursery:
            for singer in self.singers:
                nursery.start_soon(singer.sing)
            yield
            for singer in self.singers:
                singer.singing = False
        await self.check()

    @property
    def resumes(self) -> int:
        """How often a player has come back on a new socket."""
        return sum(singer.place.resumes for singer in self.singers)

    async def all_hear(self, within: float) -> None:
        """Waits until all hear something that they say after this call."""
        await _wait_answered([(one, one.said + 1) for one in self.singers], within)

    async def any_hears(self, within: float) -> None:
        """Waits until somebody hears something that they say after this call."""
        wanted = [(one, one.said + 1) for one in self.singers]
        await wait_until(lambda: any(one.answered >= number for one, number in wanted), within)

    async def check(self, within: float = 10.0) -> None:
        """All hear all that was said: in one order, and each input once."""
        await _wait_answered([(one, one.said) for one in self.singers], within)
        await trio.sleep(2 * SPEAK_SECONDS)  # for a message too many
        for room in self.rooms:
            check_room(room)

    def silences(self, since: float) -> str:
        """The silence that the players have heard since then, for people."""
        times = sorted(singer.silence(since) for singer in self.singers)
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        return f"silence p50 {p50:.2f} s, p99 {p99:.2f} s, {len(times)} players"


async def _wait_answered(wanted: Sequence[tuple[Singer, int]], within: float) -> None:
    def deaf() -> list[Place]:
        return [one.place for one, number in wanted if one.answered < number]

    with trio.move_on_after(within):
        await wait_until(lambda: not deaf(), within)
    assert deaf() == [], f"they have not heard what they said within {within:g} s"


def check_room(room: Sequence[Singer]) -> None:
    """The players of one room have heard one history, in which each input is applied once."""
    history = room[0].heard
    numbers = list(range(1, len(history) + 1))
    assert [message.seq for message in history] == numbers
    assert [message.data[2] for message in history] == numbers, "the state has counted each once"
    for singer in room:
        assert singer.heard == history
        own = [
            number for player, number, _ in (m.data for m in history) if player == singer.place.you
        ]
        assert own == list(range(1, singer.said + 1))
        assert (singer.place.progress.holes, singer.place.progress.repeats) == (0, 0)


@asynccontextmanager
async def open_choir(urls: Sequence[str], rooms: int, seats: int) -> AsyncIterator[Choir]:
    """Seats players in new rooms, in turn on each of the urls, where they stay if they can."""
    async with trio.open_nursery() as nursery:

        async def seat(number: int, **request: Any) -> Singer:
            turn = number % len(urls)
            singer: Singer = await nursery.start(_attend, [*urls[turn:], *urls[:turn]], request)
            return singer

        choir = []
        for _ in range(rooms):
            first = await seat(0, kind="choir", new=True)
            rest = [await seat(number, room=first.place.room) for number in range(1, seats)]
            choir.append([first, *rest])
        yield Choir(choir)
        nursery.cancel_scope.cancel()


async def _attend(
    urls: Sequence[str], request: dict[str, Any], task_status: trio.TaskStatus[Singer]
) -> None:
    async with connect(urls, **request) as place:
        singer = Singer(place)
        task_status.started(singer)
        await singer.listen()
