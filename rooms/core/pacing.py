"""Spreads the moves and retries of many clients over time, so that they do not all come at once."""

from __future__ import annotations

from typing import Protocol


class RandomSource(Protocol):
    """The part of :class:`random.Random` that pacing uses."""

    def random(self) -> float:
        """A number in [0, 1)."""


def spread(count: int, seconds: float, rng: RandomSource | None = None) -> list[float]:
    """``count`` rising offsets in [0, ``seconds``), one in each of ``count`` equal slots.

    With ``rng``, each offset is at a random point of its slot: the rate stays even, and two nodes
    that begin together do not keep step. Without it, each is at the beginning of its slot.
    """
    if count <= 0:
        return []
    slot = seconds / count
    if rng is None:
        return [slot * index for index in range(count)]
    return [slot * (index + rng.random()) for index in range(count)]


def full_jitter(
    attempt: int, rng: RandomSource, *, first_seconds: float = 0.25, longest_seconds: float = 10.0
) -> float:
    """Seconds to wait after failure ``attempt`` (from 0): a random time up to a doubling ceiling.

    The ceiling begins at ``first_seconds`` and ends at ``longest_seconds``. So clients that failed
    together are spread over the whole time, and not only over its end.
    """
    doublings = min(attempt, 64)  # a float's exponent is bounded; the count of failures is not
    return rng.random() * min(longest_seconds, first_seconds * 2.0**doublings)
