"""Counts that tests make in a host."""

from __future__ import annotations

from lastcall.host.host import Host


def players_in(host: Host) -> int:
    """How many seats are taken, in rooms that run or were frozen here."""
    rooms = (*host.running.by_id.values(), *host.running.held.frozen)
    return sum(len(room.state.roster) for room in rooms)
