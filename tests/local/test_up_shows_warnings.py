"""The warnings of real nodes in the terminal of ``lastcall up``."""

from __future__ import annotations

import re
from io import StringIO

import pytest
import trio
from rich.console import Console

from lastcall.bus.address import HostPort
from lastcall.client import connect
from lastcall.local.plan import Plan
from lastcall.local.up import Up

pytestmark = pytest.mark.e2e

FREE = HostPort("127.0.0.1", 0)
ROOMS = """
import logging, time, warnings
from lastcall import room

@room("careless", seats=1)
async def careless(table):
    for number in range(100):
        logging.getLogger("mine").warning("round %d", number)
    print("a print")
    warnings.warn("this room is careless")
    time.sleep(0.1)
"""


async def test_what_a_room_does_wrong_is_shown_with_the_name_of_its_node(monkeypatch, tmp_path):
    (tmp_path / "careless_rooms.py").write_text(ROOMS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    plan = Plan(apis=1, games=1, client=FREE, admin=FREE, rooms="careless_rooms")
    output = StringIO()
    up = Up(plan, bots=0, seconds=None, console=Console(file=output, width=200))
    stops, requests = trio.open_memory_channel(9)

    async def play():
        while not (found := re.search(r"Clients connect to (\S+);", output.getvalue())):
            await trio.sleep(0.01)
        async with connect(found[1], kind="careless") as place:
            async for _ in place:
                pass
        await stops.send(2)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play)
            assert await up.run(requests) == 0
    lines = output.getvalue().splitlines()
    for beginning in (
        "game-1: warning: round 0 logger=mine",
        "game-1: a print",
        f"game-1: warning: {tmp_path}/careless_rooms.py:10: UserWarning: this room is careless",
        "game-1: warning: room.slow_step kind=careless room=game-1.",
    ):
        assert [line for line in lines if line.startswith(beginning)], beginning
    (not_shown,) = (line for line in lines if "are not shown" in line)
    assert not_shown.startswith("game-1: 80 more logged warnings within 10 s are not shown:")
