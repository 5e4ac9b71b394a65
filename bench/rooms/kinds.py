"""The rooms that a bench plays in: a lounge that keeps a ledger of its own, a relay, and a sink.

Loaded by the game nodes of a bench with ``--rooms bench.rooms``.
"""

from __future__ import annotations

import msgspec

from lastcall import Left, Room, Said, room
from lastcall.bench.rooms.ledger import Book, Tally, is_whispered

__all__ = ["KIND", "RELAY", "SINK", "TALLY", "Word", "lounge", "relay", "sink"]

KIND = "ledger-lounge"
RELAY = "bench-relay"
SINK = "bench-sink"
SEATS = 5_000
TALLY = "tally"


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the room says: to all, what ``from`` has said, to one, or its tally to who asks."""

    said: int = 0
    speaker: str = msgspec.field(name="from", default="")
    to: str = ""
    tally: Tally | None = None


@room(KIND, seats=50, inputs=int | str)
async def lounge(table: Room) -> None:
    """Repeats each number to all, some to the speaker too, and tells its tally to who asks."""
    book = Book()
    async for event in table:
        book.events[type(event).__name__] += 1
        match event:
            case Said(player, int(value)):
                book.had(player, value)
                table.broadcast(Word(value, speaker=player))
                if is_whispered(value):
                    table.send(player, Word(value, to=player))
            case Said(player, word) if word == TALLY:
                table.send(player, Word(tally=book.tally()))
            case Left() if not table.players:
                return


@room(RELAY, seats=SEATS, inputs=str)
async def relay(table: Room) -> None:
    """Repeats each text to all; decodes and encodes it, as rooms do."""
    async for event in table:
        match event:
            case Said(_, text):
                table.broadcast(text)
            case Left() if not table.players:
                return


@room(SINK, seats=SEATS, inputs=str)
async def sink(table: Room) -> None:
    """Hears everything and says nothing."""
    async for event in table:
        if isinstance(event, Left) and not table.players:
            return
