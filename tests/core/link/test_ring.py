"""The bounds of the rings of a game node's links, and which ring overflows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lastcall.core.excess import ITEM_BYTES, REFERENCE_BYTES, Excess
from lastcall.core.link.feed import FeedRing
from lastcall.policy import LinkPolicy

SMALL = LinkPolicy(
    ring_items=20,
    ring_bytes=1_000,
    ring_items_max=60,
    ring_bytes_max=3_000,
    rings_excess_bytes=6_000,
)
LARGEST = 1_200


def rings(count: int, policy: LinkPolicy = SMALL) -> tuple[Excess, list[FeedRing]]:
    excess = Excess(policy.rings_excess_bytes)
    return excess, [FeedRing(policy, excess) for _ in range(count)]


def test_a_burst_over_the_share_waits_and_is_confirmed_in_order() -> None:
    excess, (ring,) = rings(1)
    items = [bytes([number]) * 100 for number in range(30)]
    for item in items:
        ring.push(item)
    assert (ring.overflowed, ring.over_share, ring.bytes_held) == ("", True, 3_000)
    assert excess.bytes == 20 * (100 + ITEM_BYTES)
    assert [item for _, run in ring.fresh(500) for item in run] == items
    ring.confirm(15)
    assert (ring.over_share, excess.bytes) == (True, 15 * (100 + ITEM_BYTES))
    ring.confirm(20)
    assert (ring.over_share, excess.bytes) == (False, 0)
    assert ring.again([(1, 30)], 400) == [(21, items[20:24])]


def test_a_ring_over_a_hard_bound_is_emptied_and_says_which() -> None:
    excess, (bytes_wait, items_wait) = rings(2)
    for _ in range(4):
        bytes_wait.push(bytes(1_000))
    assert bytes_wait.overflowed == "more than 3000 bytes wait for it"
    for _ in range(61):
        items_wait.push(b"x")
    assert items_wait.overflowed == "more than 60 items wait for it"
    assert (bytes_wait.bytes_held, items_wait.bytes_held, excess.bytes) == (0, 0, 0)


def test_what_waits_for_all_links_is_bounded_and_a_link_within_its_share_is_not_judged() -> None:
    _, (first, second, modest) = rings(3)
    for number in range(8):
        for ring in (first, second):
            ring.push(bytes([number]) * 370 + ring.overflowed.encode())
    for _ in range(10):
        modest.push(bytes(100))
    assert second.overflowed == "more than 6000 bytes wait for all api nodes"
    assert (first.overflowed, modest.overflowed) == ("", "")
    assert (first.bytes_held, second.bytes_held, modest.bytes_held) == (2_960, 0, 1_000)


def test_a_broadcast_to_a_thousand_api_nodes_counts_once() -> None:
    policy = LinkPolicy(ring_bytes=0)
    excess, all_rings = rings(1_000, policy)
    item = bytes(250_000)
    for ring in all_rings:
        ring.push(item)
    assert excess.bytes == len(item) + ITEM_BYTES + 999 * REFERENCE_BYTES
    for ring in all_rings:
        list(ring.fresh(1))
        ring.confirm(1)
    assert excess.bytes == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sets(st.integers(0, 2)), st.integers(1, LARGEST)),
        st.tuples(st.just("publish"), st.sets(st.integers(0, 2)), st.just(0)),
        st.tuples(st.just("confirm"), st.sets(st.integers(0, 2)), st.integers(0, 40)),
        st.tuples(st.just("clear"), st.sets(st.integers(0, 2), max_size=1), st.just(0)),
    ),
    max_size=150,
)


@settings(deadline=None, max_examples=300)
@given(STEPS)
def test_whatever_happens_memory_is_bounded_and_no_ring_within_its_share_overflows(
    steps: list[tuple[str, set[int], int]],
) -> None:
    excess, all_rings = rings(3)
    waiting: list[list[bytes]] = [[], [], []]
    for step, chosen, number in steps:
        item = bytes(number) if step == "push" else b""
        for index in chosen:
            ring, mine = all_rings[index], waiting[index]
            before = ring.confirmed
            if step == "push" and not ring.overflowed:
                mine.append(item)
                ring.push(item)
                if ring.overflowed:
                    over = sum(map(len, mine)) > 1_000 or len(mine) > 20
                    assert over, "it was within its share"
                    mine.clear()
            elif step == "publish":
                list(ring.fresh(500))
            elif step == "confirm":
                ring.confirm(before + number)
                del mine[: ring.confirmed - before]
            elif step == "clear":
                ring.clear()
                mine.clear()
            assert ring.bytes_held == sum(map(len, mine)) <= SMALL.ring_bytes_max
            assert ring.head - ring.confirmed == len(mine) <= SMALL.ring_items_max
        beyond = max(sum(map(len, mine)) - SMALL.ring_bytes for mine in waiting)
        assert max(0, beyond) <= excess.bytes <= SMALL.rings_excess_bytes
    for ring in all_rings:
        list(ring.fresh(500))
        ring.confirm(ring.head)
    assert excess.bytes == 0


def test_the_most_that_a_node_keeps_for_ten_api_nodes_is_576_mib() -> None:
    policy, mib = LinkPolicy(), 1024 * 1024
    assert 10 * policy.ring_bytes + policy.rings_excess_bytes == 576 * mib
    assert policy.ring_bytes < policy.ring_bytes_max <= policy.rings_excess_bytes
    assert policy.ring_items < policy.ring_items_max
    assert policy.confirm_bytes < policy.ring_bytes
