"""Which places a game node may have that is known and cannot be asked. No clock, no link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.missing_nodes import (
    NOTHING_KNOWN,
    MissingNodes,
    Unreached,
    missing_nodes,
)


def missing(*unreached: Unreached) -> MissingNodes:
    return missing_nodes(unreached, unmet_seconds=6, hinted_seconds=30)


def test_if_nothing_is_known_any_place_may_be_somewhere() -> None:
    assert NOTHING_KNOWN.may_have("game-1", hint_answers=True)
    assert NOTHING_KNOWN.may_have("", hint_answers=False)


def test_without_unreached_addresses_no_place_is_elsewhere() -> None:
    assert not missing().may_have("game-1", hint_answers=False)


@pytest.mark.parametrize("hint", ["game-1", "game-2", "gone", ""])
def test_for_6_s_a_node_that_cannot_be_reached_may_have_any_place(hint: str) -> None:
    for name in ("", "game-2"):
        for answers in (True, False):
            assert missing(Unreached(name, 5.9)).may_have(hint, hint_answers=answers)


def test_from_6_s_to_30_s_it_may_have_the_places_whose_tickets_name_it() -> None:
    for seconds in (6.0, 29.9):
        dead = missing(Unreached("game-2", seconds))
        assert dead.may_have("game-2", hint_answers=False)
        assert dead.may_have("game-2", hint_answers=True)  # another node has the same name
        assert not dead.may_have("game-1", hint_answers=True)
        assert not dead.may_have("gone", hint_answers=False)
    assert not missing(Unreached("game-2", 30.0)).may_have("game-2", hint_answers=False)


def test_from_6_s_to_30_s_an_address_without_a_name_may_be_that_of_any_node_not_attached() -> None:
    for seconds in (6.0, 29.9):
        unmet = missing(Unreached("", seconds))
        assert unmet.may_have("game-2", hint_answers=False)
        assert not unmet.may_have("game-1", hint_answers=True)
        assert not unmet.may_have("", hint_answers=False)
    assert not missing(Unreached("", 30.0)).may_have("game-2", hint_answers=False)


UNREACHED = st.builds(Unreached, st.sampled_from(["", "game-1", "game-2"]), st.floats(0, 100))


@given(st.lists(UNREACHED, max_size=5), st.sampled_from(["", "game-1", "game-3"]), st.booleans())
def test_many_unreached_addresses_may_have_what_one_of_them_may_have(
    unreached: list[Unreached], hint: str, answers: bool
) -> None:
    alone = [missing(one).may_have(hint, hint_answers=answers) for one in unreached]
    assert missing(*unreached).may_have(hint, hint_answers=answers) == any(alone)


@given(UNREACHED, st.floats(0, 100), st.sampled_from(["", "game-1", "game-3"]), st.booleans())
def test_the_longer_a_node_cannot_be_reached_the_less_it_may_have(
    one: Unreached, more: float, hint: str, answers: bool
) -> None:
    later = Unreached(one.name, one.seconds + more)
    if missing(later).may_have(hint, hint_answers=answers):
        assert missing(one).may_have(hint, hint_answers=answers)
