"""A draining api node moves its clients: which of them, when, and how evenly."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.client import Connection
from lastcall.errors import ConnectionLost
from lastcall.policy import DrainPolicy
from tests.drain.sockets import REST_OF_REQUEST
from tests.harness import orders
from tests.harness.cluster import CLEAN, ApiProcess, Cluster, cluster, finished, soon

pytestmark = pytest.mark.usefixtures("schedule")

SHORT = DrainPolicy(grace_seconds=10, farewell_seconds=3)


async def test_idle_clients_are_moved_over_the_spread_and_the_node_exits_after_the_last(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        clients = [await c.client(api) for _ in range(20)]
        start = trio.current_time()
        api.signal()
        lost: list[ConnectionLost] = [await client.wait_closed() for client in clients]
        assert {loss.code for loss in lost} == {1012}
        await api.gone.wait()
        assert 4 <= api.exited_at - start <= 5.6
        assert api.exit_code == CLEAN
        assert api.counts is not None
        assert (api.counts.clients_moved, api.counts.clients_cut) == (20, 0)


async def test_a_client_in_a_room_stays_until_the_room_ends_and_is_then_moved(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        client = await c.client(api)
        place = await client.join(kind="countdown", options={"seconds": 6})
        start = trio.current_time()
        api.signal()
        async for _ in place:
            pass
        assert (await client.wait_closed()).code == 1012
        await api.gone.wait()
        assert api.exited_at - start == soon(6)
        assert api.exit_code == CLEAN
        assert api.counts is not None
        assert api.counts.clients_moved == 1


async def test_a_client_in_a_room_at_the_deadline_is_moved_within_the_farewell(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(drain=SHORT)
        await c.ready(game, api)
        client = await c.client(api)
        await client.join(kind="lounge")
        start = trio.current_time()
        api.signal()
        assert (await client.wait_closed()).code == 1012
        await api.gone.wait()
        assert 7 <= api.exited_at - start <= 10
        assert api.exit_code == CLEAN
        assert api.counts is not None
        assert (api.counts.clients_moved, api.counts.clients_cut) == (1, 0)


async def test_clients_in_rooms_at_the_deadline_are_moved_evenly_over_half_the_farewell(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(drain=SHORT)
        await c.ready(game, api)
        clients = [await c.client(api) for _ in range(6)]
        for client in clients:
            await client.join(kind="lounge")
        closed_at: list[float] = []
        start = trio.current_time()

        async def wait_for_close(client: Connection) -> None:
            assert (await client.wait_closed()).code == 1012
            closed_at.append(trio.current_time() - start)

        api.signal()
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(wait_for_close, client)
        assert closed_at == pytest.approx([7, 7.25, 7.5, 7.75, 8, 8.25], abs=0.05)
        await api.gone.wait()
        assert api.exit_code == CLEAN


async def test_a_client_that_joins_at_the_instant_of_the_signal_is_seated_or_moved(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game()
        old, new = c.api("api-1"), c.api("api-2")
        await c.ready(game, old, new)
        client = await c.client(old)
        outcomes: list[str] = []

        async def join(connection: Connection) -> None:
            try:
                place = await connection.join(kind="countdown", options={"seconds": 2})
                outcomes.append(await finished(place))
            except ConnectionLost as lost:
                outcomes.append(f"moved with {lost.code}")
                await join(await c.client(new))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join, client)
            nursery.start_soon(trio.lowlevel.checkpoint)
            old.signal()
        assert outcomes in (["finished"], ["moved with 1012", "finished"])
        await old.gone.wait()
        assert old.exit_code == CLEAN


async def test_a_client_whose_join_is_in_flight_when_its_node_drains_is_seated_and_stays(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        client = await c.client(api)
        c.bus.faults.delay_seconds = 0.05
        async with trio.open_nursery() as nursery:
            outcomes: list[str] = []

            async def join() -> None:
                place = await client.join(kind="countdown", options={"seconds": 6})
                outcomes.append(await finished(place))

            nursery.start_soon(join)
            await trio.sleep(0.01)
            api.signal()
        assert outcomes == ["finished"]  # after 6 s, when all idle clients are moved already
        assert (await client.wait_closed()).code == 1012
        await api.gone.wait()
        assert api.exit_code == CLEAN


async def test_an_idle_client_that_joins_before_its_turn_to_move_is_moved_at_once(
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


async def test_with_clients_move_clients_in_rooms_are_also_moved_over_the_spread(
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


@pytest.mark.parametrize("farewell", [0.0, 0.3, 1.0])
async def test_with_a_short_farewell_all_idle_clients_are_still_moved(
    farewell: float, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        game = c.game()
        api = c.api(drain=DrainPolicy(grace_seconds=4, farewell_seconds=farewell))
        await c.ready(game, api)
        for _ in range(8):
            await c.client(api)
        api.signal()
        await api.gone.wait()
        assert api.exit_code == CLEAN
        assert api.counts is not None
        assert api.counts.clients_moved == 8


@orders(1)
async def test_1000_idle_clients_are_each_moved_once_evenly_over_the_spread(
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
    """Connects ``count`` bare sockets; returns a list that gets the time of each close frame."""
    moved: list[float] = []

    async def wait_for_close() -> None:
        stream = await api.listener.connect()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: api\r\n" + REST_OF_REQUEST)
        while data := await stream.receive_some(65536):
            if b"\x88" in data and b"\x03\xf4" in data:  # a close frame with 1012
                moved.append(trio.current_time())
                await stream.aclose()
                return

    for _ in range(count):
        c.nursery.start_soon(wait_for_close)
    with trio.fail_after(30):
        while api.clients < count:
            await trio.sleep(0.01)
    await trio.sleep(0.01)
    return moved
