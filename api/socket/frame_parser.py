"""A client's bytes, parted: whole text frames for us, everything else for the protocol library.

Nearly all that a client sends is a small, unfragmented text frame. Those are parsed here, in place,
for a tenth of what the library asks. Whatever is rarer or wrong (fragments, binary data, reserved
bits, an unmasked frame, bad UTF-8, a frame over the limit, a close) goes to the library from its
first byte on, *and so does all that follows it*: what the library has begun it must also end, in
order. Pings and pongs go there too, and change nothing.

Pure: bytes in, values out. RFC 6455 §5.
"""

from __future__ import annotations

try:
    from websockets.speedups import apply_mask
except ImportError:  # a system that it is not compiled for
    from websockets.utils import apply_mask

NOTHING: list[str] = []
TEXT, PING, PONG = 0x81, 0x89, 0x8A
"""The first byte of an unfragmented frame of that type, without reserved bits (§5.2)."""
OURS = frozenset({TEXT, PING, PONG})
ODD = -1
MASKED = 0x80
TWO_BYTES, EIGHT_BYTES = 126, 127
"""In place of the length, which follows in 2 or in 8 bytes."""


def parse_single_text_frame(data: bytes, bytes_max: int) -> str | None:
    """The text, if ``data`` is one whole text frame and nothing else; else None.

    Nearly every input has this form. :class:`FrameParser` reads the same bytes in the same way.
    """
    end = len(data)
    if end < 6 or data[0] != TEXT:
        return None
    size = data[1] - MASKED
    if size == end - 6 and size < TWO_BYTES:
        return _text(data[2:6], data[6:])
    if size == TWO_BYTES <= end - 8 <= bytes_max and data[2] << 8 | data[3] == end - 8:
        return _text(data[4:8], data[8:])
    return None


class FrameParser:
    """One client's stream of frames, cut at any byte.

    Holds at most one frame that is not complete: ``bytes_max`` and its head.
    """

    __slots__ = ("_rest", "bytes_max", "library_only")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._rest = b""
        self.library_only = False
        """From here on everything is the library's."""

    def split(self, data: bytes) -> tuple[list[str], bytes]:
        """The texts that are complete now, and the bytes that the library is to have after them."""
        if self.library_only:
            return NOTHING, data
        if self._rest:
            data = self._rest + data
        texts: list[str] = []
        passed = b""
        at = 0
        while (stop := self._stop(data, at)) > 0:
            if data[at] != TEXT:
                passed += data[at:stop]
            elif (text := _unmasked(data, at, stop)) is not None:
                texts.append(text)
            else:
                stop = ODD
                break
            at = stop
        if stop == ODD:
            self.library_only = True
            self._rest = b""
            return texts, passed + data[at:]
        self._rest = data[at:] if at else data
        return texts, passed

    @property
    def between_frames(self) -> bool:
        """Whether the next byte begins a frame that may be ours."""
        return not (self._rest or self.library_only)

    @property
    def unfinished(self) -> bool:
        """Whether the beginning of a frame is kept here."""
        return self._rest != b""

    def rest(self) -> bytes:
        """No more will come: what is left of a frame, for the library to say what it thinks."""
        rest, self._rest = self._rest, b""
        return rest

    def _stop(self, data: bytes, at: int) -> int:
        """Where the frame at ``at`` stops; 0 if it has not all come, :data:`ODD` for the rest."""
        end = len(data)
        if end - at < 2:
            return 0
        first, size = data[at], data[at + 1] - MASKED
        if size < 0 or size == EIGHT_BYTES or first not in OURS:
            return ODD
        stop = at + 6 + size
        if size == TWO_BYTES:
            if first != TEXT:
                return ODD
            if end - at < 4:
                return 0
            size = data[at + 2] << 8 | data[at + 3]
            if size < TWO_BYTES or size > self.bytes_max:
                return ODD
            stop = at + 8 + size
        return stop if stop <= end else 0


def _unmasked(data: bytes, at: int, stop: int) -> str | None:
    """The text of the frame there, behind its mask of four bytes (§5.3); None if no UTF-8."""
    payload = at + (8 if data[at + 1] == MASKED + TWO_BYTES else 6)
    return _text(data[payload - 4 : payload], data[payload:stop])


def _text(mask: bytes, payload: bytes) -> str | None:
    try:
        return apply_mask(payload, mask).decode()
    except UnicodeDecodeError:
        return None
