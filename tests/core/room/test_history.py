from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.history import History
from lastcall.ids import PlayerId

ANN, BOB = PlayerId("ann"), PlayerId("bob")


def filled(count: int, *, messages_max: int = 1000, bytes_max: int = 1 << 20) -> History:
    history = History(messages_max=messages_max, bytes_max=bytes_max)
    for seq in range(1, count + 1):
        history.add(seq, b"%d" % seq, None)
    return history


def test_a_player_is_owed_what_came_after_the_number_he_has_seen() -> None:
    owed, complete = filled(5).since(ANN, 3)
    assert owed == [(4, b"4"), (5, b"5")]
    assert complete


def test_a_private_message_is_owed_to_its_player_alone() -> None:
    history = filled(1)
    history.add(2, b"secret", BOB)
    history.add(3, b"3", None)
    assert history.since(ANN, 0) == ([(1, b"1"), (3, b"3")], True)
    assert history.since(BOB, 0) == ([(1, b"1"), (2, b"secret"), (3, b"3")], True)


def test_over_the_count_the_oldest_is_forgotten_and_that_is_told() -> None:
    history = filled(10, messages_max=4)
    assert history.since(ANN, 6) == ([(7, b"7"), (8, b"8"), (9, b"9"), (10, b"10")], True)
    assert history.since(ANN, 5) == ([(7, b"7"), (8, b"8"), (9, b"9"), (10, b"10")], False)


def test_over_the_bytes_the_oldest_is_forgotten() -> None:
    history = History(messages_max=100, bytes_max=10)
    for seq in range(1, 5):
        history.add(seq, b"xxxx", None)
    assert [seq for seq, _ in history.since(ANN, 0)[0]] == [3, 4]


def test_one_that_has_seen_all_is_owed_nothing() -> None:
    assert filled(7).since(ANN, 7) == ([], True)
    assert filled(0).since(ANN, 0) == ([], True)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([None, ANN, BOB])), max_size=60),
    st.integers(1, 20),
    st.integers(0, 60),
)
def test_what_is_told_as_complete_is_all_that_was_addressed_to_him(
    said: list[tuple[int, PlayerId | None]], messages_max: int, seen: int
) -> None:
    history = History(messages_max=messages_max, bytes_max=200)
    everything = []
    for seq, (size, to) in enumerate(said, 1):
        history.add(seq, b"x" * size, to)
        if seq > seen and to in {None, ANN}:
            everything.append((seq, b"x" * size))
    owed, complete = history.since(ANN, seen)
    assert owed == everything[len(everything) - len(owed) :]
    if complete:
        assert owed == everything
