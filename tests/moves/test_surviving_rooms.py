"""The whole life of surviving rooms: their ends, refused images, states that fail, late players."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall import Alarm, Room, Said, room
from lastcall.core.survival.actions import Protection
from lastcall.policy import SurvivalPolicy
from tests.harness.cluster import cluster
from tests.harness.player import Player
from tests.moves.rooms import LATER, Gossip, kinds
from tests.moves.survivors import (
    SURVIVORS,
    guest,
    holder,
    protected,
    standing,
    survival,
    three_nodes,
    two_nodes,
)
from tests.moves.talks import players, start, talk, undisturbed


class Held(msgspec.Struct):
    """A state that fails while it holds what cannot be encoded."""

    held: Any = None


@room("bet", seats=8, state=Held, survives=True)
async def bet(table: Room[Held]) -> str:
    """Ends when it is told to; rings a bell 2 s after somebody asks."""
    async for event in table:
        match event:
            case Said(_, "end"):
                return "the end"
            case Said(_, "crash"):
                raise RuntimeError("crash")
            case Said(_, "spoil"):
                table.state.held = object()
            case Said(_, "mend"):
                table.state.held = None
            case Said(_, "bell"):
                table.alarm("bell", after=2.0)
            case Alarm(name):
                table.broadcast({"rang": name, "moves": table.moves})
        if isinstance(event, Said):
            table.broadcast({"said": event.input, "moves": table.moves})
    return ""


@room("ark", seats=8, state=Gossip, survives=True)
async def later_ark(table: Room[Gossip]) -> None:
    async for _ in table:
        table.broadcast(table.state.count)


BETS = SURVIVORS | kinds(bet)
TWO = {"game-1": BETS, "game-2": BETS}


async def hear(speakers: list[Player], **message: object) -> None:
    for player in speakers:
        await player.hear_data(message)


async def test_a_room_that_ends_tells_its_players_once_and_its_image_is_forgotten(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, (one, two) = await start(c, TWO)
        speakers = await players(c, api, "bet", 2)
        await protected(one, 1)
        await speakers[0].say("end")
        for player in speakers:
            ended = await player.socket.hear("ended")
            assert (ended["reason"], ended["result"]) == ("finished", "the end")
        await trio.sleep(1)
        assert (len(survival(two).copies), survival(two).copies.bytes) == (0, 0)
        assert standing(one, Protection.PROTECTED) == standing(one, Protection.UNPROTECTED) == 0


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize(("said", "reason"), [("end", "finished"), ("crash", "crashed")])
async def test_a_node_that_is_killed_while_its_room_ends_leaves_one_end(
    autojump_clock: MockClock, delay: float, said: str, reason: str
) -> None:
    async with cluster() as c:
        api, (one, _) = await start(c, TWO)
        speakers = await players(c, api, "bet", 2)
        await protected(one, 1)
        c.bus.faults.delay_seconds = 0.1
        await speakers[0].say(said)
        await trio.sleep(delay)
        one.kill()
        for player in speakers:
            assert (await player.socket.hear("ended"))["reason"] == reason
        await trio.sleep(5)
        for player in speakers:
            assert [frame["t"] for frame in player.socket.heard].count("ended") == 1


async def test_an_alarm_rings_once_where_the_room_goes_on(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, (one, _) = await start(c, TWO)
        speakers = await players(c, api, "bet", 2)
        await protected(one, 1)
        began = trio.current_time()
        await speakers[0].say("bell")
        await hear(speakers, said="bell", moves=0)
        one.kill()
        await hear(speakers, rang="bell", moves=1)
        assert 2.0 <= trio.current_time() - began < 2.5
        await trio.sleep(5)
        assert [d for _, d in speakers[0].messages if "rang" in d] == [{"rang": "bell", "moves": 1}]


async def test_a_player_between_two_sockets_finds_the_room_where_it_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, one, _ = await two_nodes(c)
        other = c.api("api-2")
        await c.ready(other)
        speakers = await players(c, api, "ark", 2)
        late = await guest(c, other, speakers[0].room)
        await protected(one, 1)
        late.socket.drop()
        await talk(speakers, "a")
        one.kill()
        resumed = await late.resume(api)
        assert resumed["complete"]
        await late.hear_data({"said": "a", "count": 1, "moves": 0})
        assert (await talk([*speakers, late], "b"))["count"] == 2
        assert undisturbed(speakers)
        assert late.heard_once


async def test_a_node_whose_code_cannot_read_the_state_refuses_the_image_and_another_keeps_it(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        kinds_of = {"game-1": SURVIVORS, "game-2": LATER | kinds(later_ark), "game-3": SURVIVORS}
        with capture_logs() as logs:
            api, (one, two, three) = await start(c, kinds_of)
            speakers = await players(c, api, "ark", 2)
            await talk(speakers, "a")
            await protected(one, 1)
        refusals = [line for line in logs if line["event"] == "survival.refused"]
        assert {(line["kind"], line["game"]) for line in refusals} == {("ark", "game-2")}
        assert [len(survival(game).copies) for game in (two, three)] == [0, 1]
        one.kill()
        assert (await talk(speakers, "b"))["count"] == 2
        assert undisturbed(speakers)


async def test_a_node_keeps_images_up_to_its_memory_for_them(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        small = SurvivalPolicy(copies_bytes=4000)
        api, one, two = await two_nodes(c, survival=small)
        rooms = [await players(c, api, "ark", 1) for _ in range(6)]
        await trio.sleep(1)
        games = one, two
        kept = sum(standing(game, Protection.PROTECTED) for game in games)
        assert 0 < kept < 6
        assert sum(standing(game, Protection.UNPROTECTED) for game in games) == 6 - kept
        for game in games:
            assert survival(game).copies.bytes <= 4000
        assert "no other game node takes its image" in " ".join(one.node.why())
        for [speaker] in rooms:
            assert (await talk([speaker], "a"))["count"] == 1


async def test_while_its_state_cannot_be_encoded_a_room_plays_on_unprotected(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, (one, two) = await start(c, TWO)
        speakers = await players(c, api, "bet", 2)
        await protected(one, 1)
        await speakers[0].say("spoil")
        await hear(speakers, said="spoil", moves=0)
        await trio.sleep(1)
        assert standing(one, Protection.UNPROTECTED) == 1
        assert len(survival(two).copies) == 0
        await speakers[0].say("mend")
        await hear(speakers, said="mend", moves=0)
        await protected(one, 1)
        one.kill()
        await speakers[0].say("still here")
        await hear(speakers, said="still here", moves=1)
        assert undisturbed(speakers)


async def test_a_room_whose_standby_and_witness_die_goes_on_when_both_are_known_to_be_dead(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        witness, one, *others = await three_nodes(c)
        api = c.api("api-2")
        await c.ready(api)
        speakers = await players(c, api, "ark", 2)
        await protected(one, 1)
        witness.kill()
        holder(others).kill()
        assert (await talk(speakers, "a"))["count"] == 1
        await protected(one, 1)
        assert undisturbed(speakers)


async def test_a_room_that_hears_neither_its_standby_nor_its_witness_waits_and_says_so(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        witness, one, two = await two_nodes(c)
        api = c.api("api-2")
        await c.ready(api)
        speakers = [await guest(c, api, (await players(c, api, "ark", 1))[0].room)]
        await protected(one, 1)
        with capture_logs() as logs:
            for name in (witness.name, two.name):
                c.bus.break_link(one.name, name)
            await speakers[0].say("a")
            await trio.sleep(8)
            assert speakers[0].messages == []
            assert standing(one, Protection.WAITING) == 1
            assert "1 room(s) wait before they say more" in " ".join(one.node.why())
        waiting = [line for line in logs if line["event"] == "survival.waiting"]
        assert {(line["kind"], line["room"]) for line in waiting} == {("ark", speakers[0].room)}
        c.bus.heal(one.name)
        await speakers[0].hear_data({"said": "a", "count": 1, "moves": 0})
        assert speakers[0].heard_once


async def test_the_log_of_a_drain_says_why_a_surviving_room_was_cut(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        without = {kind: SURVIVORS[kind] for kind in SURVIVORS if kind != "ark"}
        api, (one, _) = await start(c, {"game-1": SURVIVORS, "game-2": without})
        (player,) = await players(c, api, "ark", 1)
        with capture_logs() as logs:
            one.signal()
            await one.gone.wait()
        assert (await player.socket.hear("ended"))["reason"] == "cut"
        (refused,) = [line for line in logs if line["event"] == "survival.refused"]
        assert (refused["kind"], refused["game"]) == ("ark", "")
        assert "no other game node" in refused["reason"]
