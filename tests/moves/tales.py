"""Rooms of random walks: each message says where in the history of its room it belongs.

A message has its number among all messages of the room, its number among those to everybody (or
among those to its one player), and what it is about. So a player's messages show by themselves
whether one of them is missing, and an input that was applied twice is there twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lastcall import Joined, Left, Room, Said, room
from lastcall.ids import PlayerId
from lastcall.kind import Kind


class Tale(msgspec.Struct, tag="tale"):
    said: int = 0
    """How many messages; so the number of the last one."""
    counts: dict[str, int] = {}
    """How many were for everybody (under the empty name), and for each player alone."""


class Saga(Tale, tag="tale"):
    """A later version's state, which reads a :class:`Tale`."""

    heroes: int = 3


class Riddle(Tale, tag="riddle"):
    """A later version's state, which cannot read a :class:`Tale`."""


def tell(table: Room[Any], tale: Tale, about: list[Any], to: str = "") -> None:
    tale.said += 1
    tale.counts[to] = tale.counts.get(to, 0) + 1
    body = [tale.said, to, tale.counts[to], *about]
    if to:
        table.send(PlayerId(to), body)
    else:
        table.broadcast(body)


async def narrate(table: Room[Any], tale: Tale) -> str:
    """Repeats each input, to everybody or to one other player, until one says that it ends."""
    async for event in table:
        match event:
            case Joined(player):
                tell(table, tale, ["joined", player])
            case Left(player):
                tell(table, tale, ["left", player])
            case Said(player, [number, command, index]):
                others = [seated for seated in table.players if seated != player]
                alone = command == "whisper" and others
                about = ["said", player, number]
                tell(table, tale, about, others[index % len(others)] if alone else "")
                if command == "end":
                    return "the end"
    raise AssertionError


SURVIVING = ("ark", "raft")
MOVING = ("den", "hall")


def tellers(state: type) -> dict[Any, Kind]:
    """One kind of each sort, whose state is a ``state``."""

    @room("ark", seats=3, state=state, survives=True)
    async def ark(table: Room[Any]) -> str:
        return await narrate(table, table.state)

    @room("raft", seats=3, state=state, survives=True, moves="at_once")
    async def raft(table: Room[Any]) -> str:
        return await narrate(table, table.state)

    @room("den", seats=3, state=state)
    async def den(table: Room[Any]) -> str:
        return await narrate(table, table.state)

    @room("hall", seats=3, state=state, moves="at_once")
    async def hall(table: Room[Any]) -> str:
        return await narrate(table, table.state)

    @room("camp", seats=3)
    async def camp(table: Room) -> str:
        return await narrate(table, state())

    return {kind.name: kind for kind in (ark, raft, den, hall, camp)}


FIRST, COMPATIBLE, INCOMPATIBLE = tellers(Tale), tellers(Saga), tellers(Riddle)
