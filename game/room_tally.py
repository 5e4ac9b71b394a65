"""How the rooms of a game node have ended since its drain began."""

from __future__ import annotations

from lastcall.host.running_rooms import RunningRooms
from lastcall.reasons import EndReason
from lastcall.wire.reports import Counts


class RoomTally:
    """Counts the ends of ``rooms``, from :meth:`begin` on."""

    def __init__(self, rooms: RunningRooms) -> None:
        self._rooms = rooms
        self._ends_before: dict[EndReason, int] | None = None
        """By reason; None before the drain."""
        self._regrouped_before = 0

    def begin(self) -> None:
        """The drain begins."""
        self._ends_before = dict(self._rooms.ends)
        self._regrouped_before = self._rooms.regrouped

    def counts(self, *, handed_off: int, lost: int) -> Counts:
        """How rooms have ended since then, besides those ``handed_off`` or ``lost``."""
        rooms = self._rooms
        before = rooms.ends if self._ends_before is None else self._ends_before
        since = {reason: count - before[reason] for reason, count in rooms.ends.items()}
        return Counts(
            rooms_finished=since[EndReason.FINISHED] + since[EndReason.CRASHED],
            rooms_regrouped=rooms.regrouped - self._regrouped_before,
            rooms_abandoned=since[EndReason.ABANDONED],
            rooms_handed_off=handed_off,
            rooms_cut=since[EndReason.CUT] + lost,
        )
