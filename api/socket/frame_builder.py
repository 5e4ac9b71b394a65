"""WebSocket frames as bytes: those that a server sends are unmasked and whole (RFC 6455 §5.2)."""

from __future__ import annotations

import struct

PING_FRAME = b"\x89\x00"
CLOSE_BYTES_MAX = 6 + 125
"""A client's close frame: two bytes, the mask, the payload."""
SHORT_HEADS = [struct.pack("!BB", 0x81, size) for size in range(126)]
REASON_BYTES_MAX = 123
"""A control frame holds 125 bytes, two of which are the close code (RFC 6455 §5.5)."""


def text_frame(payload: bytes) -> bytes:
    """A text frame around ``payload``, which is UTF-8."""
    size = len(payload)
    if size < 126:
        return SHORT_HEADS[size] + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; ``reason`` is cut, between characters, where it does not fit."""
    text = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore").encode()
    return struct.pack("!BBH", 0x88, 2 + len(text), code) + text


def ends_in_close(tail: bytes) -> bool:
    """Whether the last bytes read like a client's close frame, after which nothing comes.

    A guess, since the frames are not parsed any more: a wrong guess ends the discarding early.
    """
    for begin in range(len(tail) - 6, -1, -1):
        if tail[begin] == 0x88 and tail[begin + 1] == 0x80 | len(tail) - begin - 6:
            return True
    return False
