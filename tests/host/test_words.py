"""Words of a surviving room: they leave in order, and none before its step may."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall.host.words import WAITING_BYTES, WORD_BYTES, Words
from lastcall.ids import LinkId, RoomId
from lastcall.wire import nodes

NORTH = LinkId(1)


def word(seq: int, size: int = 0) -> nodes.Message:
    return nodes.Message(RoomId("r"), 0, seq, b"x" * size)


def held() -> tuple[Words, list[int]]:
    """Words that wait, and the numbers of those that have left."""
    left: list[int] = []
    words = Words(lambda _, item: left.append(getattr(item, "seq", 0)))
    words.hold(0)
    return words, left


def test_words_leave_at_once_until_the_room_has_an_image() -> None:
    left: list[int] = []
    words = Words(lambda _, item: left.append(getattr(item, "seq", 0)))
    words.put(NORTH, word(1))
    words.hold(0)
    words.put(NORTH, word(2))
    assert left == [1]


def test_words_wait_for_the_step_that_they_were_sealed_with() -> None:
    words, left = held()
    words.put(NORTH, word(1))
    words.seal(4)
    words.put(NORTH, word(2))
    words.leave(3)
    assert left == []
    words.leave(9)
    assert left == [1], "the second one is in no step yet"
    words.seal(9)
    assert left == [1, 2]


def test_a_step_that_was_confirmed_before_its_seal_lets_the_words_leave() -> None:
    words, left = held()
    words.put(NORTH, word(1))
    words.leave(5)
    assert left == []
    words.seal(5)
    assert left == [1]


def test_an_answer_that_comes_out_of_turn_holds_nothing_back() -> None:
    words, left = held()
    for n in (1, 2):
        words.put(NORTH, word(n))
        words.seal(n)
    words.leave(2)
    words.leave(1)
    words.put(NORTH, word(3))
    words.seal(2)
    assert left == [1, 2, 3]


@given(st.lists(st.sampled_from(["put", "seal", "leave", "let_go", "drop"]), max_size=40))
def test_words_leave_in_order_and_only_with_their_step(acts: list[str]) -> None:
    words, left = held()
    said: list[tuple[int, int | None]] = []
    step = confirmed = 0
    over = False
    for act in acts:
        if act == "put":
            words.put(NORTH, word(len(said) + 1))
            said.append((len(said) + 1, None))
        elif act == "seal":
            step += 1
            words.seal(step)
            said = [(seq, step if n is None else n) for seq, n in said]
        elif act == "leave" and confirmed < step:
            confirmed += 1
            words.leave(confirmed)
        elif act in ("let_go", "drop"):
            before = list(left)
            words.let_go() if act == "let_go" else words.drop()
            assert left == (before if act == "drop" else [seq for seq, _ in said])
            over = True
            break
        assert left == [seq for seq, n in said if n is not None and n <= confirmed]
    assert not over or len(words) == 0


def test_the_bytes_of_steps_count_although_nothing_is_said() -> None:
    words, _ = held()
    for n in range(1, 6):
        words.seal(n, WAITING_BYTES // 4)
        assert words.full == (n == 5)
    words.leave(1)
    assert not words.full


def test_words_over_the_bound_are_full_until_half_of_them_are_gone() -> None:
    words, _ = held()
    size = WAITING_BYTES // 4 - WORD_BYTES
    for n in range(1, 6):
        words.put(NORTH, word(n, size))
        words.seal(n)
    assert words.full
    calm: list[float] = []

    async def wait() -> None:
        await words.wait_calm()
        calm.append(trio.current_time())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for n in range(1, 4):
                await wait_all_tasks_blocked()
                assert calm == []
                words.leave(n)
            await wait_all_tasks_blocked()
            assert calm == [0.0]

    trio.run(main, clock=MockClock())


def test_a_room_whose_words_are_dropped_does_not_wait_for_calm() -> None:
    words, left = held()
    words.put(NORTH, word(1, 2 * WAITING_BYTES))
    words.drop()
    assert not words.full
    words.put(NORTH, word(2))
    assert left == []
