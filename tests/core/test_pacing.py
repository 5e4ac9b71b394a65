import random

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.pacing import spread


def test_without_randomness_each_offset_is_the_beginning_of_its_slot() -> None:
    assert spread(4, 2.0) == [0.0, 0.5, 1.0, 1.5]


def test_no_clients_need_no_slots() -> None:
    assert spread(0, 5.0, random.Random(1)) == []


def test_over_0_s_all_clients_move_at_once() -> None:
    assert spread(3, 0.0, random.Random(1)) == [0.0, 0.0, 0.0]


def test_two_nodes_that_begin_together_use_different_offsets() -> None:
    assert spread(10, 5.0, random.Random(1)) != spread(10, 5.0, random.Random(2))


@given(st.integers(1, 300), st.floats(0.001, 100), st.integers())
def test_each_slot_holds_exactly_one_move(count: int, seconds: float, seed: int) -> None:
    offsets = spread(count, seconds, random.Random(seed))
    slot = seconds / count
    for index, offset in enumerate(offsets):
        assert slot * index <= offset <= slot * (index + 1)
    assert len(offsets) == count
