"""The messages between ``lastcall dev`` and the process that forks for it, one in each packet."""

from __future__ import annotations

import msgspec

ORDER_BYTES_MAX, NEWS_BYTES_MAX = 1 << 16, 1 << 12


class Order(msgspec.Struct, frozen=True):
    """A fork to make: its number, and the arguments of its command."""

    number: int
    arguments: tuple[str, ...]


class Started(msgspec.Struct, frozen=True, tag=True):
    """The fork of that order runs; a descriptor for it comes along."""

    number: int
    pid: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The fork of that order has ended; negative: by a signal."""

    number: int
    code: int
