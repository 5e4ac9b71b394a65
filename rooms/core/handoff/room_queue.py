"""The rooms that wait to leave, and which of them begins next.

A bounded number of bytes is under way, and as many rooms as :mod:`lastcall.core.handoff.pace`
allows. Small rooms go first, so that a large one delays nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from lastcall.core.handoff.offer import Movable, Offer, State
from lastcall.core.handoff.pace import Pace
from lastcall.policy import HandOffPolicy


class RoomQueue:
    """The rooms of one node that wait to leave, at the given ``pace``."""

    def __init__(self, policy: HandOffPolicy, pace: Pace) -> None:
        self._policy = policy
        self._pace = pace
        self._waiting: deque[Movable] = deque()

    def __len__(self) -> int:
        """How many rooms wait."""
        return len(self._waiting)

    def add(self, rooms: Iterable[Movable]) -> None:
        """These wait from now on, each once."""
        known = {room.room for room in self._waiting}
        fresh = [room for room in rooms if room.room not in known]
        self._waiting = deque(sorted([*self._waiting, *fresh], key=lambda room: room.size))

    def take(self, offers: Collection[Offer], now: float) -> Movable | None:
        """The next room, if it may begin now beside ``offers``, which are under way."""
        if self._waiting and self._fits(self._waiting[0].size, offers, now):
            return self._waiting.popleft()
        return None

    def clear(self) -> None:
        """None waits any longer."""
        self._waiting.clear()

    def _fits(self, size: int, offers: Collection[Offer], now: float) -> bool:
        """Whether a room of ``size`` bytes may begin beside those that are under way.

        A room that waits for its taker's answer keeps its place, however long it takes.
        """
        if len(self._pace) >= self._pace.at_once(len(self._waiting), now):
            return False
        held = [offer for offer in offers if offer.state is not State.COMMITTED]
        if sum(offer.state is State.ASKED for offer in held) >= self._policy.rooms_at_once:
            return False
        return not held or sum(offer.size for offer in held) + size <= self._policy.bytes_at_once
