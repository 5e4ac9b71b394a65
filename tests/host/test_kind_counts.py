"""Rooms and players are counted by kinds that are known; the others are one kind together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lastcall.host.kind_counts import kind_counts
from lastcall.ids import KindName
from lastcall.runtime.figures import KindFigures

KINDS = (KindName("den"), KindName("hall"))


def rooms(running: list[tuple[str, int]], frozen: list[tuple[str, int]]) -> Any:
    def room(kind: str, seats: int) -> SimpleNamespace:
        return SimpleNamespace(state=SimpleNamespace(kind=kind, roster=range(seats)))

    by_id = {number: room(*one) for number, one in enumerate(running)}
    return SimpleNamespace(by_id=by_id, held=SimpleNamespace(frozen=[room(*one) for one in frozen]))


def test_every_known_kind_is_there_from_the_start() -> None:
    assert kind_counts(rooms([], []), KINDS) == dict.fromkeys(KINDS, KindFigures(0, 0))


def test_rooms_that_are_frozen_count_until_they_have_moved() -> None:
    counts = kind_counts(rooms([("den", 2), ("den", 3)], [("hall", 4)]), KINDS)
    assert counts == {"den": KindFigures(2, 5), "hall": KindFigures(1, 4)}


def test_kinds_that_the_node_does_not_offer_are_one_label() -> None:
    counts = kind_counts(rooms([("x", 1), ("y", 2)], []), KINDS)
    assert counts["other"] == KindFigures(2, 3)
    assert len(counts) == 3
