"""What a type checker must see: an ``ignore`` that it does not need is an error, too."""

from lastcall import Joined, PlayerId, Room, room
from lastcall.client import connect


@room("mistaken", seats="two")  # type: ignore[arg-type]
async def mistaken(table: Room) -> None:
    """Takes a number for a player."""
    table.kick(5)  # type: ignore[arg-type]
    async for event in table:
        if isinstance(event, Joined):
            player: PlayerId = event.player
            table.name_of(player).nothing  # type: ignore[attr-defined]  # noqa: B018


connect(5)  # type: ignore[arg-type]
