"""When each of many clients moves, so that they do not all reconnect in one instant."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Dice", "spread"]


class Dice(Protocol):
    """What pacing needs of :class:`random.Random`."""

    def random(self) -> float:
        """A number in [0, 1)."""


def spread(count: int, seconds: float, dice: Dice | None = None) -> list[float]:
    """``count`` rising offsets in [0, ``seconds``), one in each of ``count`` equal slots.

    With ``dice`` each is at a random point of its slot, so the rate stays even and no two nodes
    that begin together keep step; without, each is at its slot's beginning.
    """
    if count <= 0:
        return []
    slot = seconds / count
    if dice is None:
        return [slot * index for index in range(count)]
    return [slot * (index + dice.random()) for index in range(count)]
