"""Mistakes that a type checker must find: an ``ignore`` without an error is itself an error."""

from lastcall import Joined, PlayerId, Room, room
from lastcall.client import connect


@room("mistaken", seats="two")  # type: ignore[arg-type]
async def mistaken(table: Room) -> None:
    """Passes a number where a player is required."""
    table.kick(5)  # type: ignore[arg-type]
    async for event in table:
        if isinstance(event, Joined):
            player: PlayerId = event.player
            table.name_of(player).nothing  # type: ignore[attr-defined]  # noqa: B018


connect(5)  # type: ignore[arg-type]
