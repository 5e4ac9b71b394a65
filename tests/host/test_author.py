"""Odd values of authors: values that are not players, and errors whose text raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall import Joined, Room, room
from lastcall.testing import play
from lastcall.wire import nodes
from tests.host.host_harness import open_host

NOT_PLAYERS = [None, 0, b"ann", ("ann",), object()]
CALLS: dict[str, Callable[[Room, Any], object]] = {
    "send": lambda table, player: table.send(player, "secret"),
    "kick": lambda table, player: table.kick(player),
    "name_of": lambda table, player: table.name_of(player),
}


@pytest.mark.parametrize("value", NOT_PLAYERS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", CALLS)
async def test_what_is_not_a_player_is_refused_and_reaches_nobody(name: str, value: object) -> None:
    @room("careless", seats=2)
    async def careless(table: Room) -> None:
        async for event in table:
            if isinstance(event, Joined):
                with pytest.raises(TypeError, match="player's id"):
                    CALLS[name](table, value)

    async with play(careless) as table:
        table.join("ann")
        table.join("bob")
        await wait_all_tasks_blocked()
        assert (table.heard, table.outs) == ([], {})
        assert table.reason is None


class Unshowable(msgspec.ValidationError):
    def __str__(self) -> NoReturn:
        raise SystemExit(1)


@pytest.mark.parametrize(
    "error", [Unshowable(), msgspec.ValidationError("x" * 1_000_000)], ids=["no text", "1 MB"]
)
async def test_the_text_of_an_authors_type_can_neither_harm_the_node_nor_flood_a_client(
    error: Exception,
) -> None:
    class Picky(msgspec.Struct):
        def __post_init__(self) -> None:
            raise error

    @room("picky", seats=1, inputs=Picky)
    async def picky(table: Room) -> None:
        await trio.sleep_forever()

    async with open_host(picky) as harness:
        harness.say(harness.join(picky), 1, {})
        [bad] = harness.all_of(nodes.BadInput)
        assert (bad.code, len(bad.message) <= 600) == ("bad_input", True)


async def test_a_room_that_lets_others_run_may_send_and_start_as_much_as_it_likes() -> None:
    @room("patient", seats=1)
    async def patient(table: Room) -> str:
        for _ in range(4):
            for _ in range(10_000):
                table.broadcast("hello")
            await trio.lowlevel.checkpoint()
            for _ in range(9_000):
                table.nursery.start_soon(trio.lowlevel.checkpoint)
            await trio.lowlevel.checkpoint()
        return "done"

    async with play(patient) as table:
        table.join("ann")
        assert await table.ended() == "done"
        assert len(table.heard) == 40_000
