"""How many rooms of each kind there are, and how many players in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from lastcall.host.running_rooms import RunningRooms
from lastcall.ids import KindName
from lastcall.runtime.figures import OTHER, KindFigures


def kind_counts(rooms: RunningRooms, kinds: Collection[KindName]) -> dict[str, KindFigures]:
    """The rooms and the taken seats of each of ``kinds``, and of all others together. Looks at
    every room.
    """
    counts, players = Counter[str](dict.fromkeys(kinds, 0)), Counter[str]()
    for room in (*rooms.by_id.values(), *rooms.held.frozen):
        kind = room.state.kind if room.state.kind in kinds else OTHER
        counts[kind] += 1
        players[kind] += len(room.state.roster)
    return {kind: KindFigures(count, players[kind]) for kind, count in counts.items()}
