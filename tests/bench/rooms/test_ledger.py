from collections.abc import Callable

import pytest

from lastcall.bench.rooms.ledger import (
    PlayerLedger,
    RoomLedger,
    Tally,
    Verdict,
    check_room,
    compare,
    is_whispered,
)

PLAYERS = ("ann", "bob", "cem")
SAID = {"ann": [11, 16, 13], "bob": [21, 22], "cem": [32]}
ORDER = [("ann", 11), ("bob", 21), ("ann", 16), ("cem", 32), ("ann", 13), ("bob", 22)]
"""The values 16 and 32 among these are whispered as well."""

Spoil = Callable[[list[PlayerLedger]], object]


def a_good_room() -> tuple[list[PlayerLedger], Tally]:
    """The ledgers of a room without errors."""
    ledgers = {player: PlayerLedger() for player in PLAYERS}
    room_ledger, seq = RoomLedger(), 0
    for player, ledger in ledgers.items():
        ledger.player = player
        ledger.said = list(SAID[player])
    for speaker, value in ORDER:
        room_ledger.record(speaker, value)
        seq += 1
        for ledger in ledgers.values():
            ledger.hear(seq, speaker, value)
        if is_whispered(value):
            seq += 1
            ledgers[speaker].hear_whisper(seq, speaker, value)
    ledgers["ann"].other_seqs.append(seq + 1)
    return list(ledgers.values()), room_ledger.tally()


def verdict_on(spoil: Spoil) -> Verdict:
    ledgers, tally = a_good_room()
    spoil(ledgers)
    return check_room(ledgers, tally)


def counts(verdict: Verdict) -> tuple[int, int, int, int]:
    return verdict.lost, verdict.twice, verdict.disordered, verdict.stray


def test_a_room_without_errors_is_clean() -> None:
    verdict = verdict_on(lambda _: None)

    assert verdict == Verdict(inputs=6, messages=6 * 3 + 2)
    assert verdict.clean


@pytest.mark.parametrize("index", range(7))
def test_each_single_lost_message_is_found(index: int) -> None:
    verdict = verdict_on(lambda room: room[0].heard.pop(index))  # Ann's: six and a whisper

    assert counts(verdict) == (1, 0, 0, 0)
    assert "ann" in verdict.complaints[0]


@pytest.mark.parametrize("index", range(7))
def test_each_single_repeated_message_is_found(index: int) -> None:
    verdict = verdict_on(lambda room: room[0].heard.append(room[0].heard[index]))

    assert counts(verdict) == (0, 1, 0, 0)


def test_a_message_that_arrives_twice_in_a_row_is_found() -> None:
    verdict = verdict_on(lambda room: room[1].heard.insert(2, room[1].heard[2]))

    assert counts(verdict) == (0, 1, 0, 0)


def test_two_messages_in_the_wrong_order_are_found_by_their_numbers() -> None:
    def swap(room: list[PlayerLedger]) -> None:
        heard = room[2].heard
        heard[0], heard[1] = heard[1], heard[0]

    assert counts(verdict_on(swap)) == (0, 0, 1, 0)


def test_two_exchanged_numbers_of_one_player_are_found() -> None:
    def renumber(room: list[PlayerLedger]) -> None:
        (one, *first), (two, *second) = room[2].heard[:2]
        room[2].heard[:2] = [(one, *second), (two, *first)]  # type: ignore[list-item]

    verdict = verdict_on(renumber)

    assert counts(verdict) == (0, 0, 2, 0)
    assert "cem and ann have 2 numbers that differ" in verdict.complaints[0]


def test_an_order_that_all_players_heard_but_the_room_did_not_have_is_found() -> None:
    def renumber(room: list[PlayerLedger]) -> None:
        for ledger in room:
            (one, *first), (two, *second) = ledger.heard[:2]
            ledger.heard[:2] = [(one, *second), (two, *first)]  # type: ignore[list-item]

    assert counts(verdict_on(renumber)) == (0, 0, 1, 0)


def test_a_whisper_that_another_player_hears_is_wrongly_addressed() -> None:
    verdict = verdict_on(lambda room: room[1].hear_whisper(10, "ann", 16))

    assert counts(verdict) == (0, 0, 0, 1)
    assert "bob heard 1 whispers to others" in verdict.complaints[0]


def test_a_message_from_another_room_is_wrongly_addressed() -> None:
    verdict = verdict_on(lambda room: room[1].hear(9, "dan", 41))

    assert counts(verdict) == (0, 0, 0, 1)


def test_a_message_that_nobody_said_is_a_stray() -> None:
    verdict = verdict_on(lambda room: room[1].hear(9, "ann", 99))

    assert counts(verdict) == (0, 0, 0, 1)


def test_a_number_that_no_player_received_is_a_loss() -> None:
    def jump(room: list[PlayerLedger]) -> None:
        for ledger in room:
            seq, *last = ledger.heard[-1]
            ledger.heard[-1] = (seq + 2, *last)  # type: ignore[assignment]

    assert counts(verdict_on(jump)) == (1, 0, 0, 0)  # 8 became 10; 9 is the tally's


def test_an_input_that_the_room_never_had_is_lost_for_it_and_for_each_player() -> None:
    verdict = verdict_on(lambda room: room[0].said.append(17))

    assert counts(verdict) == (1 + 3, 0, 0, 0)
    assert verdict.complaints[0] == "ann said 4 inputs and the room has 3"


def test_an_input_that_the_room_had_twice_is_found_though_all_heard_it_once() -> None:
    ledgers, _ = a_good_room()
    room_ledger = RoomLedger()
    for speaker, value in [*ORDER, ("bob", 22)]:
        room_ledger.record(speaker, value)

    assert counts(check_room(ledgers, room_ledger.tally())) == (0, 1, 0, 0)


def test_inputs_that_the_room_had_in_another_order_are_found() -> None:
    ledgers, _ = a_good_room()
    room_ledger = RoomLedger()
    for speaker, value in [ORDER[2], ORDER[1], ORDER[0], *ORDER[3:]]:
        room_ledger.record(speaker, value)

    assert counts(check_room(ledgers, room_ledger.tally())) == (0, 0, 1, 0)


def test_inputs_of_a_player_outside_the_room_are_found() -> None:
    ledgers, _ = a_good_room()
    room_ledger = RoomLedger()
    for speaker, value in [*ORDER, ("dan", 1)]:
        room_ledger.record(speaker, value)

    assert counts(check_room(ledgers, room_ledger.tally())) == (0, 0, 0, 1)


def test_a_room_that_does_not_send_its_tally_is_not_clean() -> None:
    ledgers, _ = a_good_room()

    assert not check_room(ledgers, None).clean


def test_a_complaint_names_the_number_of_the_first_lost_input() -> None:
    verdict = compare([5, 6, 7], [5, 7, 7, 8], "ann heard of bob")

    assert counts(verdict) == (1, 1, 0, 1)
    assert verdict.complaints == (
        "ann heard of bob: 1 lost, 1 twice, 1 stray of 3 (the first lost is number 2)",
    )


def test_verdicts_add_up_and_keep_the_first_complaints() -> None:
    some = [Verdict(lost=1, complaints=(str(number),)) for number in range(9)]
    total = Verdict(inputs=3)
    for one in some:
        total = total.plus(one)

    assert (total.inputs, total.lost, total.complaints) == (3, 9, ("0", "1", "2", "3", "4"))
