"""Which connection gives way when a port is full."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.connection_slots import ConnectionSlots

LIMIT = 4
STEPS = st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 5)), max_size=60)


@given(STEPS)
def test_a_newcomer_always_gets_a_slot_and_nobody_loses_one_to_an_address_that_holds_more(
    steps: list[tuple[str, int]],
) -> None:
    slots = ConnectionSlots[int](LIMIT)
    held: dict[int, str] = {}  # in the order of their coming
    for number, (step, who) in enumerate(steps):
        if step == "remove":
            key = list(held)[who % len(held)] if held else number
            held.pop(key, None)
            slots.remove(key)
        else:
            address = f"10.0.0.{who}"
            victim = slots.add(number, address)
            counts = Counter(held.values())
            assert (victim is None) == (len(held) < LIMIT)
            if victim is not None:
                gives = held[victim]
                assert counts[gives] == max(counts.values())
                assert victim == next(key for key, one in held.items() if one == gives)
                assert counts[gives] >= counts[address]
                del held[victim]
            held[number] = address
        assert len(slots) == len(held) <= LIMIT


def test_a_probe_keeps_its_only_slot_while_a_stranger_opens_ten_thousand() -> None:
    slots = ConnectionSlots[str](64)
    slots.add("probe", "10.0.0.1")
    victims = [slots.add(f"stranger {number}", "10.6.6.6") for number in range(10_000)]
    assert "probe" not in victims
    assert victims[:63] == [None] * 63
    assert victims[63] == "stranger 0"


def test_where_two_addresses_hold_the_same_the_newcomer_takes_from_its_own() -> None:
    slots = ConnectionSlots[str](4)
    for key, address in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")):
        slots.add(key, address)
    assert slots.add("b3", "b") == "b1"
    assert slots.add("a3", "a") == "a1"
