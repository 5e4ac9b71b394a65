"""Items to bytes and back: how large one is, and how a batch is read item by item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from lastcall.wire import UNREADABLE
from lastcall.wire.item import Unknown
from lastcall.wire.items import Down, Renew, Resume, Say, Up
from lastcall.wire.survival_items import ITEM_BYTES, Step

SAY_BYTES = 48
"""The bytes of a :class:`Say` without its texts and body: field names and numbers."""
_encode = msgspec.msgpack.Encoder().encode


def size_of(item: Up) -> int:
    """About how many bytes ``item`` takes; estimated for inputs and steps: there are many."""
    if isinstance(item, Say):
        return SAY_BYTES + len(item.room) + len(item.player) + len(item.body)
    if isinstance(item, Step) and item.config is None:
        return ITEM_BYTES + len(item.room) + len(item.data)
    return len(_encode(item))


_up: msgspec.msgpack.Decoder[Up] = msgspec.msgpack.Decoder(Up)
_renew = msgspec.msgpack.Decoder(Renew)
_down: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)
_UNKNOWN = Unknown()
T = TypeVar("T")


def decode_up(items: Sequence[msgspec.Raw]) -> list[Up]:
    """The items of a request, in order; one that this version cannot read is ``Unknown``."""
    return [_read(_up, item) or _read_resume(item) for item in items]


def decode_down(items: Sequence[msgspec.Raw]) -> list[Down]:
    """The items of a feed batch, in order; one that this version cannot read is ``Unknown``."""
    return [_read(_down, item) or _UNKNOWN for item in items]


def _read(decoder: msgspec.msgpack.Decoder[T], item: msgspec.Raw) -> T | None:
    try:
        return decoder.decode(item)
    except UNREADABLE:
        return None


def _read_resume(item: msgspec.Raw) -> Resume | Unknown:
    """A resume with fields that :class:`Resume` has not, or else an unknown item."""
    renew = _read(_renew, item)
    if renew is None or renew.session:
        return renew or _UNKNOWN
    place = renew.room, renew.player, renew.secret
    return Resume(renew.call, *place, renew.seen, identity=renew.identity)
