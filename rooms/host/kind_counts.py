"""How many rooms of each kind there are, and how many players in them."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import KindName
from lastcall.runtime.figures import OTHER, KindFigures


def kind_counts(rooms: RunningRooms, kinds: Collection[KindName]) -> dict[str, KindFigures]:
    """The rooms and the taken seats of each of ``kinds``, and of all others together. Looks at
    every room.
    """
    counts: dict[str, int] = dict.fromkeys((*kinds, OTHER), 0)
    players = dict(counts)
    for room in chain(rooms.by_id.values(), rooms.held.frozen):
        state = room.state
        kind = state.kind if state.kind in counts else OTHER
        counts[kind] += 1
        players[kind] += len(state.roster)
    shown = (kind for kind, count in counts.items() if count or kind in kinds)
    return {kind: KindFigures(counts[kind], players[kind]) for kind in shown}
