"""In any window of time, a session passes on at most a burst, and joins and frames at a rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import pytest
import trio
import trio.testing

from lastcall.limits import Limits, Rate
from lastcall.reasons import ErrorCode

PAUSES = [(0.001,), (0.19,), (0.2,), (0.001, 0.001, 0.001, 0.7), (0.0, 0.0, 0.0, 0.0, 2.0)]


def check_every_window(times: Sequence[float], burst: int, per_second: float) -> None:
    for index, begin in enumerate(times):
        for count, end in enumerate(times[index:], 1):
            assert count <= burst + (end - begin) * per_second + 1e-6


@pytest.mark.parametrize("pauses", PAUSES)
async def test_joins_are_limited_in_every_window(autojump_clock, make_house, pauses) -> None:
    house = make_house(limits=Limits(joins_per_client=Rate(5, 5)))
    house.games.hold = True
    client = await house.client()
    joined_at, refused = [], 0
    for pause in islice(cycle(pauses), 300):
        await client.say({"t": "join", "kind": "den"})
        await trio.testing.wait_all_tasks_blocked()
        if house.games.kept:
            joined_at.append(trio.current_time())
            house.games.kept.pop()[0].refused(ErrorCode.FULL, "no")
        refused += (await client.next())["code"] == "too_many"
        await trio.sleep(pause)
    assert len(joined_at) + refused == 300
    assert len(joined_at) >= 5
    check_every_window(joined_at, 5, 5)


@pytest.mark.parametrize("pauses", PAUSES)
async def test_frames_are_limited_in_every_window(autojump_clock, make_house, pauses) -> None:
    """The first frame above the limit closes the socket."""
    house = make_house(limits=Limits(inputs=Rate(5, 5)))
    client = await house.client()
    session = house.sessions[0]
    heard_at = []
    for pause in islice(cycle(pauses), 300):
        now = trio.current_time()
        if not session.hear('{"t":"got","seq":0}', now) or session.connection.close_code:
            break
        heard_at.append(now)
        await trio.sleep(pause)
    assert len(heard_at) >= 5
    check_every_window(heard_at, 5, 5)
    if len(heard_at) < 300:
        assert (await client.end())[1] == 4101
