"""The JSON frames of clients and api nodes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.errors import BadFrame
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import frames


def test_a_clients_frames_are_decoded_and_unknown_keys_are_ignored() -> None:
    join = frames.decode('{"t":"join","kind":"tictactoe","key":"k","later":1}')
    assert join == frames.Join(kind=KindName("tictactoe"), key="k")
    say = frames.decode('{"d":{"cell":4},"n":1,"t":"say"}')
    assert isinstance(say, frames.Say)
    assert (say.n, bytes(say.d)) == (1, b'{"cell":4}')
    assert frames.decode('{"t":"got","seq":17}') == frames.Got(seq=17)
    assert frames.decode('{"t":"leave"}') == frames.Leave()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("nonsense", "bad_json"),
        ('{"t":"say","d":' + "[" * 100_000, "bad_json"),
        ("[]", "bad_frame"),
        ("17", "bad_frame"),
        ("{}", "bad_frame"),
        ('{"t":5}', "bad_frame"),
        ('{"t":"say","n":0,"d":1}', "bad_frame"),
        ('{"t":"say","n":"1","d":1}', "bad_frame"),
        ('{"t":"say","n":true,"d":1}', "bad_frame"),
        ('{"t":"say","n":1}', "bad_frame"),
        ('{"t":"say","n":9007199254740993,"d":1}', "bad_frame"),
        ('{"t":"got","seq":-1}', "bad_frame"),
        ('{"t":"join","kind":["a"]}', "bad_frame"),
        ('{"t":"join","options":[]}', "bad_frame"),
        ('{"t":"join","kind":"%s"}' % ("x" * 200), "bad_frame"),
        ('{"t":"hello"}', "unknown_type"),
        ('{"t":"dance"}', "unknown_type"),
    ],
)
def test_a_bad_frame_raises_bad_frame_with_its_code(text: str, code: str) -> None:
    with pytest.raises(BadFrame) as caught:
        frames.decode(text)
    assert caught.value.code == code
    assert len(str(caught.value)) < 300


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_of_a_client_is_a_frame_or_raises_bad_frame(text: str) -> None:
    code = ""
    try:
        assert isinstance(frames.decode(text), frames.FromClient)
    except BadFrame as bad:
        code = bad.code
    assert code in {"", ErrorCode.BAD_JSON, ErrorCode.BAD_FRAME, ErrorCode.UNKNOWN_TYPE}


def test_the_frames_of_a_server_are_encoded_as_documented() -> None:
    joined = frames.Joined(
        room=RoomId("r"),
        kind=KindName("k"),
        you=PlayerId("p"),
        seq=0,
        ticket="t",
        players=[frames.Player(PlayerId("p"), "ann")],
    )
    sent = {
        "hello": frames.Hello(v=1, node="api-1", version="7"),
        "joined": joined,
        "ack": frames.Ack(n=7),
        "draining": frames.Draining(tier="game", seconds=540),
        "move": frames.Move(after=1.4),
        "ended": frames.Ended(
            room=RoomId("r"), reason=EndReason.FINISHED, result=msgspec.Raw(b"1")
        ),
        "beat": frames.Beat(),
        "error": frames.Error(code=ErrorCode.FULL, message="m", retry=False, n=4),
    }
    assert {name: json.loads(frames.encode(frame)) for name, frame in sent.items()} == {
        "hello": {"t": "hello", "v": 1, "node": "api-1", "version": "7"},
        "joined": {
            "t": "joined",
            "room": "r",
            "kind": "k",
            "you": "p",
            "seq": 0,
            "ticket": "t",
            "players": [{"id": "p", "name": "ann"}],
        },
        "ack": {"t": "ack", "n": 7},
        "draining": {"t": "draining", "tier": "game", "seconds": 540},
        "move": {"t": "move", "after": 1.4},
        "ended": {"t": "ended", "room": "r", "reason": "finished", "result": 1},
        "beat": {"t": "beat"},
        "error": {"t": "error", "code": "full", "message": "m", "retry": False, "n": 4},
    }


def test_an_ack_is_built_as_the_encoder_would_encode_it() -> None:
    assert frames.ack(7) == frames.encode(frames.Ack(7))


def test_a_message_is_built_around_the_rooms_own_json() -> None:
    frame = frames.decode_server(frames.message(18, b'{"left":9}'))
    assert isinstance(frame, frames.Message)
    assert (frame.seq, bytes(frame.d)) == (18, b'{"left":9}')


def test_a_client_ignores_a_servers_frame_of_a_later_version() -> None:
    assert frames.decode_server('{"t":"weather","rain":true}') is None
