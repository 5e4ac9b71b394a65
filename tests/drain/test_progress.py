"""A drain reports its progress while it waits."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from lastcall.policy import DrainPolicy
from tests.harness import orders
from tests.harness.cluster import cluster

pytestmark = pytest.mark.usefixtures("schedule")


@orders(3)
async def test_a_drain_reports_its_progress_at_each_tenth(
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
        reports = [line for line in logs if line["event"] == "drain.progress"]
        assert [line["left"] for line in reports][:9] == list(range(9, 0, -1))
        assert trio.current_time() - start == pytest.approx(11, abs=0.6)


@orders(3)
async def test_a_drain_reports_every_5_s_why_it_waits(
    autojump_clock: MockClock,
) -> None:
    async with cluster() as c:
        game = c.game(drain=DrainPolicy(grace_seconds=23))
        api = c.api()
        await c.ready(game, api)
        place = await (await c.client(api)).join(kind="lounge")
        with capture_logs() as logs:
            game.signal()
            await game.gone.wait()
        reports = [line for line in logs if line["event"] == "drain.progress"]
        assert [line["seconds_left"] for line in reports] == [15, 10, 5]
        assert reports[0]["why"] == [f"lounge {place.room}, 5 s old, 1 player"]
