"""Open calls: which link can answer, which calls count, and when they end. No clock, no link."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.calls import Calls

NORTH, SOUTH = "north", "south"


def table(answer_seconds: float = 10.0) -> Calls[str, str, str]:
    return Calls(itertools.count(1), answer_seconds)


def numbers(calls: list) -> list[int]:
    return [call.number for call in calls]


def test_only_the_link_that_was_asked_answers_and_only_once() -> None:
    calls = table()
    number = calls.ask("join", NORTH, 0.0)
    assert calls.answered(SOUTH, number) is None
    assert calls.answered(NORTH, number + 1) is None
    call = calls.answered(NORTH, number)
    assert call is not None
    assert (call.request, call.abandoned) == ("join", False)
    assert calls.answered(NORTH, number) is None
    assert len(calls) == 0


def test_several_call_tables_can_share_their_numbers() -> None:
    shared = itertools.count(1)
    joins, resumes = Calls(shared, 10.0), Calls(shared, 10.0)
    assert [joins.ask("a", NORTH, 0.0), resumes.ask("b", NORTH, 0.0)] == [1, 2]
    assert joins.answered(NORTH, 2) is None


def test_an_abandoned_call_is_recognized_and_counts_until_it_is_answered() -> None:
    calls = table()
    number = calls.ask("join", NORTH, 0.0, "den")
    assert numbers(calls.abandon(NORTH)) == [number]
    assert calls.abandon(NORTH) == []
    assert calls.open(NORTH)["den"] == 1
    call = calls.answered(NORTH, number)
    assert call is not None
    assert call.abandoned
    assert calls.open(NORTH)["den"] == 0


def test_cancel_returns_the_calls_of_a_request_that_are_neither_answered_nor_abandoned() -> None:
    calls = table()
    one, two, three = (calls.ask("join", link, 0.0) for link in (NORTH, SOUTH, "east"))
    calls.ask("another", SOUTH, 0.0)
    calls.answered(NORTH, one)
    calls.abandon("east")
    assert numbers(calls.cancel("join")) == [two]
    assert calls.cancel("unknown") == []
    assert calls.answered("east", three) is not None


def test_a_request_that_is_asked_for_elsewhere_has_no_calls_that_count_for_it() -> None:
    calls = table()
    first, _ = (calls.ask("join", link, 0.0, "den") for link in (NORTH, SOUTH))
    calls.ask("other", NORTH, 0.0, "den")
    calls.abandon_request("join")
    assert calls.cancel("join") == []
    assert [call.request for call in calls.unanswered(NORTH)] == ["other"]
    answered = calls.answered(NORTH, first)
    assert answered is not None
    assert answered.abandoned
    assert calls.open(SOUTH) == {"den": 1}


def test_a_lost_link_has_no_calls_and_returns_those_that_were_not_abandoned() -> None:
    calls = table()
    calls.ask("first", NORTH, 0.0, "den")
    calls.abandon(NORTH)
    second = calls.ask("second", NORTH, 0.0, "den")
    other = calls.ask("third", SOUTH, 0.0, "den")
    assert numbers(calls.link_lost(NORTH)) == [second]
    assert calls.answered(NORTH, second) is None
    assert calls.open(NORTH) == {}
    assert numbers(calls.unanswered(SOUTH)) == [other]


def test_a_call_made_at_3_s_is_due_once_at_13_s() -> None:
    calls = table(answer_seconds=10.0)
    calls.ask("early", NORTH, 0.0)
    calls.ask("gone", NORTH, 1.0)
    late = calls.ask("late", SOUTH, 3.0)
    calls.answered(NORTH, 2)
    assert [call.request for call in calls.due(12.9)] == ["early"]
    assert numbers(calls.due(13.0)) == [late]
    assert calls.due(99.0) == []
    assert len(calls) == 0


def test_a_call_without_a_tag_is_not_counted() -> None:
    calls = table()
    calls.ask("join", NORTH, 0.0)
    assert calls.open(NORTH) == {}


LINKS = st.sampled_from([NORTH, SOUTH, "east"])
STEPS = st.one_of(
    st.tuples(st.just("ask"), LINKS, st.integers(0, 4)),
    st.tuples(st.just("answer"), LINKS, st.integers(0, 20)),
    st.tuples(st.sampled_from(["abandon", "lose"]), LINKS, st.just(0)),
    st.tuples(st.just("wait"), LINKS, st.integers(0, 7)),
)


@given(st.lists(STEPS, max_size=60))
def test_every_call_ends_once_and_the_count_is_the_number_of_open_calls(steps: list) -> None:
    calls, now = table(answer_seconds=5.0), 0.0
    open_: dict[int, tuple[str, float]] = {}
    abandoned: set[int] = set()
    for step, link, value in steps:
        at_link = [number for number, (to, _) in open_.items() if to == link]
        awaited = [number for number in at_link if number not in abandoned]
        ended: list[int] = []
        match step:
            case "ask":
                open_[calls.ask(f"request {value}", link, now, "tag")] = (link, now + 5.0)
            case "answer":
                call = calls.answered(link, value)
                assert (call is not None) == (value in at_link)
                assert call is None or call.abandoned == (value in abandoned)
                ended = [value] if call is not None else []
            case "abandon":
                assert numbers(calls.abandon(link)) == awaited
                abandoned |= set(awaited)
            case "lose":
                assert numbers(calls.link_lost(link)) == awaited
                ended = at_link
            case "wait":
                now += value
                ended = [number for number, (_, until) in open_.items() if until <= now]
                assert numbers(calls.due(now)) == [n for n in ended if n not in abandoned]
        for number in ended:
            del open_[number]
        counted = sum(calls.open(one).get("tag", 0) for one in (NORTH, SOUTH, "east"))
        assert counted == len(calls) == len(open_)
