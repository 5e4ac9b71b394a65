"""Where a request between nodes came from."""

from __future__ import annotations

import msgspec


class Peer(msgspec.Struct, frozen=True):
    """``host`` is an IP address, or empty if it is not known."""

    host: str = ""
    same_machine: bool = False
    port: int = 0
