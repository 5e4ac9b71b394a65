from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.disconnects import Disconnects, Step

NOTICED, OVER = Step.NOTICED, Step.OVER


def disconnects_of_a_node() -> Disconnects[str]:
    return Disconnects(away_seconds=2, drain_grace_seconds=5)


def test_a_disconnect_is_noticed_after_2_s_and_over_after_its_30_s() -> None:
    disconnects = disconnects_of_a_node()
    disconnects.begin("ann", now=100, seconds=30)
    assert disconnects.next_at == 102
    assert disconnects.due(101.9, 9) == []
    assert disconnects.due(102, 9) == [("ann", NOTICED)]
    assert disconnects.next_at == 130
    assert disconnects.due(129.9, 9) == []
    assert disconnects.due(130, 9) == [("ann", OVER)]
    assert (len(disconnects), disconnects.next_at) == (0, inf)


def test_a_disconnect_that_is_over_within_2_s_is_never_noticed() -> None:
    disconnects = disconnects_of_a_node()
    disconnects.begin("ann", now=0, seconds=2)
    disconnects.begin("bob", now=0, seconds=1)
    assert disconnects.due(9, 9) == [("bob", OVER), ("ann", OVER)]


def test_after_a_stall_a_long_disconnect_is_noticed_first_and_then_over() -> None:
    disconnects = disconnects_of_a_node()
    disconnects.begin("ann", now=0, seconds=30)
    assert disconnects.due(60, 9) == [("ann", NOTICED), ("ann", OVER)]


def test_the_time_of_a_stall_of_the_loop_does_not_count() -> None:
    disconnects = disconnects_of_a_node()
    disconnects.begin("ann", now=0, seconds=30)
    assert disconnects.due(2, 9) == [("ann", NOTICED)]
    disconnects.begin("bob", now=20, seconds=30)
    # In the turn after the stall, before the stall is noticed:
    disconnects.begin("cid", now=28, seconds=30)
    disconnects.postpone(28, 7)
    assert disconnects.due(28.9, 9) == []
    assert disconnects.due(29, 9) == [("bob", NOTICED)]
    assert disconnects.due(30, 9) == [("cid", NOTICED)]
    assert disconnects.due(36.9, 9) == []
    assert disconnects.due(37, 9) == [("ann", OVER)]
    assert disconnects.due(57, 9) == [("bob", OVER)]
    assert disconnects.due(58, 9) == [("cid", OVER)]


def test_the_end_of_a_disconnect_returns_whether_it_was_noticed() -> None:
    disconnects = disconnects_of_a_node()
    for player in ("ann", "bob"):
        disconnects.begin(player, now=0, seconds=30)
    assert disconnects.end("ann") is False
    disconnects.due(2, 9)
    assert disconnects.end("bob") is True
    assert disconnects.end("bob") is False
    assert disconnects.due(1000, 9) == []


def test_a_second_disconnect_of_a_player_has_the_full_time() -> None:
    disconnects = disconnects_of_a_node()
    disconnects.begin("ann", now=0, seconds=30)
    disconnects.end("ann")
    disconnects.begin("ann", now=1, seconds=30)
    assert disconnects.due(2.9, 9) == []
    assert disconnects.due(3, 9) == [("ann", NOTICED)]
    assert disconnects.due(30.9, 9) == []
    assert disconnects.due(31, 9) == [("ann", OVER)]


def test_a_drain_shortens_each_disconnect_to_5_s_and_lengthens_none() -> None:
    disconnects = disconnects_of_a_node()
    disconnects.begin("long ago", now=0, seconds=30)
    disconnects.begin("just now", now=9, seconds=30)
    disconnects.begin("short", now=9, seconds=3)
    disconnects.due(9, 9)
    disconnects.shorten(10)
    assert disconnects.due(10, 9) == [("long ago", OVER)]
    assert disconnects.due(11, 9) == [("just now", NOTICED), ("short", NOTICED)]
    assert disconnects.due(12, 9) == [("short", OVER)]
    assert disconnects.due(13.9, 9) == []
    assert disconnects.due(14, 9) == [("just now", OVER)]


def test_one_call_returns_a_limited_number_of_steps_and_the_next_call_the_rest() -> None:
    disconnects = disconnects_of_a_node()
    for n in range(10):
        disconnects.begin(str(n), now=0, seconds=30)
    steps = [[player for player, _ in disconnects.due(2, 4)] for _ in range(4)]
    assert steps == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"], []]


def test_a_player_who_is_away_and_back_100_times_a_second_leaves_no_entries_behind() -> None:
    disconnects = disconnects_of_a_node()
    for n in range(100_000):
        disconnects.begin("ann", now=n / 100, seconds=30)
        disconnects.end("ann")
    assert len(disconnects._heap) < 200


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end", "look", "shorten"]),
            st.integers(0, 4),
            st.floats(0, 4),
            st.floats(0.1, 12),
        ),
        max_size=60,
    )
)
def test_each_step_is_due_at_its_exact_time_whatever_else_happens(
    steps: list[tuple[str, int, float, float]],
) -> None:
    """Compares with a model without a heap that checks every disconnect each time."""
    disconnects, now = Disconnects[int](away_seconds=2, drain_grace_seconds=5), 0.0
    model: dict[int, tuple[float, float, bool]] = {}
    for step, player, passed, seconds in steps:
        now += passed
        expected = []
        for key, (began, over, noticed) in sorted(model.items()):
            if not noticed and began + 2 <= now and began + 2 < over:
                expected.append((key, NOTICED))
                model[key] = (began, over, True)
            if over <= now:
                expected.append((key, OVER))
                del model[key]
        assert sorted(disconnects.due(now, 999), key=lambda due: due[0]) == expected
        if step == "begin" and player not in model:
            disconnects.begin(player, now=now, seconds=seconds)
            model[player] = (now, now + seconds, False)
        elif step == "end":
            assert disconnects.end(player) == model.pop(player, (0, 0, False))[2]
        elif step == "shorten":
            disconnects.shorten(now)
            model = {k: (b, min(o, max(now, b + 5)), n) for k, (b, o, n) in model.items()}
    assert len(disconnects) == len(model)
