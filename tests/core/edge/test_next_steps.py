"""The next step of a join or a resume, from the known game nodes. No clock, no link."""

from __future__ import annotations

from typing import Any

import pytest

from lastcall.core.edge.missing_nodes import NOTHING_KNOWN, MissingNodes
from lastcall.core.edge.next_steps import (
    Ask,
    NotThere,
    Refuse,
    Wait,
    next_join_step,
    next_resume_step,
    node_for_join,
)
from lastcall.core.edge.placement import Candidate
from lastcall.reasons import ErrorCode
from lastcall.wire import frames
from lastcall.wire.nodes import NodeState

REFUSED = Refuse(ErrorCode.FULL, "the reason")


def node(number: int = 1, *, silent: bool = False) -> Candidate:
    state = NodeState(1, "serving", 0, {"den": 0}, sizes={"den": 2})
    name = f"game-{number}"
    return Candidate(f"tcp://{name}:7101", name, number, "1", 1.0, state, silent=silent)


def join(chosen: Candidate | None, **more: Any) -> object:
    defaults = {"known": [node()], "refusal": None, "may_change": False}
    request = frames.Join(kind=more.pop("kind", "den"), room=more.pop("room", ""))
    return next_join_step(request, chosen, **defaults | more)  # type: ignore[arg-type]


def test_a_join_asks_the_chosen_node_in_every_case() -> None:
    for may_change in (True, False):
        assert join(node(), may_change=may_change, refusal=REFUSED) == Ask(node())


def test_a_join_without_a_node_waits_while_something_may_change() -> None:
    assert join(None, may_change=True, refusal=REFUSED) == Wait()


def test_a_join_that_all_nodes_refuse_gets_the_last_reason() -> None:
    assert join(None, refusal=REFUSED) == REFUSED


def test_an_unknown_kind_is_refused_only_if_nodes_are_known_and_no_room_is_named() -> None:
    unknown = Refuse(ErrorCode.NO_SUCH_KIND, "no game node has 'poker'")
    assert join(None, kind="poker") == unknown
    assert join(None, kind="poker", room="game-1.x") == Wait()
    assert join(None, kind="poker", known=[]) == Wait()
    assert join(None) == Wait()


NOTHING_MISSING = MissingNodes(any_place=False)


def resume(rest: list[Candidate], missing: MissingNodes, **more: Any) -> object:
    defaults = {
        "hint": "game-1",
        "hint_answers": True,
        "may_appear": False,
        "may_regroup": False,
        "expected": False,
    }
    return next_resume_step(rest, missing=missing, **defaults | more)


@pytest.mark.parametrize("missing", [NOTHING_MISSING, NOTHING_KNOWN])
@pytest.mark.parametrize("may_appear", [True, False])
def test_a_resume_asks_the_first_node_that_is_not_silent(
    missing: MissingNodes, may_appear: bool
) -> None:
    candidates = [node(1, silent=True), node(2), node(3)]
    assert resume(candidates, missing, may_appear=may_appear) == Ask(node(2))


@pytest.mark.parametrize("silent_left", [True, False])
@pytest.mark.parametrize("missing", [NOTHING_MISSING, NOTHING_KNOWN])
@pytest.mark.parametrize("may_appear", [True, False])
@pytest.mark.parametrize("may_regroup", [True, False])
def test_a_place_is_unknown_only_if_all_nodes_refused_and_none_has_it_or_may_get_it(
    silent_left: bool, missing: MissingNodes, may_appear: bool, may_regroup: bool
) -> None:
    candidates = [node(2, silent=True)] if silent_left else []
    step = resume(candidates, missing, may_appear=may_appear, may_regroup=may_regroup)
    may_come = may_appear or may_regroup
    unknown = not silent_left and missing is NOTHING_MISSING and not may_come
    assert isinstance(step, NotThere if unknown else Wait)


def test_a_ticket_looks_like_a_guess_if_its_node_has_refused_it_or_was_never_met() -> None:
    assert resume([], NOTHING_KNOWN, hint_answers=True) == Wait(suspect=True)
    assert resume([], NOTHING_KNOWN, hint_answers=False) == Wait(suspect=False)
    assert resume([node(silent=True)], NOTHING_MISSING, hint_answers=False) == Wait(suspect=False)
    assert resume([], NOTHING_MISSING, hint_answers=False, may_appear=True) == Wait(suspect=True)
    assert resume([], NOTHING_MISSING, hint_answers=False, may_regroup=True) == Wait(suspect=True)


# A room, or the seat of a key, that has moved.


def chosen(known: list[Candidate], refused_by: set[int], moved_to: int | None, **request: str):
    join = frames.Join(**{"kind": "den"} | request)  # type: ignore[arg-type]
    expected = moved_to is not None
    return node_for_join(join, known, refused_by, moved_to, expected=expected)


def test_the_node_that_a_named_room_has_moved_to_is_asked_before_the_node_that_it_names() -> None:
    known = [node(1), node(2), node(3)]
    assert chosen(known, set(), None, room="game-1.x") == node(1)
    assert chosen(known, set(), 3, room="game-1.x") == node(3)
    assert chosen(known, {3}, 3, room="game-1.x") == node(1)


def test_no_other_seat_is_found_for_a_key_whose_seat_has_moved() -> None:
    assert chosen([node(1), node(2)], set(), None, key="k") == node(1)
    assert chosen([node(1), node(2)], set(), 2, key="k") is None


def test_the_place_of_a_room_that_has_moved_is_not_unknown_and_looks_like_no_guess() -> None:
    assert resume([], NOTHING_MISSING, expected=True) == Wait(suspect=False)
    assert resume([], NOTHING_MISSING, expected=True, may_regroup=True) == Wait(suspect=False)
    assert resume([node(2)], NOTHING_MISSING, expected=True) == Ask(node(2))
