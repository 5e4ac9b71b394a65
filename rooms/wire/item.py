"""The base of the items of requests and feeds."""

from __future__ import annotations

import msgspec


class Item(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """The base of all items. ``gc=False`` is safe: items cannot form reference cycles."""


class Unknown(Item, frozen=True, tag="?"):
    """An item of a later version; it only counts."""
