from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.disconnects import Disconnects, Step

NOTICED, OVER = Step.NOTICED, Step.OVER


def of_house() -> Disconnects[str]:
    return Disconnects(away_seconds=2, drain_grace_seconds=5)


def test_an_absence_is_noticed_after_2_s_and_over_after_its_30() -> None:
    absences = of_house()
    absences.begin("ann", now=100, seconds=30)
    assert absences.next_at == 102
    assert absences.due(101.9, 9) == []
    assert absences.due(102, 9) == [("ann", NOTICED)]
    assert absences.next_at == 130
    assert absences.due(129.9, 9) == []
    assert absences.due(130, 9) == [("ann", OVER)]
    assert (len(absences), absences.next_at) == (0, inf)


def test_one_that_is_over_by_the_time_of_its_notice_is_never_noticed() -> None:
    absences = of_house()
    absences.begin("ann", now=0, seconds=2)
    absences.begin("bob", now=0, seconds=1)
    assert absences.due(9, 9) == [("bob", OVER), ("ann", OVER)]


def test_after_a_stall_a_long_absence_is_noticed_first_and_then_over() -> None:
    absences = of_house()
    absences.begin("ann", now=0, seconds=30)
    assert absences.due(60, 9) == [("ann", NOTICED), ("ann", OVER)]


def test_the_time_in_which_our_loop_stood_still_counts_against_nobody() -> None:
    absences = of_house()
    absences.begin("ann", now=0, seconds=30)
    assert absences.due(2, 9) == [("ann", NOTICED)]
    absences.begin("bob", now=20, seconds=30)
    absences.begin("cid", now=28, seconds=30)  # in the turn after it, before anybody saw it
    absences.put_off(28, 7)
    assert absences.due(28.9, 9) == []
    assert absences.due(29, 9) == [("bob", NOTICED)]
    assert absences.due(30, 9) == [("cid", NOTICED)]
    assert absences.due(36.9, 9) == []
    assert absences.due(37, 9) == [("ann", OVER)]
    assert absences.due(57, 9) == [("bob", OVER)]
    assert absences.due(58, 9) == [("cid", OVER)]


def test_the_end_of_an_absence_tells_whether_it_was_noticed() -> None:
    absences = of_house()
    for who in ("ann", "bob"):
        absences.begin(who, now=0, seconds=30)
    assert absences.end("ann") is False
    absences.due(2, 9)
    assert absences.end("bob") is True
    assert absences.end("bob") is False
    assert absences.due(1000, 9) == []


def test_who_is_away_anew_has_his_full_time_again() -> None:
    absences = of_house()
    absences.begin("ann", now=0, seconds=30)
    absences.end("ann")
    absences.begin("ann", now=1, seconds=30)
    assert absences.due(2.9, 9) == []
    assert absences.due(3, 9) == [("ann", NOTICED)]
    assert absences.due(30.9, 9) == []
    assert absences.due(31, 9) == [("ann", OVER)]


def test_a_hurry_ends_each_5_s_after_it_began_or_now_and_lengthens_none() -> None:
    absences = of_house()
    absences.begin("long ago", now=0, seconds=30)
    absences.begin("just now", now=9, seconds=30)
    absences.begin("short", now=9, seconds=3)
    absences.due(9, 9)
    absences.hurry(10)
    assert absences.due(10, 9) == [("long ago", OVER)]
    assert absences.due(11, 9) == [("just now", NOTICED), ("short", NOTICED)]
    assert absences.due(12, 9) == [("short", OVER)]
    assert absences.due(13.9, 9) == []
    assert absences.due(14, 9) == [("just now", OVER)]


def test_at_most_so_many_are_told_at_once_and_the_rest_waits() -> None:
    absences = of_house()
    for n in range(10):
        absences.begin(str(n), now=0, seconds=30)
    told = [[who for who, _ in absences.due(2, 4)] for _ in range(4)]
    assert told == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"], []]


def test_who_is_away_and_back_100_times_a_second_leaves_nothing_behind() -> None:
    absences = of_house()
    for n in range(100_000):
        absences.begin("ann", now=n / 100, seconds=30)
        absences.end("ann")
    assert len(absences._heap) < 200


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end", "look", "hurry"]),
            st.integers(0, 4),
            st.floats(0, 4),
            st.floats(0.1, 12),
        ),
        max_size=60,
    )
)
def test_each_is_told_at_its_exact_time_whatever_else_happens(
    story: list[tuple[str, int, float, float]],
) -> None:
    """Held against the rule written out: no heap, every absence looked at each time."""
    absences, now = Disconnects[int](away_seconds=2, drain_grace_seconds=5), 0.0
    rule: dict[int, tuple[float, float, bool]] = {}
    for what, who, passed, seconds in story:
        now += passed
        expected = []
        for key, (began, over, noticed) in sorted(rule.items()):
            if not noticed and began + 2 <= now and began + 2 < over:
                expected.append((key, NOTICED))
                rule[key] = (began, over, True)
            if over <= now:
                expected.append((key, OVER))
                del rule[key]
        assert sorted(absences.due(now, 999), key=lambda step: step[0]) == expected
        if what == "begin" and who not in rule:
            absences.begin(who, now=now, seconds=seconds)
            rule[who] = (now, now + seconds, False)
        elif what == "end":
            assert absences.end(who) == rule.pop(who, (0, 0, False))[2]
        elif what == "hurry":
            absences.hurry(now)
            rule = {k: (b, min(o, max(now, b + 5)), n) for k, (b, o, n) in rule.items()}
    assert len(absences) == len(rule)
