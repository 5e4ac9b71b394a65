"""A room outlives its node, and no player notices more than a short silence."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from lastcall import Room, Said, room
from lastcall.core.survival.actions import Protection
from lastcall.game.survival_rounds import UNFIT
from lastcall.ids import RoomId
from tests.harness.cluster import CLEAN, GameProcess, cluster, soon
from tests.harness.counts import players_in
from tests.moves.rooms import kinds
from tests.moves.survivors import (
    SURVIVORS,
    heard_all_once,
    holder,
    protected,
    speak,
    standing,
    survival,
    three_nodes,
    two_nodes,
)
from tests.moves.talks import DRAIN, players, start, talk, undisturbed


class Leak(msgspec.Struct):
    kept: dict = {}  # type: ignore[type-arg]


in_some_orders = pytest.mark.parametrize("schedule", range(5), indirect=True)


@in_some_orders
async def test_a_room_whose_node_is_killed_goes_on_at_its_standby(
    autojump_clock: MockClock, schedule: int
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 3)
        assert await talk(speakers, "a") == {"said": "a", "count": 1, "moves": 0}
        await protected(one, 1)
        one.kill()
        began = trio.current_time()
        assert await talk(speakers, "b") == {"said": "b", "count": 2, "moves": 1}
        assert trio.current_time() - began < 1.5
        assert (two.rooms, players_in(two.node.host)) == (1, 3)
        assert undisturbed(speakers)


@in_some_orders
async def test_inputs_said_while_the_node_dies_are_each_applied_once(
    autojump_clock: MockClock, schedule: int
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        async with trio.open_nursery() as nursery:
            for player in speakers:
                nursery.start_soon(speak, player, 60, 0.02)
            await trio.sleep(0.5)
            one.kill()
        await heard_all_once(speakers, 60)
        assert undisturbed(speakers)


async def test_many_rooms_go_on_and_are_protected_again_by_a_third_node(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two, three = await three_nodes(c)
        rooms = [await players(c, api, "ark", 2) for _ in range(12)]
        for room in rooms:
            await talk(room, "a")
        games = [one, two, three]
        await trio.sleep(1)
        assert sum(standing(game, Protection.PROTECTED) for game in games) == 12
        one.kill()
        for room in rooms:
            assert (await talk(room, "b"))["count"] == 2
        await trio.sleep(2)
        assert two.rooms + three.rooms == 12
        assert sum(standing(game, Protection.PROTECTED) for game in [two, three]) == 12
        two.kill()
        for room in rooms:
            assert (await talk(room, "c"))["count"] == 3
            assert undisturbed(room)
        assert three.rooms == 12
        assert standing(three, Protection.UNPROTECTED) == 12


@in_some_orders
async def test_a_room_whose_standby_is_killed_gets_another_one_and_its_players_notice_nothing(
    autojump_clock: MockClock, schedule: int
) -> None:
    async with cluster() as c:
        api, *games = await three_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(games[0], 1)
        first = holder(games[1:])
        first.kill()
        began = trio.current_time()
        assert await talk(speakers, "a") == {"said": "a", "count": 1, "moves": 0}
        assert trio.current_time() - began < 1.5
        await protected(games[0], 1)
        (second,) = [game for game in games[1:] if game is not first]
        assert len(survival(second).copies) == 1
        games[0].kill()
        assert (await talk(speakers, "b"))["count"] == 2
        assert undisturbed(speakers)


async def test_a_game_node_alone_protects_nothing_and_says_so(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, (one,) = await start(c, {"game-1": SURVIVORS})
        speakers = await players(c, api, "ark", 1)
        await talk(speakers, "a")
        await trio.sleep(1)
        assert standing(one, Protection.UNPROTECTED) == 1
        assert survival(one).standings.why() == [
            "1 room(s) would not survive this node: there is no other game node to be its standby"
        ]


@room("leak", seats=8, state=Leak, survives=True)
async def leak(table: Room[Leak]) -> None:
    async for event in table:
        if isinstance(event, Said):
            table.state.kept = {"it": object()} if event.input == "break" else {}
            table.broadcast(event.input)


async def test_a_room_whose_state_cannot_be_encoded_says_so_and_is_protected_when_it_can(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        nodes = dict.fromkeys(("game-1", "game-2"), kinds(leak))
        api, (one, _) = await start(c, nodes)
        speakers = await players(c, api, "leak", 2)
        await protected(one, 1)
        why = f"1 room(s) would not survive this node: {UNFIT}"
        for said, expected in (("break", [why]), ("mend", [])):
            await speakers[0].say(said)
            await trio.sleep(1)
            assert [player.messages[-1][1] for player in speakers] == [said] * 2
            assert survival(one).standings.why() == expected
        assert standing(one, Protection.PROTECTED) == 1


async def test_a_room_of_which_both_nodes_are_killed_is_lost(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, one, *others = await three_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        one.kill()
        holder(others).kill()
        for player in speakers:
            assert await player.socket.close_code() == 1012
            socket = await player.send_resume(api)
            assert await socket.close_code() == 4004


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.9, 4.0, 7.0, 20.0])
async def test_a_node_that_stops_and_comes_back_finds_itself_fenced_and_there_is_one_history(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        async with trio.open_nursery() as nursery:
            for player in speakers:
                nursery.start_soon(speak, player, 30, seconds / 20)
            await trio.sleep(seconds / 10)
            c.bus.freeze("game-1")
            await trio.sleep(seconds)
            c.bus.heal("game-1")
        await heard_all_once(speakers, 30)
        assert one.rooms + two.rooms == 1


@pytest.mark.parametrize("seconds", [1.0, 5.0, 12.0])
async def test_two_nodes_that_are_parted_leave_one_history(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        async with trio.open_nursery() as nursery:
            for player in speakers:
                nursery.start_soon(speak, player, 30, seconds / 20)
            await trio.sleep(seconds / 10)
            c.bus.break_link("game-1", "game-2")
            await trio.sleep(seconds)
            c.bus.heal("game-1")
        await heard_all_once(speakers, 30)
        assert undisturbed(speakers)
        assert one.rooms + two.rooms == 1
        await trio.sleep(10)
        await protected(one if one.rooms else two, 1)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 12.0])
async def test_a_node_that_is_parted_from_its_standby_and_an_api_node_leaves_one_history(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        async with trio.open_nursery() as nursery:
            for player in speakers:
                nursery.start_soon(speak, player, 30, seconds / 20)
            await trio.sleep(seconds / 10)
            c.bus.break_link("game-1", "game-2")
            c.bus.break_link("game-1", "api-1")
            await trio.sleep(seconds)
            c.bus.heal("game-1")
        await heard_all_once(speakers, 30)
        assert undisturbed(speakers)
        assert one.rooms + two.rooms == 1


async def test_a_room_at_the_deadline_of_its_node_is_handed_over_to_its_standby(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, two = await two_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        began = trio.current_time()
        one.signal()
        assert await talk(speakers, "a") == {"said": "a", "count": 1, "moves": 0}
        await one.gone.wait()
        assert one.exited_at - began == soon(DRAIN.cut_seconds)
        assert one.exit_code == CLEAN
        assert one.counts is not None
        assert (one.counts.rooms_handed_off, one.counts.cut) == (1, 0)
        assert await talk(speakers, "b") == {"said": "b", "count": 2, "moves": 1}
        assert undisturbed(speakers)
        assert two.rooms == 1


@in_some_orders
async def test_a_node_whose_rooms_move_at_once_is_gone_in_a_second(
    autojump_clock: MockClock, schedule: int
) -> None:
    async with cluster() as c:
        api, one, *others = await three_nodes(c)
        rooms = [await players(c, api, "raft", 2) for _ in range(6)]
        at = [room.room.partition(".")[0] for room, _ in rooms].count("game-1")
        await protected(one, at)
        began = trio.current_time()
        one.signal()
        await one.gone.wait()
        assert one.exited_at - began < 1
        assert one.exit_code == CLEAN
        assert one.counts is not None
        assert one.counts.rooms_handed_off == at > 0
        for pair in rooms:
            assert (await talk(pair, "a"))["count"] == 1
            assert undisturbed(pair)
        assert sum(game.rooms for game in others) == 6


async def test_a_standby_that_drains_gives_its_images_to_another_node(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, *others = await three_nodes(c)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        first = holder(others)
        first.signal()
        await first.gone.wait()
        assert first.exit_code == CLEAN
        await protected(one, 1)
        (second,) = [game for game in others if game is not first]
        assert len(survival(second).copies) == 1
        one.kill()
        assert (await talk(speakers, "a"))["count"] == 1
        assert undisturbed(speakers)


async def test_a_witness_that_leaves_is_replaced_and_its_successor_gives_the_vote(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        first, one, _ = await two_nodes(c)
        api = c.api("api-2")
        await c.ready(api)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        assert witness_of(one, speakers[0].room) == ["api-1"]
        first.signal()
        await first.gone.wait()
        await trio.sleep(1)
        assert witness_of(one, speakers[0].room) == ["api-2"]
        one.kill()
        assert (await talk(speakers, "a"))["moves"] == 1
        assert undisturbed(speakers)


def witness_of(game: GameProcess, room: str) -> list[str]:
    """The names of the room's witnesses; ``game`` runs it."""
    primary = survival(game).rooms.primary(RoomId(room))
    assert primary is not None
    names = {api.incarnation: str(api.name) for api in survival(game).links.witnesses.apis}
    return [names[witness] for witness in primary.config.witnesses]
