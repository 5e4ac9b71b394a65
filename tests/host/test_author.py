"""An author's value that is not a player reaches nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

from lastcall import Joined, Room, room
from lastcall.testing import play

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
