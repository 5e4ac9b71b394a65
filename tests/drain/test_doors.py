"""A draining node closes its doors: half-open handshakes, and the lame duck before that."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from lastcall.core.lifecycle import Phase
from lastcall.errors import ClientError
from lastcall.policy import DrainPolicy
from tests.drain.sockets import REST_OF_REQUEST, begin_handshake, read_answer
from tests.harness.cluster import CLEAN, CUT, cluster, finished

pytestmark = pytest.mark.usefixtures("schedule")

LAME = DrainPolicy(grace_seconds=20, lame_duck_seconds=2, farewell_seconds=3)


async def test_a_half_open_handshake_gets_503_with_retry_after(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        await (await c.client(api)).join(kind="lounge")
        stream = await begin_handshake(api)
        api.signal()
        await trio.sleep(0.1)
        await stream.send_all(REST_OF_REQUEST)
        head = await read_answer(stream)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in head.lower()


async def test_a_half_open_handshake_delays_the_exit_by_at_most_1_s(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        api, _ = await c.one_of_each()
        await begin_handshake(api)
        start = trio.current_time()
        api.signal()
        await api.gone.wait()
        assert api.exited_at - start == pytest.approx(1, abs=0.6)
        assert api.exit_code == CLEAN


async def test_placement_avoids_a_draining_node_before_its_doors_close(
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
        assert first.node.host.matchmaker.doors_open
        for _ in range(4):
            place = await (await c.client(api)).join(kind="lounge", new=True)
            assert place.room.startswith("game-2.")
        await trio.sleep(2)
        assert not first.node.host.matchmaker.doors_open


async def test_during_the_lame_duck_an_api_node_still_accepts_clients(
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


async def test_the_seconds_left_count_to_the_cut_and_include_the_lame_duck(
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
        assert api.exit_code == CLEAN
        assert place.lost is not None


async def test_a_second_signal_during_the_lame_duck_cuts_at_once(autojump_clock: MockClock) -> None:
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
