"""What a client's stream still sends, as one table.

* An open stream sends every frame.
* A client that reads too slowly overflows its stream: only a close frame is sent from then on.
* A close frame is the last frame, whoever sends it: this node or the protocol library.
* A lost stream sends nothing.

An event that the table does not know changes nothing: a second close frame is not sent.
"""

from __future__ import annotations

import enum
from types import MappingProxyType


class WriteEvent(enum.Enum):
    """What ends a stream's output, in part or altogether."""

    OVERFLOW = "overflow"
    CLOSE = "close"
    LOSS = "loss"


class WriteState(enum.Enum):
    """What a stream still sends."""

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
