"""Faults that are put into the product, to show that the walks find them.

Each breaks one rule of rooms that move or survive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from lastcall.core.edge.input_window import InputWindow
from lastcall.core.handoff.actions import Commit, Giving, Thaw
from lastcall.core.room.roster import Seat
from lastcall.core.survival.ballot import Ballot
from lastcall.core.survival.claim import Claim
from lastcall.core.survival.epochs import Epochs
from lastcall.core.survival.links import Links, View
from lastcall.game.handoffs import HandOffs
from lastcall.game.standby_copies import StandbyCopies
from lastcall.host.progress import Progress
from lastcall.host.words import Words
from lastcall.ids import Incarnation
from lastcall.wire.survival_items import Config

Mutant = Callable[[pytest.MonkeyPatch], None]


def words_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    def leave_at_once(words: Words, left: int) -> None:
        """Holds nothing back."""

    patch.setattr(Words, "hold", leave_at_once)


class Rash(Ballot):
    """Goes on as if it had all votes."""

    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        return None


def a_standby_is_promoted_without_a_vote(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Claim, "ballot_type", Rash)


def a_primary_goes_on_without_a_vote(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Epochs, "ballot_type", Rash)


def a_giver_thaws_after_it_committed(patch: pytest.MonkeyPatch) -> None:
    act = HandOffs._act

    def thaw(handoffs: HandOffs, action: Giving) -> None:
        act(handoffs, Thaw(action.room) if isinstance(action, Commit) else action)

    patch.setattr(HandOffs, "_act", thaw)


def a_standby_confirms_a_step_that_it_does_not_keep(patch: pytest.MonkeyPatch) -> None:
    def forget(copies: StandbyCopies, room: object, step: bytes) -> None:
        """Keeps the image as it came."""

    patch.setattr(StandbyCopies, "apply", forget)


def an_api_node_does_not_say_inputs_again(patch: pytest.MonkeyPatch) -> None:
    def none(window: InputWindow, n: int) -> Sequence[tuple[int, bytes]]:
        return []

    patch.setattr(InputWindow, "unacked_from", none)


def inputs_are_acked_before_they_are_done(patch: pytest.MonkeyPatch) -> None:
    def accepted(progress: Progress, seat: Seat) -> int:
        return seat.last_n

    patch.setattr(Progress, "done", accepted)


MUTANTS: dict[Mutant, int] = {
    words_leave_before_the_commit: 0,
    a_standby_is_promoted_without_a_vote: 0,
    a_primary_goes_on_without_a_vote: 0,
    a_giver_thaws_after_it_committed: 0,
    a_standby_confirms_a_step_that_it_does_not_keep: 0,
    an_api_node_does_not_say_inputs_again: 0,
    inputs_are_acked_before_they_are_done: 0,
}
"""The first walk that finds each."""
