"""The game nodes that an api node knows of and cannot ask: could one of them have a place?

A machine that dies may stay listed, and then swallows every attempt to reach it: nothing is ever
certain about it. So an address counts as a known node only for a bounded time after it was last
certain whether a node is there:

* ``unmet_seconds`` for every place;
* ``hinted_seconds`` for a place whose ticket names the node that was last met there, or names a
  node that is not attached while none was ever met at the address.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Unreached(msgspec.Struct, frozen=True):
    """An address that neither answers nor refuses, or a source that names no addresses."""

    name: str
    """The node that was last met there; empty if none was."""
    seconds: float
    """How long ago it was last certain whether a node is there."""


class MissingNodes(msgspec.Struct, frozen=True):
    """Which places the game nodes that cannot be asked may have, at one moment."""

    any_place: bool
    """Whether any place may be at a node that cannot be asked."""
    names: frozenset[str] = frozenset()
    """The names of nodes that may still have their places."""
    nameless: bool = False
    """Whether a node that was never met may have places."""

    def may_have(self, hint: str, *, hint_answers: bool) -> bool:
        """Whether a missing node may have a place whose ticket names the node ``hint``.

        ``hint_answers``: a node of that name is attached, and says itself what it has.
        """
        if self.any_place or hint in self.names:
            return True
        return self.nameless and hint != "" and not hint_answers


NOTHING_KNOWN = MissingNodes(any_place=True)
"""Nothing can be said of any place."""


def missing_nodes(
    unreached: Iterable[Unreached], *, unmet_seconds: float, hinted_seconds: float
) -> MissingNodes:
    """The places that may be at addresses that neither answer nor refuse."""
    recent = [one for one in unreached if one.seconds < hinted_seconds]
    return MissingNodes(
        any_place=any(one.seconds < unmet_seconds for one in recent),
        names=frozenset(one.name for one in recent if one.name),
        nameless=any(not one.name for one in recent),
    )
