# ruff: noqa: ARG002 - a mutant ignores what the rule needs
"""The rules of a hand-off, each taken out once."""

from __future__ import annotations

import msgspec

from lastcall.core.edge.placement import Candidate
from lastcall.core.handoff.actions import Giving, Run, Send, Taking
from lastcall.core.handoff.adoption import Event, Key, State
from lastcall.core.handoff.adoptions import Adoptions
from lastcall.core.handoff.offer import Offer
from lastcall.core.handoff.offers import Offers
from lastcall.ids import Incarnation
from lastcall.wire.peer_items import PeerDown, Withdraw


class Mutant(msgspec.Struct, frozen=True):
    without: str
    offers: type[Offers] = Offers
    adoptions: type[Adoptions] = Adoptions


class AsksNothingAgain(Offers):
    def link_up(self, node: Incarnation) -> list[Giving]:
        return []


class ForgetsWhatItIsOwed(Offers):
    """A node that may hold an old image is asked for the room anew."""

    def _on(self, offer: Offer, event: Event, now: float, nodes: list[Candidate]) -> list[Giving]:  # type: ignore[override]
        actions = super()._on(offer, event, now, nodes)  # type: ignore[arg-type]
        self._takers._owed.clear()
        return [action for action in actions if not is_withdraw(action)]


class WaitsForEver(Offers):
    def due(self, now: float, nodes: object) -> list[Giving]:
        return []


class TakesTheDeadForTheLiving(Offers):
    def gone(self, node: Incarnation, now: float, nodes: object) -> list[Giving]:
        return []


class BelievesAnybody(Offers):
    """An answer counts, whichever node it is from."""

    def answered(  # type: ignore[override]
        self, taker: Incarnation, item: PeerDown, now: float, nodes: list[Candidate]
    ) -> list[Giving]:
        offer = self._offers.get(item.room)
        asked = taker if offer is None or offer.taker is None else offer.taker
        return super().answered(asked, item, now, nodes)


class RunsBeforeTheRelease(Adoptions):
    def decoded(self, key: Key, refusal: str | None) -> list[Taking]:
        actions = super().decoded(key, refusal)
        return [*actions, Run(key.room)] if refusal is None else actions


class RunsWhatTheDeadGave(Adoptions):
    def gone(self, giver: Incarnation) -> list[Taking]:
        held = [
            one.key.room
            for one in self._adoptions.values()
            if one.key.giver == giver and one.state is State.HELD
        ]
        super().gone(giver)
        return [Run(room) for room in held]


class KeepsWhatIsWithdrawn(Adoptions):
    def _withdraw(self, key: Key) -> list[Taking]:
        adoption = self._adoptions.get(key)
        actions = super()._withdraw(key)
        if adoption is not None and adoption.state is State.FORGOTTEN:
            return actions[-1:]
        return actions


class ForgetsWhatWasReleased(Adoptions):
    def _release(self, key: Key) -> list[Taking]:
        actions = super()._release(key)
        self._released.clear()
        return actions


class HoldsForEver(Adoptions):
    def due(self, now: float) -> list[Taking]:
        return []

    def gone(self, giver: Incarnation) -> list[Taking]:
        return []


def is_withdraw(action: Giving) -> bool:
    return isinstance(action, Send) and isinstance(action.item, Withdraw)


MUTANTS = [
    Mutant("questions that are asked again on the next link", offers=AsksNothingAgain),
    Mutant("a node's word that it has forgotten", offers=ForgetsWhatItIsOwed),
    Mutant("a time for each answer", offers=WaitsForEver),
    Mutant("the next node after one that died", offers=TakesTheDeadForTheLiving),
    Mutant("the check of who answers", offers=BelievesAnybody),
    Mutant("the release", adoptions=RunsBeforeTheRelease),
    Mutant("the giver alone decides", adoptions=RunsWhatTheDeadGave),
    Mutant("the end of a withdrawn image", adoptions=KeepsWhatIsWithdrawn),
    Mutant("the memory of what was released", adoptions=ForgetsWhatWasReleased),
    Mutant("an end of holding", adoptions=HoldsForEver),
]
