import pytest

from lastcall.bench.load.payloads import HEAD_BYTES, MARK, DeliveryCheck, make_payload

PAD = b"z" * 68


def hear(ear: DeliveryCheck, *said: tuple[int, int]) -> None:
    for speaker, n in said:
        ear.hear(make_payload(speaker, n, 0, PAD)[:HEAD_BYTES])


def found(ear: DeliveryCheck) -> tuple[int, int, int, int]:
    return ear.heard, ear.lost, ear.repeated, ear.stray


def test_a_stamp_with_its_pad_is_a_text_of_100_bytes_that_needs_no_escape_in_json() -> None:
    text = make_payload(99_999, 9_999_999, 10**16 - 1, PAD)

    assert len(text) == 100
    assert text.startswith(MARK)
    assert not set(text) & set(b'"\\')


def test_what_everybody_says_in_order_is_heard() -> None:
    ear = DeliveryCheck(speaker=9, seats=4)  # the room of the speakers 8 to 11

    hear(ear, (8, 1), (11, 1), (8, 2), (9, 1))

    assert found(ear) == (4, 0, 0, 0)
    assert [ear.missing(slot, 2) for slot in range(4)] == [0, 1, 2, 1]


def test_a_hole_is_a_loss_of_as_many() -> None:
    ear = DeliveryCheck(speaker=0, seats=2)

    hear(ear, (1, 1), (1, 4))

    assert found(ear) == (2, 2, 0, 0)


def test_what_comes_twice_or_late_is_not_heard_a_second_time() -> None:
    ear = DeliveryCheck(speaker=0, seats=2)

    hear(ear, (1, 1), (1, 1), (1, 3), (1, 2))

    assert found(ear) == (2, 1, 2, 0)


@pytest.mark.parametrize("speaker", [7, 12])
def test_what_was_said_in_another_room_is_astray(speaker: int) -> None:
    ear = DeliveryCheck(speaker=9, seats=4)

    hear(ear, (speaker, 1))

    assert found(ear) == (0, 0, 0, 1)


def test_only_the_speaker_itself_learns_when_it_was_said() -> None:
    ear = DeliveryCheck(speaker=9, seats=4)

    assert ear.hear(make_payload(9, 1, 123_456, PAD)) == 123_456
    assert ear.hear(make_payload(8, 1, 123_456, PAD)) is None


def test_what_the_last_speaker_of_a_room_has_not_heard_of_itself_is_by_its_own_seat() -> None:
    ear = DeliveryCheck(speaker=11, seats=4)

    hear(ear, (11, 1))

    assert ear.missing(ear.own_slot, 3) == 2
