"""A place outlives its socket and its api node: a whole cluster in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from lastcall import Away, Back, Joined, Left, Room, room
from lastcall.policy import LinkPolicy, RoomPolicy
from tests.harness import orders
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster
from tests.harness.player import Player

pytestmark = pytest.mark.usefixtures("schedule")


@room("diary", seats=4)
async def diary(table: Room) -> list[str]:
    """Broadcasts each event of its players."""
    names: dict[str, str] = {}
    async for event in table:
        match event:
            case Joined(player) | Left(player) | Away(player) | Back(player):
                name = names.setdefault(player, table.name_of(player))
                table.broadcast([type(event).__name__, name])
    return []


@asynccontextmanager
async def two_api_nodes(
    *kinds: object, rooms: RoomPolicy | None = None, links: LinkPolicy | None = None
) -> AsyncIterator[tuple[Cluster, GameProcess, ApiProcess, ApiProcess]]:
    """Starts one game node behind two api nodes; ``links`` is the policy of the game node."""
    async with cluster() as c:
        options = {"kinds": {kind.name: kind for kind in kinds}} if kinds else {}
        game = c.game(rooms=rooms, links=links, **options)
        one, two = c.api("api-1"), c.api("api-2")
        await c.ready(game, one, two)
        yield c, game, one, two


def lounge_messages(*inputs: tuple[Player, object]) -> list[dict[str, object]]:
    return [{"from": player.you, "said": d} for player, d in inputs]


async def test_a_place_outlives_its_socket_and_missed_messages_are_replayed_in_order(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(one, room=ann.room)
        await ann.say("before")
        await ann.hear_data({"from": ann.you, "said": "before"})
        seen = ann.seen
        ann.socket.drop()
        for text in ("one", "two", "three"):
            await bob.say(text)
        await bob.hear_data({"from": bob.you, "said": "three"})
        resumed = await ann.resume(two)
        assert (resumed["seq"], resumed["n"], resumed["complete"]) == (seen, 1, True)
        await bob.say("live")
        await ann.hear_data({"from": bob.you, "said": "live"})
        assert [d for _, d in ann.messages] == lounge_messages(
            (ann, "before"), (bob, "one"), (bob, "two"), (bob, "three"), (bob, "live")
        )
        assert ann.heard_once


async def test_a_place_outlives_the_api_node(autojump_clock: MockClock) -> None:
    async with two_api_nodes() as (c, game, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(two, room=ann.room)
        one.kill()
        assert await ann.socket.close_code() == 1006
        await bob.say("are you there?")
        await ann.resume(two)
        await ann.hear_data({"from": bob.you, "said": "are you there?"})
        await ann.say("yes")
        await bob.hear_data({"from": ann.you, "said": "yes"})
        assert game.rooms == 1


async def test_a_resume_reports_the_accepted_inputs_and_repeats_of_them_change_nothing(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        for text in "abc":
            await ann.say(text)
        await ann.hear_data({"from": ann.you, "said": "c"})
        one.kill()
        resumed = await ann.resume(two)
        assert resumed["n"] == 3
        for n, text in enumerate("abcd", 1):
            await ann.socket.send(t="say", n=n, d=text)
        await ann.hear_data({"from": ann.you, "said": "d"})
        assert [d["said"] for _, d in ann.messages] == list("abcd")
        assert ann.heard_once


async def test_late_inputs_through_the_old_api_node_are_not_accepted_for_the_new_socket(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        await ann.say("first")
        await ann.hear_data({"from": ann.you, "said": "first"})
        c.bus.break_link("api-1", "game-1")
        await ann.socket.send(t="say", n=2, d="said to the old node")
        resumed = await ann.resume(two)
        assert resumed["n"] == 1
        c.bus.heal("api-1")
        await trio.sleep(2)
        await ann.socket.send(t="say", n=2, d="said to the new node")
        await ann.hear_data({"from": ann.you, "said": "said to the new node"})
        assert [d["said"] for _, d in ann.messages] == ["first", "said to the new node"]
        assert await ann.sockets[0].close_code() == 4005


async def test_a_player_whose_resumed_is_lost_keeps_the_seat(autojump_clock: MockClock) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        ann.socket.drop()
        first = ann.ticket
        for api in (one, two, one):
            lost = await ann.resume(api, confirm=False)
            assert lost["ticket"] != first
            ann.socket.drop()
            ann.ticket = first
        await ann.resume(two)
        await ann.say("here")
        await ann.hear_data({"from": ann.you, "said": "here"})


async def test_a_used_ticket_is_refused_and_does_not_disturb_its_player(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann, thief = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        used = ann.ticket
        ann.socket.drop()
        await ann.resume(two)
        await ann.say("mine")
        await ann.hear_data({"from": ann.you, "said": "mine"})
        for api in (one, two):
            socket = await thief.send_resume(api, ticket=used, seen=0)
            assert await socket.close_code() == 4004
        await ann.say("still mine")
        await ann.hear_data({"from": ann.you, "said": "still mine"})


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_of_two_sockets_the_newer_gets_the_place_and_the_older_closes_with_4005(
    autojump_clock: MockClock, elsewhere: bool
) -> None:
    async with two_api_nodes(diary) as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="diary", name="ann")
        await ann.hear_data(["Joined", "ann"])
        start = trio.current_time()
        await ann.resume(two if elsewhere else one)
        assert await ann.sockets[0].close_code() == 4005
        assert trio.current_time() - start == pytest.approx(0, abs=0.05)
        await trio.sleep(5)
        assert [d for _, d in ann.messages] == [["Joined", "ann"]]
        assert ann.socket.closed is None


async def test_a_room_gets_away_after_2_s_and_back_at_once(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(diary) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="diary", name="ann")
        await bob.join(one, room=ann.room, name="bob")
        start = trio.current_time()
        ann.socket.drop()
        await bob.hear_data(["Away", "ann"])
        assert trio.current_time() - start == pytest.approx(2, abs=0.05)
        await trio.sleep(10)
        await ann.resume(two)
        await bob.hear_data(["Back", "ann"])
        assert trio.current_time() - start == pytest.approx(12, abs=0.05)
        bob.socket.drop()
        await trio.sleep(1.9)
        await bob.resume(two)
        await trio.sleep(5)
        assert [d[1] for _, d in ann.messages if d[0] in {"Away", "Back"}] == ["ann", "ann"]


@orders(3)
async def test_a_seat_is_kept_for_30_s_and_then_free_and_its_ticket_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(diary) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="diary", name="ann")
        await bob.join(one, room=ann.room, name="bob")
        for _ in range(2):
            ann.socket.drop()
            await trio.sleep(29.8)
            await ann.resume(two)
        start = trio.current_time()
        ann.socket.drop()
        with trio.fail_after(40):
            while ["Left", "ann"] not in [d for _, d in bob.messages]:
                await trio.sleep(0.05)
        assert trio.current_time() - start == pytest.approx(30, abs=0.1)
        assert await (await ann.send_resume(two)).close_code() == 4004


@orders(3)
async def test_a_room_that_ended_meanwhile_is_kept_with_its_last_messages_and_result(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, game, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="countdown", options={"seconds": 3})
        await ann.hear_data({"left": 2})
        ann.socket.drop()
        await trio.sleep(10)
        assert game.rooms == 0
        for api in (one, two):  # twice, since the first answer may have been lost
            await ann.resume(api)
            ended = await ann.socket.hear("ended")
            assert (ended["room"], ended["reason"]) == (ann.room, "finished")
        assert [d["left"] for _, d in ann.messages] == [2, 1, 0]
        await trio.sleep(30)
        assert await (await ann.send_resume(one)).close_code() == 4004


async def test_a_repeated_key_gets_the_same_seat_on_any_node(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        games = [c.game(f"game-{number}") for number in (1, 2, 3)]
        one, two = c.api("api-1"), c.api("api-2")
        await c.ready(*games, one, two)
        ann, bob = Player(c.nursery), Player(c.nursery)
        first = await ann.join(one, kind="lounge", key="k", confirm=False)
        ann.socket.drop()
        await bob.join(two, room=ann.room)
        await bob.say("hello")
        await bob.hear_data({"from": bob.you, "said": "hello"})
        for _ in range(7):  # now game-3 has the lowest load
            await Player(c.nursery).join(one, kind="lounge", new=True)
        assert [game.rooms for game in games] == [3, 3, 2]
        again = await ann.join(two, kind="lounge", key="k")
        assert (again["room"], again["you"]) == (first["room"], first["you"])
        await ann.hear_data({"from": bob.you, "said": "hello"})
        assert len(again["players"]) == 2


async def test_tickets_of_another_room_guessed_and_malformed_tickets_close_with_4004(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge", new=True)
        await bob.join(one, kind="lounge", new=True)
        room, player, secret = ann.ticket.split("/")
        for ticket in (
            f"{bob.room}/{player}/{secret}",
            f"{room}/{bob.you}/{secret}",
            f"{room}/{player}/{'0' * 32}",
            f"{room}/{player}/",
            "nonsense",
        ):
            socket = await Player(c.nursery).send_resume(two, ticket=ticket, seen=0)
            assert await socket.close_code() == 4004
        await ann.say("still here")
        await ann.hear_data({"from": ann.you, "said": "still here"})


async def test_a_seen_number_that_is_too_high_is_an_error_and_the_place_remains(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes() as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="lounge")
        ann.socket.drop()
        socket = await ann.send_resume(two, seen=99)
        error = await socket.hear("error")
        assert error["code"] == "bad_frame"
        assert "99" in error["message"]
        await ann.resume(two)


async def test_a_resume_is_incomplete_if_the_history_no_longer_holds_all_messages(
    autojump_clock: MockClock,
) -> None:
    async with two_api_nodes(rooms=RoomPolicy(history_messages=5)) as (c, _, one, two):
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(one, kind="lounge")
        await bob.join(one, room=ann.room)
        ann.socket.drop()
        for number in range(10):
            await bob.say(number)
        await bob.hear_data({"from": bob.you, "said": 9})
        resumed = await ann.resume(two)
        assert (resumed["complete"], "state" in resumed) == (False, False)
        await ann.hear_data({"from": bob.you, "said": 9})
        assert [d["said"] for _, d in ann.messages] == [5, 6, 7, 8, 9]
        assert resumed["seq"] == ann.messages[0][0] - 1


async def test_the_state_of_the_room_replaces_forgotten_messages(autojump_clock: MockClock) -> None:
    @room("picture", seats=2)
    async def picture(table: Room) -> None:
        table.state_for = lambda player: {"you": player, "count": count}
        for count in range(20):
            table.broadcast(count)
            await trio.sleep(0.1)
        async for _ in table:
            table.broadcast("said")

    async with two_api_nodes(picture, rooms=RoomPolicy(history_messages=5)) as (c, _, one, two):
        ann = Player(c.nursery)
        await ann.join(one, kind="picture")
        ann.socket.drop()
        await trio.sleep(5)
        resumed = await ann.resume(two)
        assert not resumed["complete"]
        assert resumed["state"] == {"you": ann.you, "count": 19}
        before = resumed["seq"]
        await ann.say("go on")
        await ann.hear_data("said")
        assert [seq for seq, _ in ann.messages if seq > ann.base][-1] == before + 1
