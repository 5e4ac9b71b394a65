"""A kind of an author, with inputs and options of many sorts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from lastcall import Room, Said, room


class Spell(msgspec.Struct, frozen=True, tag="spell"):
    """The input of a wizard who duels."""

    words: Annotated[str, msgspec.Meta(max_length=20)]
    power: Annotated[int, msgspec.Meta(ge=1, le=9)]
    school: Literal["fire", "ice"] = "fire"
    aloud: bool = True
    at: list[int] = []


class Rest(msgspec.Struct, frozen=True, tag="rest"):
    """The input of a wizard who rests."""

    hours: float | None = None


class Options(msgspec.Struct):
    """The options of a duel."""

    depth: Annotated[int, msgspec.Meta(ge=1)] = 3


@room("duel", seats=8, inputs=Spell | Rest, options=Options)
async def duel(table: Room) -> Any:
    """Repeats what it has read, until somebody rests for 8 hours."""
    async for event in table:
        match event:
            case Said(_, Rest(8.0)):
                return {"slept": True}
            case Said(player, said):
                table.broadcast({"by": player, "read": said, "depth": table.options.depth})
    return None
