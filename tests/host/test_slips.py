"""Whatever a room's code does wrong ends that room alone, as crashed."""

from __future__ import annotations

import gc

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Room, room
from lastcall.reasons import EndReason
from lastcall.runtime import error_text
from lastcall.wire import nodes
from tests.host.host_harness import echo, open_host
from tests.host.slips import SLIPS


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", SLIPS)
async def test_a_slip_ends_its_room_alone(name: str, autojump_clock: MockClock) -> None:
    @room("slipping", seats=1)
    async def slipping(table: Room) -> object:
        return await SLIPS[name](table)

    async with open_host(slipping, echo) as harness:
        ann, bob = harness.join(echo), harness.join(slipping)
        with capture_logs() as logs:
            await trio.sleep(2)
            gc.collect()
        harness.say(ann, 1, "still here")
        await wait_all_tasks_blocked()
        others = [message for message in harness.all_of(nodes.Message) if message.room == ann.room]
        assert [message.body for message in others] == [b'"still here"']
        assert harness.all_of(nodes.Ended) == [nodes.Ended(bob.room, 0, "crashed")]
        assert harness.host.running.ends[EndReason.CRASHED] == 1
        crashes = [log["exc_info"] for log in logs if log["event"] == "room.crashed"]
        assert crashes
        assert all(len(error_text.render(crash)) < 11_000 for crash in crashes)
