"""When each of many clients moves or tries again, so that they do not all come in one instant."""

from __future__ import annotations

from typing import Protocol

__all__ = ["RandomSource", "full_jitter", "spread"]


class RandomSource(Protocol):
    """What pacing needs of :class:`random.Random`."""

    def random(self) -> float:
        """A number in [0, 1)."""


def spread(count: int, seconds: float, dice: RandomSource | None = None) -> list[float]:
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


def full_jitter(
    attempt: int, dice: RandomSource, *, first_seconds: float = 0.25, longest_seconds: float = 10.0
) -> float:
    """Seconds to wait after failure ``attempt`` (from 0): anything up to a ceiling that doubles.

    The ceiling begins at ``first_seconds`` and ends at ``longest_seconds``. Clients that failed
    together are so spread over the whole time, and not only over the end of it.
    """
    doublings = min(attempt, 64)  # a float's exponent is bounded, and a failure's count is not
    return dice.random() * min(longest_seconds, first_seconds * 2.0**doublings)
