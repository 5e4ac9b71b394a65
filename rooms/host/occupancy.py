"""Why a host is not empty, for operators who wait for its node."""

from __future__ import annotations

from itertools import islice

import trio

from lastcall.host.room_state import RoomState
from lastcall.host.running_rooms import RunningRooms

ROOMS_LISTED = 50
"""Enough to act on, where thousands would only block the loop."""


def why_not_empty(running: RunningRooms) -> list[str]:
    """A sentence for each of the oldest rooms, the number of the others, and how many players have
    yet to learn how their rooms ended.
    """
    rooms = running.by_id
    sentences = [_describe(room.state) for room in islice(rooms.values(), ROOMS_LISTED)]
    if more := len(rooms) - len(sentences):
        sentences.append(f"and {more} younger rooms")
    if frozen := len(running.held.frozen):
        sentences.append(f"{frozen} room(s) on the way to other nodes")
    if awaiting := running.ended_rooms.awaiting_result:
        sentences.append(f"{awaiting} player(s) between two sockets, whose rooms have ended")
    return sentences


def _describe(room: RoomState) -> str:
    seats, age = len(room.roster), trio.current_time() - room.opened_at
    away = seats - room.roster.present
    return (
        f"{room.kind} {room.id}, {age:.0f} s old, "
        f"{seats} player{'' if seats == 1 else 's'}{f', {away} of them away' if away else ''}"
    )
