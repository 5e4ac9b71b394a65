"""Faults that are put into the product, to show that the walks find them.

Each breaks one rule of rooms that move or survive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from lastcall.core.edge.input_window import InputWindow
from lastcall.game.standby_copies import StandbyCopies
from lastcall.host.words import Words

Mutant = Callable[[pytest.MonkeyPatch], None]


def words_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    def leave_at_once(words: Words, left: int) -> None:
        """Holds nothing back."""

    patch.setattr(Words, "hold", leave_at_once)


def a_standby_confirms_a_step_that_it_does_not_keep(patch: pytest.MonkeyPatch) -> None:
    def forget(copies: StandbyCopies, room: object, step: bytes) -> None:
        """Keeps the image as it came."""

    patch.setattr(StandbyCopies, "apply", forget)


def an_api_node_does_not_say_inputs_again(patch: pytest.MonkeyPatch) -> None:
    def none(window: InputWindow, n: int) -> Sequence[tuple[int, bytes]]:
        return []

    patch.setattr(InputWindow, "unacked_from", none)


MUTANTS: tuple[Mutant, ...] = (
    a_standby_confirms_a_step_that_it_does_not_keep,
    an_api_node_does_not_say_inputs_again,
)
