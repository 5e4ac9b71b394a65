"""A player returns through another api node while the join after a regroup is under way."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.harness.cluster import ApiProcess, Cluster, GameProcess, cluster
from tests.harness.counts import players_in
from tests.harness.player import Frame, Player


async def two_apis(c: Cluster) -> tuple[ApiProcess, ApiProcess, GameProcess]:
    """Two api nodes; a game node with the only rooms, and another that answers and takes none."""
    first, cordoned = c.game("game-1"), c.game("game-0")
    c.address("game-2")
    apis = c.api("api-1"), c.api("api-2")
    await c.ready(first, cordoned, *apis)
    cordoned.drain.cordon()
    await trio.sleep(1)
    return *apis, first


async def answer_to(player: Player, api: ApiProcess) -> Frame | int:
    """Resumes as a client does, until there is an answer other than 1013."""
    while True:
        socket = await player.send_resume(api)
        with trio.fail_after(20):
            while len(socket.heard) == 1 and socket.closed is None:
                await trio.sleep(0.01)
        if socket.closed is None:
            return socket.heard[1]
        if socket.closed != 1013:
            return socket.closed
        await trio.sleep(0.2)


async def start_later(c: Cluster, seconds: float) -> None:
    await trio.sleep(seconds)
    c.game("game-2")


@pytest.mark.parametrize(
    ("through", "seconds"),
    [("another api node", 0.5), ("a new api node", 2.0), ("a new api node", 3.4)],
)
async def test_whenever_the_socket_is_lost_the_player_gets_the_seat_that_comes_later(
    seconds: float, through: str, schedule: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first = await two_apis(c)
        ann, bob = Player(c.nursery), Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        first.signal()
        await first.gone.wait()
        left_at = trio.current_time()
        c.nursery.start_soon(start_later, c, seconds)
        await trio.sleep(schedule * 0.2)
        ann.socket.drop()
        if through == "a new api node":
            other = c.api("api-3")
            await c.ready(other)
        returned = max(trio.current_time() - left_at, seconds)
        answer = await answer_to(ann, other)
        assert isinstance(answer, dict), f"closed with {answer}"
        assert answer["t"] == "joined"
        # a node is met within 1.3 s, and asked again every 0.6 s
        assert trio.current_time() - left_at < returned + 2
        await ann.socket.send(t="got", seq=answer["seq"], room=answer["room"])
        joined = await bob.join(other, kind="tictactoe")
        assert joined["players"][0]["id"] == answer["you"]


@pytest.mark.parametrize("seconds", [4.2])
async def test_a_node_that_comes_too_late_has_no_seat_for_a_player_who_got_4004(
    seconds: float, schedule: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        api, other, first = await two_apis(c)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        first.signal()
        await first.gone.wait()
        await trio.sleep(schedule * 0.2)
        ann.socket.drop()
        c.nursery.start_soon(start_later, c, seconds - schedule * 0.2)
        answer = await answer_to(ann, other)
        await trio.sleep(10)
        second = next(node for node in other.node.games.known if node.name == "game-2")
        assert (answer == 4004) == (second.state.rooms == 0)


async def test_without_a_new_node_the_answer_is_4004_once_no_join_can_be_under_way(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, other, first = await two_apis(c)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        first.signal()
        await first.gone.wait()
        left_at = trio.current_time()
        ann.socket.drop()
        codes = []
        for _ in range(3):
            socket = await ann.send_resume(other)
            codes.append(await socket.close_code())
        assert codes == [1013, 1013, 4004]
        assert 7 < trio.current_time() - left_at < 8.2  # asked again after a heartbeat and 7 s
        start = trio.current_time()
        assert await (await ann.send_resume(other)).close_code() == 4004
        assert trio.current_time() - start < 0.1


async def test_a_player_who_stays_is_told_that_the_place_is_abandoned(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _, first = await two_apis(c)
        ann = Player(c.nursery)
        await ann.join(api, kind="tictactoe")
        first.signal()
        assert (await ann.socket.hear("ended"))["reason"] == "abandoned"


async def test_a_chain_of_two_rooms_that_were_given_up_is_followed_from_the_first_ticket(
    schedule: int, autojump_clock: MockClock
) -> None:
    """The node that the ticket names left long ago, and the next one has just left."""
    async with cluster() as c:
        api, other, first = await two_apis(c)
        ann = Player(c.nursery)
        middle = c.game("game-2")
        await c.ready(middle)
        c.address("game-1b")
        await ann.join(api, kind="tictactoe", new=True)
        first.signal()
        await first.gone.wait()
        assert (await ann.socket.hear("joined"))["room"].startswith("game-2")
        await trio.sleep(15)
        middle.signal()
        await middle.gone.wait()
        await trio.sleep(schedule * 0.05)
        ann.socket.drop()
        last = c.game("game-1")
        await trio.sleep(schedule * 0.02)
        answer = await answer_to(ann, other)
        assert isinstance(answer, dict), f"closed with {answer}"
        assert answer["room"].startswith("game-1")
        assert players_in(last.node.host) == 1
