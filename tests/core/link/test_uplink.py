from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.link.uplink import Outgoing, ReplyCache
from lastcall.core.sequence import SequenceCheck


def test_a_request_takes_all_waiting_items() -> None:
    outgoing = Outgoing[bytes](len)
    for item in (b"a", b"b", b"c"):
        outgoing.push(item)
    assert outgoing.take(99, 100) == (1, [b"a", b"b", b"c"])
    assert outgoing.take(99, 100) == (2, [])


def test_a_request_is_bounded_but_one_larger_item_is_sent_alone() -> None:
    outgoing = Outgoing[bytes](len)
    for item in (b"x" * 50, b"y", b"z" * 9):
        outgoing.push(item)
    assert outgoing.take(99, 10) == (1, [b"x" * 50])
    assert outgoing.take(99, 10) == (2, [b"y", b"z" * 9])
    assert not outgoing.pressing


def test_a_request_that_is_not_encoded_takes_all_and_measures_nothing() -> None:
    outgoing = Outgoing[bytes](pytest.fail)
    for item in (b"x" * 50, b"y"):
        outgoing.push(item)
    assert outgoing.take(99) == (1, [b"x" * 50, b"y"])


def test_a_request_has_at_most_so_many_items_and_the_next_one_has_the_others() -> None:
    outgoing = Outgoing[int](lambda _: 1)
    for item in range(5):
        outgoing.push(item)
    assert outgoing.take(3, 100) == (1, [0, 1, 2])
    assert outgoing.pressing == 2
    assert outgoing.take(3, 100) == (2, [3, 4])


def test_an_item_that_is_not_urgent_waits_for_an_urgent_one_and_keeps_its_order() -> None:
    outgoing = Outgoing[bytes](len)
    outgoing.push(b"a", pressing=False)
    assert not outgoing.pressing
    outgoing.push(b"b")
    assert outgoing.pressing
    assert outgoing.take(99, 100) == (1, [b"a", b"b"])
    assert not outgoing.pressing


def test_items_left_over_by_a_full_request_are_urgent() -> None:
    outgoing = Outgoing[bytes](len)
    for item in (b"x" * 50, b"y" * 50):
        outgoing.push(item, pressing=False)
    outgoing.take(99, 60)
    assert outgoing.pressing


def test_a_repeated_request_gets_the_same_reply_and_an_unexpected_number_is_a_gap() -> None:
    requests = ReplyCache()
    assert requests.judge(1) is SequenceCheck.NEXT
    requests.applied(1, b"reply")
    assert requests.judge(1) is SequenceCheck.REPEAT
    assert requests.reply == b"reply"
    assert requests.judge(2) is SequenceCheck.NEXT
    assert requests.judge(3) is SequenceCheck.GAP
    assert requests.judge(0) is SequenceCheck.GAP


def test_request_0_is_a_gap_before_the_first_request() -> None:
    assert ReplyCache().judge(0) is SequenceCheck.GAP


@given(seed=st.integers(0, 2**32), count=st.integers(0, 200), repeat=st.floats(0, 0.9))
def test_each_item_is_applied_once_and_in_order_even_if_requests_are_repeated(
    seed: int, count: int, repeat: float
) -> None:
    rng = random.Random(seed)
    outgoing = Outgoing[bytes](len)
    requests, applied = ReplyCache(), []
    items = [b"%d" % i for i in range(count)]
    remaining = list(items)
    while remaining or outgoing.pressing:
        for _ in range(min(rng.randrange(5), len(remaining))):
            item = remaining.pop(0)
            outgoing.push(item)
        number, batch = outgoing.take(99, 12)
        times = 1 + sum(rng.random() < repeat for _ in range(3))
        for _ in range(times):
            if requests.judge(number) is SequenceCheck.NEXT:
                applied += batch
                requests.applied(number, b"ok")
            else:
                assert requests.judge(number) is SequenceCheck.REPEAT
    assert applied == items
