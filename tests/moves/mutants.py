"""Faults that are put into the product, to show that the walks find them.

Each breaks one rule of rooms that move or survive. The rules for which the order of few events
matters have mutants of their own, in ``tests/core``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from lastcall.core.edge.input_window import InputWindow
from lastcall.core.survival.succession import Succession
from lastcall.errors import StateUnreadable
from lastcall.game.standby_copies import StandbyCopies
from lastcall.host import moves
from lastcall.host.codec import KindCodec
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


def an_image_does_not_count_the_inputs_that_were_done(patch: pytest.MonkeyPatch) -> None:
    restore = moves.restore

    def anew(host: Any, codec: Any, image: Any) -> Any:
        seats = tuple(replace(seat, last_n=0) for seat in image.seats)
        return restore(host, codec, replace(image, seats=seats))

    patch.setattr(moves, "restore", anew)


def a_node_takes_a_state_that_it_cannot_read(patch: pytest.MonkeyPatch) -> None:
    read = KindCodec.read_state

    def read_anything(codec: KindCodec, data: bytes) -> Any:
        try:
            return read(codec, data)
        except StateUnreadable:
            return codec.fresh_state({})

    patch.setattr(KindCodec, "read_state", read_anything)


def a_room_takes_no_other_standby(patch: pytest.MonkeyPatch) -> None:
    def wait(succession: Succession) -> None:
        """Leaves the room alone."""

    patch.setattr(Succession, "_choose", wait)


FOUND: dict[Mutant, int] = {
    words_leave_before_the_commit: 0,
    a_standby_confirms_a_step_that_it_does_not_keep: 0,
    an_api_node_does_not_say_inputs_again: 4,
    an_image_does_not_count_the_inputs_that_were_done: 4,
    a_node_takes_a_state_that_it_cannot_read: 5,
    a_room_takes_no_other_standby: 10,
}
"""Each with the seed of a walk that finds it, to try first: that only saves time."""
