"""Images in parts: whatever comes, either the whole image is put together, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lastcall.core.survival.parts import Assembly, split
from lastcall.ids import Incarnation, RoomId
from lastcall.wire.images import PART_BYTES
from lastcall.wire.survival_items import Config

ROOM = RoomId("game-1.r")
CONFIG = Config(2, Incarnation(1))
ONE, TWO = Incarnation(1), Incarnation(2)


@given(st.integers(0, 3 * PART_BYTES + 1))
def test_the_parts_of_an_image_are_bounded_and_make_the_image_again(size: int) -> None:
    image = bytes(size)
    parts = list(split(ROOM, 7, CONFIG, image))
    assert len(parts) == max(1, -(-size // PART_BYTES))
    assert all(len(part.data) <= PART_BYTES for part in parts)
    assembly = Assembly(4 * PART_BYTES)
    assert [assembly.add(ONE, part) for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert assembly.add(ONE, parts[-1]) == (parts[-1], image)
    assert assembly.size == 0


def test_images_of_two_nodes_do_not_mix() -> None:
    assembly = Assembly(4 * PART_BYTES)
    first = list(split(ROOM, 7, CONFIG, bytes(PART_BYTES + 1)))
    other = list(split(ROOM, 7, CONFIG, b"x" * (PART_BYTES + 1)))
    assert assembly.add(ONE, first[0]) is None
    assert assembly.add(TWO, other[0]) is None
    assert assembly.add(TWO, other[1]) == (other[1], b"x" * (PART_BYTES + 1))
    assert assembly.add(ONE, first[1]) == (first[1], bytes(PART_BYTES + 1))


@pytest.mark.parametrize("missing", [0, 1])
def test_an_image_with_a_missing_part_is_nothing(missing: int) -> None:
    assembly = Assembly(4 * PART_BYTES)
    parts = list(split(ROOM, 7, CONFIG, bytes(3 * PART_BYTES)))
    del parts[missing]
    assert [assembly.add(ONE, part) for part in parts] == [None, None]
    assert assembly.size == 0


def test_parts_of_two_images_do_not_make_one() -> None:
    assembly = Assembly(4 * PART_BYTES)
    parts = list(split(ROOM, 7, CONFIG, bytes(2 * PART_BYTES)))
    assert assembly.add(ONE, parts[0]) is None
    assert assembly.add(ONE, replace(parts[1], n=8)) is None
    assert assembly.size == 0


def test_an_image_over_the_limit_comes_without_its_data_and_once() -> None:
    assembly = Assembly(PART_BYTES)
    parts = list(split(ROOM, 7, CONFIG, bytes(3 * PART_BYTES)))
    assert [assembly.add(ONE, part) for part in parts] == [None, (parts[1], None), None]
    assert assembly.size == 0


def test_the_parts_of_a_lost_link_are_dropped() -> None:
    assembly = Assembly(4 * PART_BYTES)
    parts = list(split(ROOM, 7, CONFIG, bytes(2 * PART_BYTES)))
    assembly.add(ONE, parts[0])
    assembly.drop(ONE)
    assert assembly.size == 0
    assert assembly.add(ONE, parts[1]) is None
