"""What a rolling update asks of a cluster: doors, hand-overs, several generations, odd clocks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock
from trio_websocket import WebSocketConnection, wrap_client_stream

from rooms.client import Connection, Place
from rooms.core.lifecycle import Phase
from rooms.errors import ClientError, ConnectionLost, JoinRefused
from rooms.policy import DrainPolicy
from tests.harness.cluster import CLEAN, CUT, ApiProcess, Cluster, cluster

pytestmark = pytest.mark.usefixtures("schedule")

LAME = DrainPolicy(grace_seconds=20, lame_duck_seconds=2, farewell_seconds=3)


async def handshake(api: ApiProcess) -> trio.abc.Stream:
    """A connection whose request has not ended yet."""
    stream = await api.listener.connect()
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: api\r\n")
    await trio.sleep(0.01)
    return stream


REST_OF_REQUEST = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@asynccontextmanager
async def websocket_over(stream: trio.abc.Stream) -> AsyncIterator[WebSocketConnection]:
    async with trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, "api", "/")  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()


async def answer(stream: trio.abc.Stream) -> bytes:
    data = b""
    with trio.move_on_after(5):
        while b"\r\n\r\n" not in data and (more := await stream.receive_some(4096)):
            data += more
    return data


async def finished(place: Place) -> str:
    async for _ in place:
        pass
    assert place.ended is not None
    return place.ended.reason


async def test_a_half_open_handshake_gets_503_with_an_invitation_to_retry(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        await (await c.client(api)).join(kind="lounge")
        stream = await handshake(api)
        api.signal()
        await trio.sleep(0.1)
        await stream.send_all(REST_OF_REQUEST)
        head = await answer(stream)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in head.lower()


async def test_a_half_open_handshake_has_1_s_and_holds_the_node_no_longer(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        await handshake(api)
        start = trio.current_time()
        api.signal()
        await api.gone.wait()
        assert api.exited_at - start == pytest.approx(1, abs=0.6)
        assert api.exit_code == CLEAN


async def test_placement_hears_of_the_drain_before_the_doors_close(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        first = c.game("game-1", drain=LAME)
        second = c.game("game-2")
        api = c.api()
        await c.ready(first, second, api)
        await (await c.client(api)).join(kind="lounge", new=True)
        first.signal()
        await trio.sleep(0.05)
        assert first.node.host.doors_open
        for _ in range(4):
            place = await (await c.client(api)).join(kind="lounge", new=True)
            assert place.room.startswith("game-2.")
        await trio.sleep(2)
        assert not first.node.host.doors_open


async def test_during_the_lame_duck_an_api_node_still_serves_who_comes(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(drain=LAME)
        await c.ready(game, api)
        await (await c.client(api)).join(kind="lounge")
        api.signal()
        await trio.sleep(1.9)
        client = await c.client(api)
        assert (await client.join(kind="lounge")).room
        assert api.drain.phase is Phase.DRAINING
        await trio.sleep(0.2)
        with pytest.raises(ClientError):
            await c.client(api)


async def test_seconds_left_count_to_the_cut_lame_duck_included(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(drain=LAME)
        await c.ready(game, api)
        client = await c.client(api)
        place = await client.join(kind="lounge")
        start = trio.current_time()
        api.signal()
        await trio.sleep(3)
        assert client.draining is not None
        assert (client.draining.tier, client.draining.seconds) == ("api", 15)
        await client.wait_closed()
        assert trio.current_time() - start >= 17
        await api.gone.wait()
        assert api.exit_code == CUT
        assert place.lost is not None


async def test_clients_in_rooms_of_a_draining_game_node_hear_the_seconds_left(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(drain=DrainPolicy(grace_seconds=10))
        api = c.api()
        await c.ready(game, api)
        inside, outside = await c.client(api), await c.client(api)
        await inside.join(kind="lounge")
        game.signal()
        await trio.sleep(0.1)
        assert inside.draining is not None
        assert (inside.draining.tier, inside.draining.seconds) == ("game", 7)
        assert outside.draining is None


async def test_a_join_in_flight_to_a_draining_node_is_answered_and_to_a_stopped_one_too(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        game.signal()
        with trio.fail_after(1), pytest.raises(JoinRefused) as refused:
            await client.join(kind="lounge")
        assert refused.value.retry
        await game.gone.wait()
        with trio.fail_after(1), pytest.raises(JoinRefused) as refused:
            await client.join(kind="lounge")
        assert (refused.value.code, refused.value.retry) == ("no_game_node", True)


async def test_a_client_that_joins_in_the_same_tick_as_the_signal_is_served_or_sent_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        old, new = c.api("api-1"), c.api("api-2")
        await c.ready(game, old, new)
        client = await c.client(old)
        fate: list[str] = []

        async def join(connection: Connection) -> None:
            try:
                place = await connection.join(kind="countdown", options={"seconds": 2})
                fate.append(await finished(place))
            except ConnectionLost as lost:
                fate.append(f"sent elsewhere with {lost.code}")
                await join(await c.client(new))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join, client)
            nursery.start_soon(trio.lowlevel.checkpoint)
            old.signal()
        assert fate in (["finished"], ["sent elsewhere with 1012", "finished"])
        await old.gone.wait()
        assert old.exit_code == CLEAN


async def test_a_client_whose_join_is_under_way_when_its_node_drains_is_seated_and_stays(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        client = await c.client(api)
        c.bus.faults.delay_seconds = 0.05
        async with trio.open_nursery() as nursery:
            fate: list[str] = []

            async def join() -> None:
                place = await client.join(kind="countdown", options={"seconds": 2})
                fate.append(await finished(place))

            nursery.start_soon(join)
            await trio.sleep(0.01)
            api.signal()
        assert fate == ["finished"]
        assert (await client.wait_closed()).code == 1012
        await api.gone.wait()
        assert api.exit_code == CLEAN


async def test_one_that_asks_to_join_while_it_waits_for_its_turn_is_moved_at_once(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        clients = [await c.client(api) for _ in range(10)]
        start = trio.current_time()
        api.signal()
        await trio.sleep(0.1)
        last = clients[-1]
        assert last.move is not None
        assert last.move.after > 3
        with pytest.raises(ConnectionLost) as lost:
            await last.join(kind="lounge")
        assert lost.value.code == 1012
        assert trio.current_time() - start < 0.5


async def test_with_clients_move_even_those_in_rooms_are_moved_over_the_spread(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(clients="move")
        await c.ready(game, api)
        clients = [await c.client(api) for _ in range(5)]
        for client in clients:
            await client.join(kind="lounge")
        start = trio.current_time()
        api.signal()
        for client in clients:
            assert (await client.wait_closed()).code == 1012
        await api.gone.wait()
        assert api.exited_at - start <= 5.6


async def test_1000_idle_clients_are_moved_over_exactly_the_spread_and_none_twice(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        moved = await idle_clients(c, api, 1000)
        start = trio.current_time()
        api.signal()
        await api.gone.wait()
        assert len(moved) == 1000
        offsets = sorted(at - start for at in moved)
        assert offsets[0] >= 0
        assert 4.99 <= offsets[-1] <= 5.0
        for tenth in range(50):
            window = [at for at in offsets if tenth / 10 <= at < (tenth + 1) / 10]
            assert 18 <= len(window) <= 22
        assert api.counts is not None
        assert api.counts.clients_moved == 1000
        assert api.exited_at - start <= 5.6


async def idle_clients(c: Cluster, api: ApiProcess, count: int) -> list[float]:
    """That many bare sockets; returns the list that their close frames' times go to."""
    moved: list[float] = []

    async def stay() -> None:
        stream = await api.listener.connect()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: api\r\n" + REST_OF_REQUEST)
        while data := await stream.receive_some(65536):
            if b"\x88" in data and b"\x03\xf4" in data:  # a close frame with 1012
                moved.append(trio.current_time())
                await stream.aclose()
                return

    for _ in range(count):
        c.nursery.start_soon(stay)
    with trio.fail_after(30):
        while api.clients < count:
            await trio.sleep(0.01)
    await trio.sleep(0.01)
    return moved


async def test_three_generations_drain_at_once_and_each_room_plays_to_its_end(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        for number in range(1, 5):
            c.address(f"game-{number}")
        api = c.api()
        places = []
        generations = []
        for number in range(1, 5):
            game = c.game(f"game-{number}", version=str(number))
            await c.ready(game, api)
            with trio.fail_after(5):
                while f"game-{number}" not in {node.name for node in api.node.known}:
                    await trio.sleep(0.01)
            client = await c.client(api)
            place = await client.join(kind="countdown", options={"seconds": 10}, new=True)
            assert place.room.startswith(f"game-{number}.")
            places.append(place)
            if generations:
                generations[-1].signal()
            generations.append(game)
            await trio.sleep(1)
        assert [game.drain.phase for game in generations] == [Phase.DRAINING] * 3 + [Phase.SERVING]
        assert [await finished(place) for place in places] == ["finished"] * 4
        for game in generations[:3]:
            await game.gone.wait()
            assert game.exit_code == CLEAN


async def test_new_rooms_go_to_the_newest_version_also_in_a_rollback(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        for number in range(1, 4):
            c.address(f"game-{number}")
        c.game("game-1", version="1")
        api = c.api()
        await trio.sleep(3)
        for name, version in (("game-2", "2"), ("game-3", "1-again")):
            c.game(name, version=version)
            await trio.sleep(3)
            for _ in range(3):
                place = await (await c.client(api)).join(kind="lounge", new=True)
                assert place.room.startswith(f"{name}.")


async def test_a_clock_that_jumps_by_20_s_costs_nobody_his_place(
    autojump_clock: MockClock,
) -> None:
    """A machine that slept, or a debugger: our own stall is not the others' silence."""
    async with cluster() as c:
        api, game = await c.one_of_each()
        place = await (await c.client(api)).join(kind="lounge")
        await trio.sleep(1)
        autojump_clock.jump(20)
        await trio.sleep(3)
        await place.say("hello")
        assert (await place.__anext__()).data == {"from": place.you, "said": "hello"}
        game.signal()
        await trio.sleep(1)
        autojump_clock.jump(22)
        await game.gone.wait()
        assert game.exit_code == CUT
        assert await finished(place) == "cut"


async def test_a_second_signal_during_the_lame_duck_cuts_now(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        game = c.game(drain=LAME)
        api = c.api()
        await c.ready(game, api)
        place = await (await c.client(api)).join(kind="lounge")
        start = trio.current_time()
        game.signal()
        await trio.sleep(1)
        game.signal()
        await game.gone.wait()
        assert game.exited_at - start == pytest.approx(1, abs=0.6)
        assert game.exit_code == CUT
        assert await finished(place) == "cut"


async def test_a_third_signal_changes_nothing(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        await (await c.client(api)).join(kind="lounge")
        for _ in range(5):
            game.signal()
        await game.gone.wait()
        game.signal()
        assert game.exit_code == CUT


@pytest.mark.parametrize("farewell", [0.0, 0.3, 1.0])
async def test_a_short_farewell_cuts_nobody_who_could_be_moved_before(
    farewell: float, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(drain=DrainPolicy(grace_seconds=4, farewell_seconds=farewell))
        await c.ready(game, api)
        for _ in range(20):
            await c.client(api)
        api.signal()
        await api.gone.wait()
        assert api.exit_code == CLEAN
        assert api.counts is not None
        assert api.counts.clients_moved == 20


async def test_a_client_that_asks_for_a_gone_room_again_and_again_does_not_hold_a_drain(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)

        async def ask() -> None:
            while True:
                with contextlib.suppress(JoinRefused):
                    await client.join(room="game-1.gone")
                await trio.sleep(0.25)

        c.nursery.start_soon(ask)
        await trio.sleep(1)
        start = trio.current_time()
        game.signal()
        await game.gone.wait()
        assert game.exited_at - start <= 0.6
        assert game.exit_code == CLEAN


async def test_inputs_to_the_room_before_do_not_reach_the_one_after_a_regroup(
    autojump_clock: MockClock,
) -> None:
    """They crossed the second joined; so did a ``got`` about the room before."""
    async with cluster() as c:
        first, second = c.game("game-1"), c.game("game-2")
        api = c.api()
        await c.ready(first, second, api)
        stream = await api.listener.connect()
        bob = await c.stack.enter_async_context(websocket_over(stream))
        await bob.get_message()
        await bob.send_message('{"t":"join","kind":"tictactoe"}')
        before = json.loads(await bob.get_message())
        first.signal()
        again = json.loads(await bob.get_message())
        while again["t"] != "joined":
            again = json.loads(await bob.get_message())
        assert again["room"] != before["room"]
        room = before["room"]
        await bob.send_message(f'{{"t":"got","seq":7,"room":"{room}"}}')
        for n in (1, 5, 6, 7):
            await bob.send_message(f'{{"t":"say","n":{n},"d":{{"cell":0}}}}')
        await trio.sleep(0.1)
        ann = await (await c.client(api)).join(kind="tictactoe")
        assert ann.room == again["room"]
        await bob.send_message('{"t":"got","seq":0}')
        await bob.send_message('{"t":"say","n":1,"d":{"cell":8}}')
        boards = [(await ann.__anext__()).data for _ in range(2)]
        assert [board["board"] for board in boards] == ["---------", "--------X"]


async def test_one_client_cannot_open_rooms_without_measure(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        refused = 0
        for _ in range(300):
            try:
                place = await client.join(kind="countdown", new=True)
                await place.leave()
            except JoinRefused as refusal:
                refused += refusal.code == "too_many" and refusal.retry
        assert refused >= 150
        assert game.rooms <= 150
        await trio.sleep(1)
        assert (await client.join(kind="lounge")).room


async def test_a_drain_tells_its_progress_every_5_s_and_at_each_tenth(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(drain=DrainPolicy(grace_seconds=40))
        api = c.api()
        await c.ready(game, api)
        for seconds in range(2, 12):
            await (await c.client(api)).join(
                kind="countdown", options={"seconds": seconds}, new=True
            )
        start = trio.current_time()
        with capture_logs() as logs:
            game.signal()
            await game.gone.wait()
        told = [line for line in logs if line["event"] == "drain.progress"]
        assert [line["left"] for line in told][:9] == list(range(9, 0, -1))
        assert trio.current_time() - start == pytest.approx(11, abs=0.6)

        last = c.game("game-9", drain=DrainPolicy(grace_seconds=23))
        other = c.api("api-9")
        await c.ready(last, other)
        await (await c.client(other)).join(kind="lounge")
        with capture_logs() as logs:
            last.signal()
            await last.gone.wait()
        told = [line for line in logs if line["event"] == "drain.progress"]
        assert [line["seconds_left"] for line in told] == [15, 10, 5]
        assert told[0]["why"] == [f"lounge {line_room(told[0])}, 5 s old, 1 player"]


def line_room(line: MutableMapping[str, Any]) -> str:
    return str(line["why"][0].split()[1].rstrip(","))
