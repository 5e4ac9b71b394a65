"""One room, which imports the other packages of this project."""

from api import GREETING
from bench import WORDS
from lastcall import Event, Joined, Left, PlayerId, Room, Said, room
from rooms import SEATS


@room("toast", seats=SEATS, inputs=str)
async def toast(table: Room) -> dict[PlayerId, int]:
    """Repeats each input; ends after a player's third input, or when all players have left."""
    counts: dict[PlayerId, int] = {}
    async for event in table:
        if text := message_for(table, event):
            table.broadcast(text)
        match event:
            case Said(player):
                counts[player] = counts.get(player, 0) + 1
                if counts[player] == WORDS:
                    break
            case Left() if not table.players:
                break
    return counts


def message_for(table: Room, event: Event) -> str | None:
    """The message that an event sends to all players."""
    match event:
        case Joined(player):
            return f"{GREETING}, {table.name_of(player)}"
        case Said(player, text):
            return f"{table.name_of(player)}: {text}"
    return None
