"""How much the socket layer reads, joins and writes before it lets others run."""

from __future__ import annotations

LARGE_BYTES = 512
"""A frame larger than this ends a batch of frames; a read larger than this may hold many frames."""

# Reading.

CLIENTS_PER_POLL = 512
"""The most clients that the pump reads between two polls."""
READS_PER_BATCH = 16
"""The pump reads from this many clients before it parses what the first of them sent."""
READ_BYTES = 8 * 1024
"""One read of one client: about 300 of the smallest useful frames, which take 2 to 3 ms."""
LIBRARY_BYTES = 2 * 1024
"""One read of the protocol library, which lets no other task run between its smallest frames: about
340 of them, which take 6 ms."""
COUNT_BYTES = 256
"""The bytes in which odd frames are counted at a time."""
ODD_FRAMES_FREE = 2
"""A client with more odd frames than this in these bytes has to wait until others who had as many
have had a turn of the loop each."""
TURN_SECONDS = 0.005
"""After this time the pump leaves the remaining clients to its next turn."""

# Writing.

CLIENTS_PER_STEP = 256
"""Writing to this many clients takes 3 to 6 ms; then others run."""
JOINS_PER_BATCH = 64
"""The frames of this many clients are joined before the first of them is written."""
SHORT_BYTES = 64
"""A frame behind so little, such as an ack, is joined to it at once: a list of two costs more."""
FRAMES_PER_WRITE = 128
"""A client's frames are written when this many wait: at most 64 KiB, and one large frame."""
CHUNK_BYTES = 64 * 1024
"""The flusher joins queued frames up to this size for one send."""
