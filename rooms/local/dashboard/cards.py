"""Makes the cards of a cluster from the answers of its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from lastcall.wire.views import NodeCard, NodeFigures, NodeNow

NO_ANSWER = "no answer"
VERSIONS_MAX = 1_000
"""With more, those that are shown are numbered anew: a node may tell another each time."""


class Generations:
    """Numbers versions in the order in which they were first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbered(self, cards: Sequence[NodeCard]) -> tuple[NodeCard, ...]:
        """The cards with their generations. Versions that are seen first at the same time are
        numbered in the order of their text.
        """
        unseen = {card.version for card in cards if card.version} - set(self._numbers)
        for version in sorted(unseen):
            self._numbers[version] = len(self._numbers)
        if len(self._numbers) > VERSIONS_MAX:
            self._numbers = {card.version: 0 for card in cards}
        return tuple(replace(card, generation=self._numbers.get(card.version, 0)) for card in cards)


class RemoteCards:
    """The nodes that are known by their admin addresses; it remembers those that fall silent."""

    def __init__(self) -> None:
        self._cards: dict[str, NodeCard] = {}
        self._generations = Generations()

    def update(self, answers: dict[str, NodeNow | None]) -> tuple[NodeCard, ...]:
        """The cards after these answers, by tier and name; an address that is not asked any more is
        forgotten.
        """
        self._cards = {admin: self._card(admin, now) for admin, now in answers.items()}
        ordered = sorted(self._cards.values(), key=lambda card: (card.tier, card.name, card.admin))
        return self._generations.numbered(ordered)

    def _card(self, admin: str, now: NodeNow | None) -> NodeCard:
        if now is not None:
            return replace(now.card, admin=admin)
        known = self._cards.get(admin) or NodeCard(admin, "", "", NO_ANSWER, admin=admin)
        return replace(known, phase=NO_ANSWER, why=(), rooms=0, clients=0, seconds_left=None)


def figures_by_key(
    cards: Sequence[NodeCard], answers: Mapping[str, NodeNow]
) -> dict[str, NodeFigures]:
    """The figures of each node by its name, or by its address if another card has that name."""
    names = Counter(card.name for card in cards)
    return {
        now.card.name if names[now.card.name] == 1 else admin: now.figures
        for admin, now in answers.items()
    }


def find_serving_game(cards: Sequence[NodeCard]) -> list[NodeCard]:
    """The nodes that know the kinds of rooms, those that serve first."""
    games = [card for card in cards if card.tier in {"game", "serve"} and card.admin]
    return sorted(games, key=lambda card: card.phase != "serving")
