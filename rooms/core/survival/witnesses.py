"""Which witnesses a room's config names next."""

from __future__ import annotations

from collections.abc import Sequence

from lastcall.ids import Incarnation


def next_witnesses(
    now: Sequence[Incarnation], usable: Sequence[Incarnation]
) -> tuple[Incarnation, ...]:
    """The witnesses to name after ``now``, once ``now`` is confirmed; ``now`` if nothing changes.

    Two configs that follow each other always have a witness in common, and common witnesses in the
    same order; a new one comes last. So a leaving witness is replaced in two steps: both, then the
    new one.
    """
    kept = [witness for witness in now if witness in usable]
    if kept:
        return (kept[-1],)
    return (now[-1], usable[0]) if usable else tuple(now)
