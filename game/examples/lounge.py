"""A lounge: people come, talk and go. It has no end of its own, as a drain will find.

It survives without a state: its players and its messages are all that there is of it.
"""

from __future__ import annotations

from lastcall import Left, Room, Said, room


@room("lounge", seats=50, survives=True)
async def lounge(table: Room) -> None:
    """Repeats what each one says to all, until the last one has left."""
    async for event in table:
        match event:
            case Said(player, said):
                table.broadcast({"from": player, "said": said})
            case Left() if not table.players:
                return
