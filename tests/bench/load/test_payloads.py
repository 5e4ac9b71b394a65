import pytest

from lastcall.bench.load.payloads import HEAD_BYTES, MARK, DeliveryCheck, make_payload

PAD = b"z" * 68


def hear(check: DeliveryCheck, *said: tuple[int, int]) -> None:
    for speaker, n in said:
        check.hear(make_payload(speaker, n, 0, PAD)[:HEAD_BYTES])


def found(check: DeliveryCheck) -> tuple[int, int, int, int]:
    return check.heard, check.lost, check.repeated, check.stray


def test_a_payload_is_a_text_of_100_bytes_that_needs_no_escape_in_json() -> None:
    text = make_payload(99_999, 9_999_999, 10**16 - 1, PAD)

    assert len(text) == 100
    assert text.startswith(MARK)
    assert not set(text) & set(b'"\\')


def test_texts_in_order_are_heard() -> None:
    check = DeliveryCheck(speaker=9, seats=4)  # the room of the speakers 8 to 11

    hear(check, (8, 1), (11, 1), (8, 2), (9, 1))

    assert found(check) == (4, 0, 0, 0)
    assert [check.missing(slot, 2) for slot in range(4)] == [0, 1, 2, 1]


def test_a_gap_of_n_numbers_is_a_loss_of_n_texts() -> None:
    check = DeliveryCheck(speaker=0, seats=2)

    hear(check, (1, 1), (1, 4))

    assert found(check) == (2, 2, 0, 0)


def test_a_repeated_or_late_text_is_not_heard_a_second_time() -> None:
    check = DeliveryCheck(speaker=0, seats=2)

    hear(check, (1, 1), (1, 1), (1, 3), (1, 2))

    assert found(check) == (2, 1, 2, 0)


@pytest.mark.parametrize("speaker", [7, 12])
def test_a_text_from_another_room_is_astray(speaker: int) -> None:
    check = DeliveryCheck(speaker=9, seats=4)

    hear(check, (speaker, 1))

    assert found(check) == (0, 0, 0, 1)


def test_only_the_speaker_learns_the_time_of_a_text() -> None:
    check = DeliveryCheck(speaker=9, seats=4)

    assert check.hear(make_payload(9, 1, 123_456, PAD)) == 123_456
    assert check.hear(make_payload(8, 1, 123_456, PAD)) is None


def test_the_last_speaker_of_a_room_counts_its_own_missing_texts_by_its_own_seat() -> None:
    check = DeliveryCheck(speaker=11, seats=4)

    hear(check, (11, 1))

    assert check.missing(check.own_slot, 3) == 2
