from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.edge.input_window import InputWindow


def window(inputs_max: int = 4, bytes_max: int = 100) -> InputWindow:
    return InputWindow(inputs_max, bytes_max)


def test_the_next_input_is_kept_and_a_repeat_is_not() -> None:
    inputs = window()
    assert inputs.take(1, b"a")
    assert not inputs.take(1, b"other")
    assert inputs.unacked_from(1) == [(1, b"a")]


def test_a_gap_changes_nothing() -> None:
    inputs = window()
    inputs.take(1, b"a")
    assert not inputs.take(3, b"c")
    assert inputs.last == 1
    assert inputs.take(2, b"b")


def test_an_input_that_was_acked_is_still_a_repeat() -> None:
    inputs = window()
    inputs.take(1, b"a")
    inputs.ack(1)
    assert not inputs.take(1, b"a")


def test_a_window_is_full_at_its_count_and_an_ack_makes_room() -> None:
    inputs = window(inputs_max=2)
    inputs.take(1, b"a")
    assert not inputs.full
    inputs.take(2, b"b")
    assert inputs.full
    assert inputs.ack(1)
    assert not inputs.full


def test_a_window_is_full_at_its_bytes() -> None:
    inputs = window(bytes_max=10)
    inputs.take(1, b"x" * 10)
    assert inputs.full


def test_an_input_that_was_already_read_is_kept_even_if_the_window_is_full() -> None:
    inputs = window(inputs_max=1)
    inputs.take(1, b"a")
    assert inputs.take(2, b"b")
    assert inputs.unacked_from(1) == [(1, b"a"), (2, b"b")]


def test_a_shut_window_stays_full_even_when_all_is_acked() -> None:
    inputs = window()
    inputs.take(1, b"a")
    inputs.shut()
    assert (inputs.full, inputs.empty) == (True, False)
    inputs.ack(1)
    assert (inputs.full, inputs.empty) == (True, True)


def test_an_old_ack_changes_nothing() -> None:
    inputs = window()
    inputs.take(1, b"a")
    inputs.take(2, b"b")
    assert inputs.ack(2)
    assert not inputs.ack(1)
    assert not inputs.ack(2)


def test_an_ack_that_is_too_high_acks_only_known_inputs() -> None:
    inputs = window()
    inputs.take(1, b"a")
    inputs.ack(9)
    assert (inputs.acked, inputs.last) == (1, 1)
    assert inputs.take(2, b"b")


def test_the_room_gets_the_input_it_wants_and_all_later_ones_again() -> None:
    inputs = window()
    for n, body in enumerate([b"a", b"b", b"c"], 1):
        inputs.take(n, body)
    inputs.ack(1)
    assert inputs.unacked_from(3) == [(3, b"c")]
    assert inputs.unacked_from(1) == [(2, b"b"), (3, b"c")]
    assert inputs.unacked_from(4) == []


@given(st.lists(st.tuples(st.sampled_from(["say", "ack"]), st.integers(0, 12))))
def test_the_window_always_holds_the_inputs_between_acked_and_last(
    steps: list[tuple[str, int]],
) -> None:
    inputs = window(1_000, 1_000)
    for step, n in steps:
        if step == "say":
            inputs.take(n, b"x" * n)
        else:
            inputs.ack(n)
        held = inputs.unacked_from(0)
        assert [number for number, _ in held] == list(range(inputs.acked + 1, inputs.last + 1))
        assert inputs.bytes_held == sum(len(body) for _, body in held)
