"""How a receiver treats an item by its number: an input, or a request.

All senders count from 1 without gaps and repeat what was not acknowledged, so each receiver tells
the next number from a repeat and from a gap.
"""

from __future__ import annotations

import enum


class SequenceCheck(enum.Enum):
    """The ways to treat an item, by its number."""

    NEXT = "next"
    """Take it."""
    REPEAT = "repeat"
    """It was taken before: acknowledge it again, since the last acknowledgement may be lost."""
    GAP = "gap"
    """One before it is missing: the sender broke the protocol, or one side has lost the link."""
    BLOCKED = "blocked"
    """It follows an input that did not fit, and will be sent again: drop it in silence."""
    STALE = "stale"
    """It is from an earlier socket of this player, from a lost one, or by another link: drop it."""
