from __future__ import annotations

from lastcall.core.room.history import History
from lastcall.core.room.replay import Missed, missed
from lastcall.ids import PlayerId

ANN, BOB = PlayerId("ann"), PlayerId("bob")


def history_of(count: int, *, keeps: int = 1000) -> History:
    history = History(messages_max=keeps, bytes_max=1 << 20)
    for seq in range(1, count + 1):
        history.add(seq, b"%d" % seq, None)
    return history


def test_what_is_all_there_follows_what_he_has_seen() -> None:
    owed = missed(history_of(5), ANN, seen=3, seq=5)
    assert owed == Missed(3, [(4, b"4"), (5, b"5")], complete=True)


def test_what_is_left_of_it_follows_the_number_before() -> None:
    owed = missed(history_of(10, keeps=2), ANN, seen=3, seq=10)
    assert owed == Missed(8, [(9, b"9"), (10, b"10")], complete=False)


def test_if_nothing_is_left_the_rooms_number_is_where_he_is() -> None:
    assert missed(history_of(10, keeps=0), ANN, seen=3, seq=10) == Missed(10, [], complete=False)


def test_if_only_others_messages_are_left_the_rooms_number_is_where_he_is() -> None:
    history = History(messages_max=1, bytes_max=100)
    history.add(1, b"1", None)
    history.add(2, b"2", BOB)
    assert missed(history, ANN, seen=0, seq=2) == Missed(2, [], complete=False)
