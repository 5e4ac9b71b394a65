"""A node drains on time: a whole cluster in virtual time."""

from __future__ import annotations

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Draining, Room, room
from lastcall.errors import ConnectFailed, JoinRefused
from lastcall.ids import KindName
from lastcall.links.link_counts import Loss
from lastcall.policy import DrainPolicy
from lastcall.runtime.drain import Drain
from lastcall.wire.reports import Counts
from tests.harness.cluster import CLEAN, CUT, EXAMPLES, cluster, soon
from tests.harness.player import Player

pytestmark = pytest.mark.usefixtures("schedule")

SHORT = DrainPolicy(grace_seconds=10, farewell_seconds=3)


async def test_a_node_without_work_exits_at_once_with_0(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        start = trio.current_time()
        game.signal()
        api.signal()
        await game.gone.wait()
        await api.gone.wait()
        assert (game.exit_code, api.exit_code) == (CLEAN, CLEAN)
        assert trio.current_time() - start < 0.6


async def test_a_node_that_gets_the_signal_while_it_starts_exits(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        game = c.game()
        game.signal()
        await game.gone.wait()
        assert game.exit_code == CLEAN
        assert not game.up.is_set()


class NeverUp:
    """A tier whose start hangs."""

    async def start(self, _services: trio.Nursery) -> None:
        await trio.sleep_forever()

    def counts(self) -> Counts:
        return Counts()


async def test_a_start_that_hangs_is_stopped_at_once(autojump_clock: MockClock) -> None:
    drain = Drain(DrainPolicy(), end_process=lambda _: None)
    codes: list[int] = []

    async def run() -> None:
        codes.append(await drain.run(NeverUp()))  # type: ignore[arg-type]

    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await wait_all_tasks_blocked()
            drain.stop()
    assert codes == [CLEAN]


async def test_a_room_that_needs_9_s_more_survives_a_grace_of_25_and_the_node_exits_at_9(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        place = await client.join(kind="countdown", options={"seconds": 10})
        await trio.sleep(1)
        start = trio.current_time()
        game.signal()
        messages = [message.data async for message in place]
        assert messages[-1] == {"left": 0}
        assert place.ended is not None
        assert place.ended.reason == "finished"
        await game.gone.wait()
        assert game.exited_at - start == soon(9)
        assert game.exit_code == CLEAN
        assert game.counts is not None
        assert (game.counts.rooms_finished, game.counts.rooms_cut) == (1, 0)


async def test_a_room_that_takes_too_long_is_cut_at_grace_minus_farewell_and_finally_runs(
    autojump_clock: MockClock,
) -> None:
    finally_at: list[float] = []

    @room("endless", seats=1)
    async def endless(_table: Room) -> None:
        try:
            await trio.sleep_forever()
        finally:
            finally_at.append(trio.current_time())
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            finally_at.append(trio.current_time())

    async with cluster() as c:
        api, game = await c.one_of_each(kinds={KindName("endless"): endless}, drain=SHORT)
        client = await c.client(api)
        place = await client.join(kind="endless")
        start = trio.current_time()
        game.signal()
        async for _ in place:
            pass
        assert place.ended is not None
        assert place.ended.reason == "cut"
        await game.gone.wait()
        assert [at - start for at in finally_at] == [7, 8]
        assert game.exited_at - start == soon(8)
        assert game.exit_code == CUT
        assert game.counts is not None
        assert game.counts.rooms_cut == 1


async def test_a_room_that_shields_itself_does_not_delay_the_exit_beyond_grace(
    autojump_clock: MockClock,
) -> None:
    @room("stubborn", seats=1)
    async def stubborn(_table: Room) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1000)

    async with cluster() as c:
        api, game = await c.one_of_each(kinds={KindName("stubborn"): stubborn}, drain=SHORT)
        await (await c.client(api)).join(kind="stubborn")
        start = trio.current_time()
        game.signal()
        await game.gone.wait()
        assert 9.8 <= game.exited_at - start <= 10
        assert game.exit_code == CUT
        c.nursery.cancel_scope.cancel()


async def test_a_room_gets_the_seconds_left(autojump_clock: MockClock) -> None:
    received: list[float] = []

    @room("listener", seats=1)
    async def listener(table: Room) -> None:
        async for event in table:
            if isinstance(event, Draining):
                received.append(event.seconds)
                assert table.seconds_left == event.seconds
                return

    async with cluster() as c:
        api, game = await c.one_of_each(kinds={KindName("listener"): listener}, drain=SHORT)
        await (await c.client(api)).join(kind="listener")
        game.signal()
        await game.gone.wait()
        assert received == [7]
        assert game.exit_code == CLEAN


async def test_the_second_signal_cuts_at_once(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        place = await (await c.client(api)).join(kind="lounge")
        start = trio.current_time()
        game.signal()
        await trio.sleep(2)
        game.signal()
        async for _ in place:
            pass
        await game.gone.wait()
        assert game.exited_at - start == soon(2)
        assert game.exit_code == CUT
        assert place.ended is not None
        assert place.ended.reason == "cut"


async def test_a_join_during_the_drain_of_one_game_node_gets_a_seat_on_another(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, first, _ = await c.two_games()
        staying = await (await c.client(api)).join(kind="lounge")
        assert staying.room.startswith("game-1.")
        first.signal()
        place = await (await c.client(api)).join(kind="lounge")
        assert place.room.startswith("game-2.")


async def test_a_draining_node_admits_a_join_by_room_id(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        place = await (await c.client(api)).join(kind="lounge")
        game.signal()
        await trio.sleep(1)
        friend = await (await c.client(api)).join(room=place.room)
        assert friend.room == place.room


async def test_a_join_without_a_serving_game_node_gets_no_game_node_within_1_s(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        await (await c.client(api)).join(kind="lounge")
        game.signal()
        start = trio.current_time()
        with pytest.raises(JoinRefused) as refused:
            await client.join(kind="lounge")
        assert refused.value.code == "no_game_node"
        assert refused.value.retry
        assert trio.current_time() - start <= 1


async def test_a_connection_to_a_draining_api_node_is_refused(autojump_clock: MockClock) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        await (await c.client(api)).join(kind="lounge")
        api.signal()
        await trio.sleep(0.1)
        with pytest.raises(ConnectFailed, match="nobody listens"):
            await c.client(api)


async def test_both_tiers_drain_at_the_same_time_and_no_match_is_cut(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        client = await c.client(api)
        place = await client.join(kind="countdown", options={"seconds": 5})
        start = trio.current_time()
        api.signal()
        game.signal()
        async for _ in place:
            pass
        assert place.ended is not None
        assert place.ended.reason == "finished"
        await api.gone.wait()
        await game.gone.wait()
        assert (api.exit_code, game.exit_code) == (CLEAN, CLEAN)
        assert game.exited_at - start == soon(5)


async def test_a_game_node_does_not_exit_before_the_end_of_its_room_is_confirmed(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, game = await c.one_of_each()
        place = await (await c.client(api)).join(kind="countdown", options={"seconds": 3})
        game.signal()
        await trio.sleep(2.5)
        c.bus.faults.drop = 1.0
        await trio.sleep(1.5)
        assert not game.gone.is_set()
        c.bus.faults.drop = 0.0
        async for _ in place:
            pass
        assert place.ended is not None
        assert place.ended.reason == "finished"
        await game.gone.wait()
        assert game.exit_code == CLEAN


async def test_clients_of_a_killed_game_node_get_node_lost_within_4_s_and_can_join_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, first, _ = await c.two_games()
        client = await c.client(api)
        place = await client.join(kind="lounge")
        start = trio.current_time()
        first.kill()
        async for _ in place:
            pass
        assert place.ended is not None
        assert place.ended.reason == "node_lost"
        assert trio.current_time() - start <= 4
        again = await client.join(kind="lounge")
        assert again.room.startswith("game-2.")


async def test_a_room_that_crashes_during_the_drain_does_not_end_the_others(
    autojump_clock: MockClock,
) -> None:
    @room("bomb", seats=1)
    async def bomb(_table: Room) -> None:
        await trio.sleep(2)
        raise RuntimeError("boom")

    kinds = {**EXAMPLES, KindName("bomb"): bomb}
    async with cluster() as c:
        api, game = await c.one_of_each(kinds=kinds)
        doomed = await (await c.client(api)).join(kind="bomb")
        place = await (await c.client(api)).join(kind="countdown", options={"seconds": 5})
        game.signal()
        async for _ in doomed:
            pass
        async for _ in place:
            pass
        assert doomed.ended is not None
        assert place.ended is not None
        assert (doomed.ended.reason, place.ended.reason) == ("crashed", "finished")
        await game.gone.wait()
        assert game.exit_code == CLEAN


async def test_after_the_second_signal_a_room_that_shields_itself_delays_the_exit_by_the_farewell(
    autojump_clock: MockClock,
) -> None:
    @room("stubborn", seats=1)
    async def stubborn(_table: Room) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1000)

    async with cluster() as c:
        api, game = await c.one_of_each(kinds={KindName("stubborn"): stubborn})
        await (await c.client(api)).join(kind="stubborn")
        start = trio.current_time()
        game.signal()
        await trio.sleep(2)
        game.signal()
        await game.gone.wait()
        assert 4.8 <= game.exited_at - start <= 5
        assert game.exit_code == CUT
        c.nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seats", [0, 1])
async def test_each_api_node_hears_that_a_game_node_has_stopped_before_it_is_gone(
    seats: int, autojump_clock: MockClock
) -> None:
    async with cluster() as c:
        with structlog.testing.capture_logs() as logs:
            game, one, two = c.game(drain=SHORT), c.api("api-1"), c.api("api-2")
            await c.ready(one, two)
            if seats:
                await Player(c.nursery).join(one, kind="lounge")
            await trio.sleep(2)
            game.signal()
            await game.gone.wait()
            await trio.sleep(2)
        downs = [(each["game"], each["loss"]) for each in logs if each["event"] == "link.down"]
        assert downs == [("game-1", Loss.FAREWELL)] * 2
