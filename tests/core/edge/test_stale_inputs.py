from __future__ import annotations

from lastcall.core.edge.stale_inputs import STALE_SECONDS, StaleInputGuard
from lastcall.ids import RoomId

OLD, NEW = RoomId("game-1.old"), RoomId("game-2.new")


def regrouped(seq: int = 0) -> StaleInputGuard:
    guard = StaleInputGuard()
    guard.joined(OLD, 0, 1.0, again=False)
    guard.place_over()
    guard.joined(NEW, seq, 10.0, again=True)
    return guard


def test_an_input_without_a_room_is_forgiven_only_after_a_room_has_ended() -> None:
    guard = StaleInputGuard()
    assert not guard.forgiven
    guard.joined(OLD, 0, 1.0, again=False)
    guard.place_over()
    assert guard.forgiven
    guard.join_requested()
    assert not guard.forgiven


def test_after_the_first_joined_no_input_is_stale() -> None:
    guard = StaleInputGuard()
    guard.joined(OLD, 0, 1.0, again=False)
    assert not guard.stale(1.0)


def test_after_a_second_joined_inputs_are_stale_until_it_is_answered() -> None:
    guard = regrouped()
    assert guard.stale(10.0)
    guard.got(NEW, 0)
    assert not guard.stale(10.0)


def test_a_got_about_the_previous_room_does_not_count() -> None:
    guard = regrouped()
    guard.got(OLD, 0)
    assert guard.stale(10.5)


def test_a_got_without_a_room_counts_if_its_number_fits() -> None:
    guard = regrouped(seq=4)
    guard.got(RoomId(""), 7)
    assert guard.stale(10.5)
    guard.got(RoomId(""), 4)
    assert not guard.stale(10.5)


def test_inputs_of_a_client_that_never_answers_count_after_2_s() -> None:
    guard = regrouped()
    assert guard.stale(10.0 + STALE_SECONDS - 0.01)
    assert not guard.stale(10.0 + STALE_SECONDS)
