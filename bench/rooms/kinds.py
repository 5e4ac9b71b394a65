"""The rooms of a bench: a lounge that keeps a ledger, a relay, and a sink.

The game nodes of a bench load them with ``--rooms lastcall.bench.rooms``.
"""

from __future__ import annotations

import msgspec

from lastcall import Left, Room, Said, room
from lastcall.bench.rooms.ledger import RoomLedger, Tally, is_whispered

KIND = "ledger-lounge"
SURVIVOR = "ledger-survivor"
RELAY = "bench-relay"
SURVIVING_RELAY = "bench-surviving-relay"
SINK = "bench-sink"
SEATS = 5_000
TALLY = "tally"


class RoomMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message of the lounge: an input of ``from``, the same as a whisper ``to`` its speaker, or
    the tally for the player who asked.
    """

    said: int = 0
    speaker: str = msgspec.field(name="from", default="")
    to: str = ""
    tally: Tally | None = None


@room(KIND, seats=50, inputs=int | str, state=RoomLedger, moves="at_once")
async def lounge(table: Room[RoomLedger]) -> None:
    """Repeats each number to all, some to the speaker as well, and sends its tally when asked."""
    await _repeat(table)


@room(SURVIVOR, seats=50, inputs=int | str, state=RoomLedger, survives=True)
async def survivor(table: Room[RoomLedger]) -> None:
    """The same lounge; it outlives its node."""
    await _repeat(table)


async def _repeat(table: Room[RoomLedger]) -> None:
    ledger = table.state
    async for event in table:
        ledger.note(type(event).__name__)
        match event:
            case Said(player, int(value)):
                ledger.record(player, value)
                table.broadcast(RoomMessage(value, speaker=player))
                if is_whispered(value):
                    table.send(player, RoomMessage(value, to=player))
            case Said(player, text) if text == TALLY:
                table.send(player, RoomMessage(tally=ledger.tally()))
            case Left() if not table.players:
                return


@room(RELAY, seats=SEATS, inputs=str)
async def relay(table: Room) -> None:
    """Repeats each text to all, decoded and encoded as in any room."""
    async for event in table:
        match event:
            case Said(_, text):
                table.broadcast(text)
            case Left() if not table.players:
                return


surviving_relay = room(SURVIVING_RELAY, seats=SEATS, inputs=str, survives=True)(relay.function)
"""The same relay; it outlives its node."""


@room(SINK, seats=SEATS, inputs=str)
async def sink(table: Room) -> None:
    """Reads everything and sends nothing."""
    async for event in table:
        if isinstance(event, Left) and not table.players:
            return
