"""The frames that a client's stream still sends, as one table.

* An open stream sends every frame.
* A client that reads too slowly overflows its stream: only a close frame is sent from then on.
* A close frame is the last frame, whether this node or the protocol library sends it.
* A lost stream sends nothing.

An event that the table does not know changes nothing: a second close frame is not sent.
"""

from __future__ import annotations

import enum
from types import MappingProxyType


class WriteEvent(enum.Enum):
    """An event that ends a stream's output, in part or altogether."""

    OVERFLOW = "overflow"
    CLOSE = "close"
    LOSS = "loss"


class WriteState(enum.Enum):
    """The frames that a stream still sends."""

    OPEN = "open"
    OVERFLOWED = "overflowed"
    CLOSED = "closed"
    LOST = "lost"


TABLE = MappingProxyType(
    {
        WriteState.OPEN: {
            WriteEvent.OVERFLOW: WriteState.OVERFLOWED,
            WriteEvent.CLOSE: WriteState.CLOSED,
            WriteEvent.LOSS: WriteState.LOST,
        },
        WriteState.OVERFLOWED: {
            WriteEvent.CLOSE: WriteState.CLOSED,
            WriteEvent.LOSS: WriteState.LOST,
        },
        WriteState.CLOSED: {WriteEvent.LOSS: WriteState.LOST},
        WriteState.LOST: {},
    }
)
