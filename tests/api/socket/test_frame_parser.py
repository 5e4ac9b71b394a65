"""The same bytes to us and to the library, cut anywhere: the same texts."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Message, TextMessage
from wsproto.utilities import RemoteProtocolError

from lastcall.api.socket.frame_parser import FrameParser

LIMIT = 1000
MASK = b"\x01\x02\x83\x84"


def frame(payload: bytes, *, first: int = 0x81, mask: bytes = MASK, width: int = 0) -> bytes:
    """A client's frame; ``width`` forces a length of 2 or 8 bytes."""
    size = len(payload)
    if width == 8 or size > 65_535:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    elif width == 2 or size > 125:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BB", first, 0x80 | size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def by_library(data: bytes) -> list[str | bytes]:
    """The frames that the library reads from it, up to the first error."""
    connection = Connection(ConnectionType.SERVER)
    seen: list[str | bytes] = []
    partial = ""
    try:
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, TextMessage):
                partial += event.data
                if event.message_finished:
                    seen.append(partial)
                    partial = ""
            elif isinstance(event, Message) and event.message_finished:
                seen.append(b"data")
    except RemoteProtocolError:
        pass
    return seen


def by_us(pieces: list[bytes], limit: int = 1 << 16) -> list[str | bytes]:
    splitter = FrameParser(limit)
    texts: list[str | bytes] = []
    passed = b""
    for piece in pieces:
        more, rest = splitter.split(piece)
        assert not (more and passed and splitter.library_only and not rest)
        texts += more
        passed += rest
    return texts + by_library(passed)


PAYLOADS = st.one_of(st.binary(max_size=10), st.text(max_size=40).map(str.encode))
FRAMES = st.builds(
    frame,
    PAYLOADS,
    first=st.sampled_from(
        [0x81] * 8 + [0x82, 0x01, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x8B, 0x83]
    ),
    mask=st.binary(min_size=4, max_size=4),
    width=st.sampled_from([0, 0, 0, 2, 8]),
)


@given(
    st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 400), max_size=6), st.binary(max_size=3)
)
def test_any_stream_cut_anywhere_is_read_as_by_the_library_alone(
    sent: list[bytes], cuts: list[int], noise: bytes
) -> None:
    data = b"".join(sent) + noise
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    assert by_us(pieces) == by_library(data)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 999, 1000])
def test_a_text_of_any_length_is_read_at_every_cut(size: int) -> None:
    text = ("aü" * size).encode()[:size].decode(errors="ignore")
    data = frame(text.encode()) + frame(b"next")
    for cut in range(len(data)):
        splitter = FrameParser(LIMIT)
        first, none = splitter.split(data[:cut])
        second, rest = splitter.split(data[cut:])
        assert (first + second, none, rest) == ([text, "next"], b"", b"")


@pytest.mark.parametrize(
    "odd",
    [
        frame(b"", first=0x88),
        frame(b"x", first=0x82),
        frame(b"x", first=0x01),
        frame(b"x", first=0xC1),
        frame(b"x", first=0x83),
        frame(b"\xff"),
        frame(b"x", width=2),
        frame(b"x", width=8),
        frame(b"x" * (LIMIT + 1)),
        b"\x81\x01x",
    ],
)
def test_an_odd_frame_and_all_that_follows_go_to_the_library(odd: bytes) -> None:
    splitter = FrameParser(LIMIT)
    texts, passed = splitter.split(frame(b"before") + odd + frame(b"after"))
    assert (texts, passed) == (["before"], odd + frame(b"after"))
    assert splitter.split(frame(b"later")) == ([], frame(b"later"))


def test_a_ping_between_texts_goes_to_the_library_and_changes_nothing() -> None:
    splitter = FrameParser(LIMIT)
    ping = frame(b"hi", first=0x89)
    assert splitter.split(frame(b"a") + ping + frame(b"b")) == (["a", "b"], ping)
    assert splitter.split(frame(b"c")) == (["c"], b"")
