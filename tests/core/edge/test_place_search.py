"""The search for a place whose node is gone: who is asked when, and when it ends. No link."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.place_search import REFUSED_SECONDS, RETRY_SECONDS, PlaceSearch


def search() -> PlaceSearch:
    return PlaceSearch(100.0, move_seconds=3, lost_seconds=6)


def test_the_nodes_are_asked_one_after_the_other_in_their_order() -> None:
    one = search()
    assert one.ask([5, 3, 4], 100) == 5
    assert one.ask([5, 3, 4], 101) is None
    one.refused(5, 101, retry=False)
    assert one.ask([5, 3, 4], 101) == 3


def test_a_node_that_may_have_the_place_soon_is_asked_again_after_200_ms_and_others_after_1_s() -> (
    None
):
    one = search()
    for node, retry in ((1, True), (2, False)):
        assert one.ask([1, 2], 100) == node
        one.refused(node, 100, retry=retry)
    assert [one.ask([1, 2], at) for at in (100.0, 100.19, 100.2)] == [None, None, 1]
    one.refused(1, 100.9, retry=True)
    assert one.ask([1, 2], 101.0) == 2


def test_the_next_node_is_asked_while_one_is_silent_which_is_not_asked_twice() -> None:
    one = search()
    assert one.ask([1, 2], 100) == 1
    assert one.ask([2], 100) == 2
    one.refused(2, 100, retry=False)
    assert one.ask([1, 2], 100) is None
    assert one.ask([2, 3], 100) == 3


def test_a_node_whose_link_is_over_is_asked_at_once_on_the_next_one() -> None:
    one = search()
    assert one.ask([1], 100) == 1
    one.gone(1)
    assert one.ask([1], 100) == 1
    one.refused(1, 100, retry=False)
    one.gone(1)
    assert one.ask([1], 100) == 1


def test_the_client_is_moved_once_after_3_s_and_the_place_is_lost_after_6() -> None:
    one = search()
    assert [one.moves_client(at) for at in (102.9, 103, 103.1)] == [False, True, False]
    assert [one.over(at) for at in (105.9, 106)] == [False, True]


STEP = st.tuples(
    st.sampled_from(["refuse", "retry", "gone", "ask"]),
    st.sets(st.integers(1, 3)),
    st.sampled_from([0.0, 0.1, 0.25, 1.0]),
)


@given(steps=st.lists(STEP, max_size=40))
def test_in_any_course_one_answering_node_is_asked_at_a_time_and_none_too_often(steps) -> None:
    one, now = search(), 100.0
    asked: set[int] = set()
    free_at: dict[int, float] = {}
    for act, answering, seconds in steps:
        now += seconds
        if act != "ask" and asked:
            node = min(asked)
            asked.discard(node)
            if act == "gone":
                one.gone(node)
                free_at.pop(node, None)
            else:
                one.refused(node, now, retry=act == "retry")
                free_at[node] = now + (RETRY_SECONDS if act == "retry" else REFUSED_SECONDS)
        node = one.ask(sorted(answering), now)
        may = {each for each in answering if free_at.get(each, -inf) <= now}
        if asked & answering or not may:
            assert node is None
        else:
            assert node in may
            asked.add(node)
