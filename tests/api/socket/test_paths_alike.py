"""The same random bytes to both ways in: the same frames out, the same end, the same effect."""

from __future__ import annotations

import itertools

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lastcall.api.socket.pump import pump_wanted
from tests.api.paths import CLOSE, PING, PONG, TEXT, Frame, closing, frame, serving, turns

FIRST = (
    [TEXT] * 8 + [PING] * 2 + [PONG, 0x82, 0x01, 0x01, 0x00, 0x00, 0x80, 0x80, CLOSE, 0xC1, 0x83]
)
PAYLOADS = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.binary(max_size=10),
    st.integers(120, 300).map(lambda size: b"x" * size),
    st.just(b"kick me"),
)
FRAMES = st.one_of(
    st.builds(
        frame,
        PAYLOADS,
        st.sampled_from(FIRST),
        width=st.sampled_from([0] * 12 + [2, 8]),
        mask=st.binary(min_size=4, max_size=4),
    ),
    st.builds(closing, st.sampled_from([1000, 1001, 1005, 2000, 4000])),
)
GOOD = st.text(max_size=20).map(lambda text: frame(text.encode()))


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Frames, good ones first; now and then one byte is another; cut anywhere, also short."""
    data = bytearray(
        b"".join(draw(st.lists(GOOD, max_size=4)) + draw(st.lists(FRAMES, max_size=8)))
    )
    if data and draw(st.integers(0, 3)) == 0:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    data = data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 3, 9]))]
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=5))
    return [bytes(data[a:b]) for a, b in itertools.pairwise(sorted({0, len(data), *cuts}))]


class Outcome:
    """The messages that a client and its session saw."""

    def __init__(self, frames: list[Frame], heard: list[str | bytes], code: int) -> None:
        self.texts = [payload for first, payload in frames if first == TEXT]
        self.pongs = [payload for first, payload in frames if first == PONG]
        self.closes = [payload for first, payload in frames if first == CLOSE]
        self.heard = heard
        self.code = code
        self.ends_in_close = not self.closes or frames[-1][0] == CLOSE

    def __repr__(self) -> str:
        return f"{self.heard} -> {self.texts} {self.pongs} {self.closes} {self.code}"


async def exchange(pieces: list[bytes], *, pumped: bool) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        async with serving(patch, pumped=pumped) as server:
            client = await server.client()
            frames: list[Frame] = []

            async def read() -> None:
                frames.extend(await client.rest())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                try:
                    for piece in pieces:
                        await client.send(piece)
                    await turns()
                    client.finish()
                except OSError:  # it is over on the other side
                    pass
            await server.gateway.wait_empty()
            (code,) = server.codes
            return Outcome(frames, server.heard, code)


def begins(one: list, other: list) -> bool:
    """Whether the shorter is how the longer begins."""
    return all(a == b for a, b in zip(one, other, strict=False))


@pytest.mark.skipif(not pump_wanted(), reason="there is one path only")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@example([frame(b"\xff\xff")[:7]])
@example([frame(b"x" * 126, PING)[:2]])
@example([frame(b"a") + frame(b"b") + closing(1000)])
@example([frame(b"1", PING) + frame(b"kick me")])
@given(streams())
def test_the_same_bytes_have_the_same_answer_on_both_paths(pieces: list[bytes]) -> None:
    pump = trio.run(lambda: exchange(pieces, pumped=True))
    plain = trio.run(lambda: exchange(pieces, pumped=False))
    seen = f"pump {pump}, plain {plain}"
    assert (pump.code, pump.closes) == (plain.code, plain.closes), seen
    assert pump.heard == plain.heard, seen
    assert pump.ends_in_close, seen
    assert plain.ends_in_close, seen
    # Alone, the library answers a client's close before our answers to what came with it.
    by_client = pump.code not in {1002, 1003, 1007, 1006, 4003}
    assert begins(pump.texts, plain.texts), seen
    assert len(pump.texts) == len(plain.texts) or (
        by_client and len(pump.texts) > len(plain.texts)
    ), seen
    # A pong may come too late, after the node has closed.
    assert begins(pump.pongs, plain.pongs), seen
    assert pump.pongs == plain.pongs or pump.code in {1003, 4003}, seen
