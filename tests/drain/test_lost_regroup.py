"""A second ``joined`` is lost with its socket, and the node that gave the room up is gone."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall import Room, Said, room
from lastcall.ids import KindName
from tests.harness import orders
from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster
from tests.harness.counts import players_in
from tests.harness.player import Frame, Player

pytestmark = pytest.mark.usefixtures("schedule")
KEYS = pytest.mark.parametrize("key", ["", "ann's key"])


async def two_of_each(c: Cluster) -> tuple[ApiProcess, ApiProcess, GameProcess, GameProcess]:
    first, second = c.game("game-1"), c.game("game-2")
    c.address("game-3")
    apis = c.api("api-1"), c.api("api-2")
    await c.ready(first, second, *apis)
    return *apis, first, second


async def resume(player: Player, api: ApiProcess) -> Frame:
    """Resumes with the ticket of the first room; returns the answer about the second one."""
    socket = await player.send_resume(api)
    answer = await socket.hear("joined", "resumed")
    if answer["t"] == "resumed":  # the node that gave the room up still lives
        answer = await socket.hear("joined")
    return answer


async def take(player: Player, joined: Frame) -> None:
    player.room, player.you, player.ticket = joined["room"], joined["you"], joined["ticket"]
    player.base = joined["seq"]
    await player.socket.send(t="got", seq=joined["seq"], room=joined["room"])


async def plays_with(player: Player, api: ApiProcess, opponent: Player) -> None:
    """The player has the only other seat in the room, and their inputs count from 1."""
    joined = await opponent.join(api, kind="tictactoe")
    assert joined["room"] == player.room
    await player.socket.send(t="say", n=1, d={"cell": 0})
    await opponent.hear_data({"board": "X--------", "turn": opponent.you})
    assert [p["id"] for p in joined["players"]] == [player.you, opponent.you]


@pytest.mark.parametrize(
    ("through", "key"),
    [("the same api node", ""), ("another api node", "ann's key"), ("the only one left", "")],
)
async def test_a_player_who_has_only_the_first_ticket_gets_the_second_joined_again(
    key: str, through: str, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first, _ = await two_of_each(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe", key=key)
        first.signal()
        await first.gone.wait()
        second = await ann.socket.hear("joined")
        if through == "the only one left":
            api.kill()
        else:
            ann.socket.drop()
        await trio.sleep(0.5)
        joined = await resume(ann, api if through == "the same api node" else other)
        assert (joined["room"], joined["you"]) == (second["room"], second["you"])
        await take(ann, joined)
        await plays_with(ann, other, bob)


async def test_so_does_one_whose_first_socket_is_still_open(
    autojump_clock: MockClock,
) -> None:
    """The network is gone, and the api node does not know."""
    async with cluster() as c:
        api, other, first, _ = await two_of_each(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        silent = ann.socket
        first.signal()
        await first.gone.wait()
        second = await silent.hear("joined")
        joined = await resume(ann, other)
        assert joined["you"] == second["you"]
        assert await silent.close_code() == 4005
        await take(ann, joined)
        await plays_with(ann, other, bob)


@KEYS
async def test_in_whatever_turn_of_the_loop_the_socket_is_lost_the_place_is_not(
    key: str, schedule: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first, _ = await two_of_each(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe", key=key)
        first.signal()
        for _ in range(schedule * 3):
            await trio.lowlevel.checkpoint()
        ann.socket.drop()
        await trio.sleep(0.8)
        await take(ann, await resume(ann, other))
        await plays_with(ann, other, bob)


async def test_however_long_after_the_signal_the_socket_is_lost_the_place_is_not(
    schedule: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first, _ = await two_of_each(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        first.signal()
        await trio.sleep(schedule * 0.05)
        ann.socket.drop()
        await trio.sleep(0.2)
        await take(ann, await resume(ann, other))
        await plays_with(ann, other, bob)


@KEYS
@orders(3)
async def test_the_seat_is_held_for_30_s_as_that_of_a_player_who_knows_of_it(
    key: str, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first, second = await two_of_each(c)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe", key=key)
        first.signal()
        await first.gone.wait()
        await ann.socket.hear("joined")
        ann.socket.drop()
        await trio.sleep(29)
        await take(ann, await resume(ann, other))
        ann.socket.drop()
        await trio.sleep(31)
        await ann.send_resume(other)
        assert await ann.socket.close_code() == 4004
        assert players_in(second.node.host) == 0


async def test_the_first_ticket_is_void_once_the_second_joined_is_confirmed(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, other, first, second = await two_of_each(c)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        ticket, silent = ann.ticket, ann.socket
        first.signal()
        await first.gone.wait()
        await take(ann, await silent.hear("joined"))
        await trio.sleep(8)  # until then another api node may still look for a place for somebody
        socket = await ann.send_resume(other, ticket=ticket)
        assert await socket.close_code() == 4004
        assert silent.closed is None
        assert len(second.node.host.running.former_places) == 0


async def test_an_answer_that_is_lost_too_can_be_asked_for_again(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, other, first, _ = await two_of_each(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        first.signal()
        await first.gone.wait()
        ann.socket.drop()
        for node in (other, api, other):
            joined = await resume(ann, node)
            ann.socket.drop()
        assert (await resume(ann, api))["you"] == joined["you"]
        await take(ann, joined)
        await plays_with(ann, other, bob)


@pytest.mark.parametrize("lost", ["before the second drain", "during the second drain"])
async def test_two_regroups_of_which_the_player_never_learned(
    lost: str, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first, second = await two_of_each(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        third = c.game("game-3")
        await c.ready(third)
        first.signal()
        await first.gone.wait()
        middle = await ann.socket.hear("joined")
        left, right = (second, third) if middle["room"].startswith("game-2") else (third, second)
        if lost == "before the second drain":
            ann.socket.drop()
            await trio.sleep(0.1)
        left.signal()
        if lost == "during the second drain":
            await left.gone.wait()
            ann.socket.drop()
        joined = await resume(ann, other)
        while not joined["room"].startswith(right.name):
            joined = await ann.socket.hear("joined")
        await take(ann, joined)
        await plays_with(ann, other, bob)


@KEYS
async def test_in_whatever_turn_of_a_regroup_a_player_leaves_no_seat_is_kept_for_them(
    key: str, schedule: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, _, first, second = await two_of_each(c)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe", key=key)
        first.signal()
        for _ in range(schedule * 3):
            await trio.lowlevel.checkpoint()
        await ann.socket.send(t="leave")
        ended = await ann.socket.hear("ended")
        await trio.sleep(1)
        assert (ended["reason"], players_in(second.node.host)) == ("left", 0)


@KEYS
@pytest.mark.parametrize(
    ("news", "reason", "result"), [("finish", "finished", "draw"), ("kick", "kicked", None)]
)
async def test_a_place_that_has_ended_before_they_return_is_joined_and_then_ended(
    news: str, reason: str, result: object, key: str, autojump_clock: MockClock
) -> None:
    @room("pair", seats=2, starts=2)
    async def pair(table: Room) -> object:
        async for event in table:
            match event:
                case Said(_, "finish"):
                    return "draw"
                case Said(player, "kick"):
                    table.kick(next(one for one in table.players if one != player))
        return None

    async with cluster() as c:
        kinds = {KindName("pair"): pair}
        first, second = c.game("game-1", kinds=kinds), c.game("game-2", kinds=kinds)
        api, other = c.api("api-1"), c.api("api-2")
        await c.ready(first, second, api, other)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="pair", key=key)
        first.signal()
        await first.gone.wait()
        place = await ann.socket.hear("joined")
        ann.socket.drop()
        await bob.join(other, kind="pair")
        await bob.say(news)
        await trio.sleep(1)
        for _ in range(2):  # the answer may be lost, too
            joined = await resume(ann, other)
            assert (joined["room"], joined["you"]) == (place["room"], place["you"])
            ended = await ann.socket.hear("ended")
            assert (ended["room"], ended["reason"]) == (place["room"], reason)
            assert ended.get("result") == result
            ann.socket.drop()
            await trio.sleep(0.5)
