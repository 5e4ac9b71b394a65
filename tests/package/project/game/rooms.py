"""One kind of room. It needs all of this project's own packages."""

from api import GREETING
from bench import WORDS
from lastcall import Event, Joined, Left, PlayerId, Room, Said, room
from rooms import SEATS


@room("toast", seats=SEATS, inputs=str)
async def toast(table: Room) -> dict[PlayerId, int]:
    """Repeats what is said; ends when somebody has said enough, or nobody is left."""
    spoken: dict[PlayerId, int] = {}
    async for event in table:
        if text := line(table, event):
            table.broadcast(text)
        match event:
            case Said(player):
                spoken[player] = spoken.get(player, 0) + 1
                if spoken[player] == WORDS:
                    break
            case Left() if not table.players:
                break
    return spoken


def line(table: Room, event: Event) -> str | None:
    """What the players hear of it."""
    match event:
        case Joined(player):
            return f"{GREETING}, {table.name_of(player)}"
        case Said(player, word):
            return f"{table.name_of(player)}: {word}"
    return None
