"""Bytes to values and back: client frames, node messages. See CONTRIBUTING.md for terms."""

from __future__ import annotations

import msgspec

__all__ = ["UNREADABLE"]

UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""msgspec raises one of these for bytes that it cannot decode; the second for deep nesting."""
