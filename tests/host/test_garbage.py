"""A room that has ended leaves nothing that only a full collection would find.

A node collects its oldest generation only once in hours: its objects are many and long-lived.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Room, Said, room
from lastcall.reasons import EndReason
from lastcall.runtime import logs
from tests.harness.garbage import left_by
from tests.host.host_harness import HostHarness, open_host

ROOMS = 20


@room("varied", seats=2, starts=2)
async def varied(table: Room) -> object:
    """Does what its player says."""
    table.state_for = lambda player: [player, table.id]
    async for event in table:
        match event:
            case Said(_, "return"):
                return "done"
            case Said(_, "raise"):
                raise ValueError(table.id)
            case Said(_, "start"):
                table.nursery.start_soon(trio.sleep_forever)
            case Said(_, "raise in a task"):
                table.nursery.start_soon(int, "x")  # type: ignore[arg-type]
            case Said(player, "kick"):
                table.kick(player)
            case Said(_, said):
                table.broadcast(said)
    raise AssertionError


def says(*words: str) -> Callable[[HostHarness], Awaitable[None]]:
    async def scene(harness: HostHarness) -> None:
        seat = harness.join(varied, new=True)
        for n, word in enumerate(words, 1):
            harness.say(seat, n, word)
        await wait_all_tasks_blocked()

    return scene


async def leaves(harness: HostHarness) -> None:
    harness.leave(harness.join(varied, new=True))


async def is_lost(harness: HostHarness) -> None:
    harness.lose(harness.join(varied, new=True))


async def resumes(harness: HostHarness) -> None:
    seat = harness.join(varied, new=True, key="k")
    harness.lose(seat)
    seat = harness.resume(seat)
    seat = harness.join(varied, key="k")
    harness.say(seat, 1, "return")


async def resumes_after_the_end(harness: HostHarness) -> None:
    seat = harness.join(varied, new=True)
    harness.lose(seat)
    harness.host.find(seat.room).cancel(EndReason.ABANDONED)  # type: ignore[union-attr]
    await wait_all_tasks_blocked()
    harness.resume(seat)


async def is_refused(harness: HostHarness) -> None:
    harness.join(varied, options=b"[]")
    harness.join("no such kind")


SCENES: dict[str, Callable[[HostHarness], Awaitable[None]]] = {
    "returns": says("hello", "start", "return"),
    "raises": says("raise"),
    "raises in a task": says("raise in a task"),
    "kicks": says("kick"),
    "its player leaves": leaves,
    "its player is lost": is_lost,
    "its player resumes": resumes,
    "its player resumes after the end": resumes_after_the_end,
    "refuses": is_refused,
}


@pytest.fixture
def silent_log() -> Iterator[None]:
    logs.configure("json", write=lambda _: None)
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("silent_log")
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_rooms_that_have_ended_leave_no_garbage(
    scene: Callable[[HostHarness], Awaitable[None]], autojump_clock: MockClock
) -> None:
    async with open_host(varied) as harness:

        async def some() -> None:
            for _ in range(ROOMS):
                await scene(harness)
            await trio.sleep(120)  # empty rooms are given up, ended ones are forgotten
            harness.sent.clear()
            harness.resume_items.clear()
            assert harness.host.rooms == 0

        assert not await left_by(some)
