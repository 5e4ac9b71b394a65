from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.link.uplink import Outgoing, ReplyCache
from lastcall.core.sequence import SequenceCheck


def test_a_request_takes_all_that_has_gathered() -> None:
    waiting: Outgoing[bytes] = Outgoing()
    for item in (b"a", b"b", b"c"):
        waiting.push(item, len(item))
    assert waiting.take(100) == (1, [b"a", b"b", b"c"])
    assert waiting.take(100) == (2, [])


def test_a_request_is_bounded_but_a_large_item_still_goes() -> None:
    waiting: Outgoing[bytes] = Outgoing()
    for item in (b"x" * 50, b"y", b"z" * 9):
        waiting.push(item, len(item))
    assert waiting.take(10) == (1, [b"x" * 50])
    assert waiting.take(10) == (2, [b"y", b"z" * 9])
    assert not waiting.pressing


def test_what_does_not_press_waits_for_company_and_keeps_its_place_in_the_order() -> None:
    waiting: Outgoing[bytes] = Outgoing()
    waiting.push(b"a", 1, pressing=False)
    assert not waiting.pressing
    waiting.push(b"b", 1)
    assert waiting.pressing
    assert waiting.take(100) == (1, [b"a", b"b"])
    assert not waiting.pressing


def test_what_a_full_request_leaves_behind_is_worth_the_next() -> None:
    waiting: Outgoing[bytes] = Outgoing()
    for item in (b"x" * 50, b"y" * 50):
        waiting.push(item, len(item), pressing=False)
    waiting.take(60)
    assert waiting.pressing


def test_a_number_that_was_had_gets_the_same_reply_and_a_strange_one_loses_the_link() -> None:
    requests = ReplyCache()
    assert requests.judge(1) is SequenceCheck.NEXT
    requests.applied(1, b"reply")
    assert requests.judge(1) is SequenceCheck.REPEAT
    assert requests.reply == b"reply"
    assert requests.judge(2) is SequenceCheck.NEXT
    assert requests.judge(3) is SequenceCheck.GAP
    assert requests.judge(0) is SequenceCheck.GAP


def test_before_the_first_request_nothing_is_a_repeat() -> None:
    assert ReplyCache().judge(0) is SequenceCheck.GAP


@given(seed=st.integers(0, 2**32), count=st.integers(0, 200), repeat=st.floats(0, 0.9))
def test_each_item_is_applied_once_and_in_order_however_often_a_request_is_said(
    seed: int, count: int, repeat: float
) -> None:
    rng = random.Random(seed)
    waiting: Outgoing[bytes] = Outgoing()
    requests, applied = ReplyCache(), []
    items = [b"%d" % i for i in range(count)]
    left = list(items)
    while left or waiting.pressing:
        for _ in range(min(rng.randrange(5), len(left))):
            item = left.pop(0)
            waiting.push(item, len(item))
        number, batch = waiting.take(12)
        said = 1 + sum(rng.random() < repeat for _ in range(3))
        for _ in range(said):
            if requests.judge(number) is SequenceCheck.NEXT:
                applied += batch
                requests.applied(number, b"ok")
            else:
                assert requests.judge(number) is SequenceCheck.REPEAT
    assert applied == items
