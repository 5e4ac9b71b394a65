"""A player who was kicked, and did not hear of it, hears of it when they resume."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Room, Said, room
from lastcall.wire import nodes
from tests.host.host_harness import SOUTH, HostHarness, open_host


@room("strict", seats=4, resume_seconds=20)
async def strict(table: Room) -> None:
    """Kicks the first player on `kick`, or the one that is named; repeats everything else."""
    first = ""
    async for event in table:
        first = first or table.players[0]
        match event:
            case Said(_, "kick"):
                table.broadcast("before")
                table.kick(first)  # type: ignore[arg-type]
                table.broadcast("after")
            case Said(_, ["kick", player]):
                table.kick(player)
            case Said(_, said):
                table.broadcast(said)


async def kicked(harness: HostHarness, *, away: bool) -> nodes.Seated:
    """Ann is kicked: before she comes back, or at the moment in which her socket is lost."""
    ann, bob = harness.join(strict), harness.join(strict, link=SOUTH)
    harness.say(bob, 1, "hello")
    await wait_all_tasks_blocked()
    if away:
        harness.lose(ann)
    harness.say(bob, 2, "kick")
    await wait_all_tasks_blocked()
    return ann


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("away", [True, False])
async def test_a_player_who_did_not_hear_of_the_kick_hears_of_it_when_they_resume(
    away: bool, ended: bool, autojump_clock: MockClock
) -> None:
    async with open_host(strict) as harness:
        ann = await kicked(harness, away=away)
        if ended:
            harness.host.cut()
            await wait_all_tasks_blocked()
        for _ in range(2):  # the first answer may be lost as well
            again = harness.resume(ann, 0)
            assert (again.player, again.complete) == (ann.player, True)
            assert [said for _, said in harness.replayed()] == ["hello", "before"]
            out = harness.resume_items[-1][1]
            assert out == nodes.Out(ann.room, ann.player, "kicked", again.session)


async def test_a_renewal_of_a_kicked_players_place_hears_of_the_kick(
    autojump_clock: MockClock,
) -> None:
    async with open_host(strict) as harness:
        ann = await kicked(harness, away=False)
        renewed = harness.resume(ann, 1, session=ann.session)
        assert isinstance(renewed, nodes.Resumed)
        assert harness.resume_items[-1][1].reason == "kicked"  # type: ignore[union-attr]


async def test_a_wrong_secret_an_expired_seat_and_a_late_resume_find_no_place(
    autojump_clock: MockClock,
) -> None:
    async with open_host(strict) as harness:
        ann = await kicked(harness, away=True)
        assert harness.resume(ann, secret="0" * 32).code == nodes.NO_SUCH_PLACE
        await trio.sleep(20)
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
        cy = harness.join(strict)
        harness.lose(cy)
        await trio.sleep(21)
        assert harness.resume(cy).code == nodes.NO_SUCH_PLACE, (
            "a player who was away too long was not kicked"
        )


async def test_a_room_remembers_64_whom_it_has_kicked(autojump_clock: MockClock) -> None:
    async with open_host(strict) as harness:
        seats = []
        bob = harness.join(strict, link=SOUTH)
        for n in range(1, 71):
            seats.append(harness.join(strict))
            harness.say(bob, n, ["kick", seats[-1].player])
            await wait_all_tasks_blocked()
        state = harness.host.find(bob.room).state  # type: ignore[union-attr]
        assert state.gone is not None
        assert len(state.gone) == 64
        assert harness.resume(seats[0]).code == nodes.NO_SUCH_PLACE
        assert isinstance(harness.resume(seats[-1]), nodes.Resumed)


async def test_a_player_who_has_left_knows_it(autojump_clock: MockClock) -> None:
    async with open_host(strict) as harness:
        ann = harness.join(strict)
        harness.join(strict)
        harness.leave(ann)
        assert harness.resume(ann).code == nodes.NO_SUCH_PLACE
