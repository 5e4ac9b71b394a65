"""Counting frames in bytes that are cut anywhere."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from lastcall.api.socket.odd_frames import OddFrames
from tests.api.paths import BINARY, CLOSE, PING, PONG, TEXT, frame

FIRST = st.sampled_from([TEXT, BINARY, PING, PONG, CLOSE, 0x00, 0x01, 0x02, 0x80])
frames = st.lists(st.tuples(FIRST, st.sampled_from([0, 1, 125, 126, 300, 65_535, 65_536])))


@given(frames, st.lists(st.integers(1, 400), min_size=1))
def test_frames_that_are_no_whole_messages_are_counted_wherever_their_bytes_are_cut(
    sent: list[tuple[int, int]], sizes: list[int]
) -> None:
    data = b"".join(frame(b"x" * size, first) for first, size in sent)
    found: list[int] = []
    odd, at = OddFrames(found.append), 0
    for turn in range(len(data)):
        size = sizes[turn % len(sizes)]
        odd.count(data[at : at + size], 0)
        assert len(odd._begun) < 10
        at += size
        if at >= len(data):
            break
    assert sum(found) == sum(first not in {TEXT, BINARY} for first, _ in sent)


def test_a_lone_whole_message_is_not_counted() -> None:
    found: list[int] = []
    OddFrames(found.append).count(frame(b"x" * 200), 0)
    assert found == []


def test_it_tells_since_when_a_message_is_not_whole() -> None:
    odd = OddFrames(lambda _: None)
    now = iter(range(100))
    told = []
    for data in (
        frame(b"whole"),
        frame(b"x" * 200)[:100],  # 1
        frame(b"x" * 200)[100:150],
        frame(b"x" * 200)[150:],
        frame(b"a", 0x01),  # 4
        frame(b"", PING),
        frame(b"b", 0x00),
        frame(b"c", 0x80) + frame(b"d", 0x01),  # 7
        frame(b"e", 0x80)[:3],
        frame(b"e", 0x80)[3:],
        frame(b"", PING)[:1],  # 10
        frame(b"", PING)[1:],
    ):
        odd.count(data, next(now))
        told.append(odd.unfinished_since)
    assert told == [inf, 1, 1, inf, 4, 4, 4, 7, 7, inf, 10, inf]
