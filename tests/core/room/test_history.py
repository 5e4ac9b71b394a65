from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.history import History, Unseen
from lastcall.ids import PlayerId

ANN, BOB = PlayerId("ann"), PlayerId("bob")


def filled(count: int, *, messages_max: int = 1000, bytes_max: int = 1 << 20) -> History:
    history = History(messages_max=messages_max, bytes_max=bytes_max)
    for seq in range(1, count + 1):
        assert history.add(b"%d" % seq, None) == seq
    return history


def test_a_player_gets_the_messages_after_the_number_they_have_seen() -> None:
    unseen = filled(5).unseen(ANN, 3)
    assert unseen == Unseen(3, [(4, b"4"), (5, b"5")], complete=True)


def test_a_private_message_is_replayed_only_to_its_player() -> None:
    history = filled(1)
    history.add(b"secret", BOB)
    history.add(b"3", None)
    assert history.unseen(ANN, 0) == (0, [(1, b"1"), (3, b"3")], True)
    assert history.unseen(BOB, 0) == (0, [(1, b"1"), (2, b"secret"), (3, b"3")], True)


def test_over_the_count_the_oldest_message_is_forgotten_and_the_replay_is_incomplete() -> None:
    history = filled(10, messages_max=4)
    left = [(7, b"7"), (8, b"8"), (9, b"9"), (10, b"10")]
    assert history.unseen(ANN, 6) == (6, left, True)
    assert history.unseen(ANN, 5) == (6, left, False)


def test_over_the_bytes_the_oldest_messages_are_forgotten() -> None:
    history = History(messages_max=100, bytes_max=10)
    for _ in range(4):
        history.add(b"xxxx", None)
    assert [seq for seq, _ in history.unseen(ANN, 0).messages] == [3, 4]


def test_a_player_who_has_seen_all_messages_gets_none() -> None:
    assert filled(7).unseen(ANN, 7) == (7, [], True)
    assert filled(0).unseen(ANN, 0) == (0, [], True)


def test_an_incomplete_replay_starts_after_the_last_forgotten_number() -> None:
    unseen = filled(10, messages_max=2).unseen(ANN, 3)
    assert unseen == Unseen(8, [(9, b"9"), (10, b"10")], complete=False)


def test_if_no_message_is_left_the_player_continues_at_the_rooms_number() -> None:
    assert filled(10, messages_max=0).unseen(ANN, 3) == Unseen(10, [], complete=False)


def test_if_only_messages_for_others_are_left_the_player_continues_at_the_rooms_number() -> None:
    history = History(messages_max=1, bytes_max=100)
    history.add(b"1", None)
    history.add(b"2", BOB)
    assert history.unseen(ANN, 0) == Unseen(2, [], complete=False)


def test_after_the_messages_are_moved_out_only_the_number_is_left() -> None:
    history = filled(3)
    moved = history.move_out()
    assert moved.unseen(ANN, 1) == (1, [(2, b"2"), (3, b"3")], True)
    assert (history.unseen(ANN, 0), history.memory) == ((0, [], True), 0)
    assert (history.add(b"4", None), moved.seq) == (4, 3)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([None, ANN, BOB])), max_size=60),
    st.integers(1, 20),
    st.integers(0, 60),
)
def test_a_complete_replay_is_all_that_was_sent_to_the_player(
    sent: list[tuple[int, PlayerId | None]], messages_max: int, seen: int
) -> None:
    history = History(messages_max=messages_max, bytes_max=200)
    everything = []
    for size, to in sent:
        seq = history.add(b"x" * size, to)
        if seq > seen and to in {None, ANN}:
            everything.append((seq, b"x" * size))
    unseen = history.unseen(ANN, seen)
    assert unseen.messages == everything[len(everything) - len(unseen.messages) :]
    if unseen.complete:
        assert unseen.messages == everything


@pytest.mark.parametrize("to", [None, ANN])
def test_its_estimate_of_its_memory_is_right_within_a_quarter(to: PlayerId | None) -> None:
    tracemalloc.start()
    try:
        history = History(messages_max=1024, bytes_max=1 << 20)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2_000):
            history.add(b'{"n":%4d,"said":"%s"}' % (number, b"x" * 80), to)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken == pytest.approx(history.memory, rel=0.25)
