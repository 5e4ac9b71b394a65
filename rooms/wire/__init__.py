"""Converts between bytes and values: client frames (JSON), node messages (msgpack).

See CONTRIBUTING.md for terms.
"""

from __future__ import annotations

import msgspec

__all__ = ["UNREADABLE"]

UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""msgspec's errors for bytes that it cannot decode; RecursionError is for deep nesting."""
