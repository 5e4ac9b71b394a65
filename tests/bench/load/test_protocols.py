import msgspec
import pytest

from lastcall.bench.load.frame_builder import TEXT, masked, upgrade_request
from lastcall.bench.load.messages import Job, LoadFailed
from lastcall.bench.load.payloads import make_payload
from lastcall.bench.load.protocols import BINARY, PROTOCOLS, ClientProtocol, Seat, seat_path
from lastcall.wire import frames

TEXT_100 = make_payload(3, 1, 5, b"z" * 68)


def job(protocol: str, frame: str = "say") -> Job:
    return Job(protocol, ("ws://127.0.0.1:1/",), 1, 2, 1, 1.0, 1.0, 0.0, frame=frame)


def talk(protocol: str, leader: ClientProtocol | None = None, frame: str = "say") -> ClientProtocol:
    seat = Seat("ws://127.0.0.1:1/", 7, leader)
    return PROTOCOLS[protocol](job(protocol, frame), seat)


def payload(frame: bytes) -> bytes:
    """The payload of a masked frame with a zero mask and less than 126 bytes."""
    assert frame[1] & 0x7F < 126
    return frame[6:]


def joined(room: str) -> bytes:
    return msgspec.json.encode(
        {
            "t": "joined",
            "room": room,
            "kind": "k",
            "you": "p",
            "seq": 4,
            "ticket": "~",
            "players": [],
        }
    )


def test_a_plain_client_has_its_seat_after_the_handshake_and_sends_texts_as_they_are() -> None:
    plain = talk("plain")

    assert not plain.seated
    assert plain.opened() == b""
    assert plain.seated
    assert plain.path() == "/?room=7"
    assert plain.say(TEXT_100) == masked(TEXT, TEXT_100)


def test_the_first_client_opens_the_room_and_the_others_join_it_by_its_id() -> None:
    first = talk("lastcall")
    assert msgspec.json.decode(payload(first.opened())) == {
        "t": "join",
        "kind": "bench-relay",
        "new": True,
    }

    confirmed = first.receive(joined("r-1"))
    second = talk("lastcall", leader=first)

    assert first.seated
    assert frames.decode(payload(confirmed)) == frames.Got(seq=4)
    assert msgspec.json.decode(payload(second.opened())) == {"t": "join", "room": "r-1"}


def test_inputs_are_numbered_and_hold_the_text() -> None:
    said = talk("lastcall")

    said.say(TEXT_100)
    frame = frames.decode(payload(said.say(TEXT_100)))

    assert isinstance(frame, frames.Say)
    assert (frame.n, msgspec.json.decode(bytes(frame.d))) == (2, TEXT_100.decode())


def test_a_got_is_as_long_as_a_text_and_the_node_accepts_it() -> None:
    frame = talk("lastcall", frame="got").say(TEXT_100)

    assert len(payload(frame)) == 100
    assert frames.decode(payload(frame)) == frames.Got(seq=0)


@pytest.mark.parametrize(
    "frame",
    [
        frames.Error(code="full", message="no seat", retry=False),  # type: ignore[arg-type]
        frames.Move(1.0),
    ],
)
def test_a_refusal_fails_the_load(frame: msgspec.Struct) -> None:
    with pytest.raises(LoadFailed):
        talk("lastcall").receive(frames.encode(frame))


def test_socket_io_opens_twice_and_answers_pings() -> None:
    sio = talk("socket.io")

    assert sio.opened() == b""
    assert sio.receive(b'0{"sid":"x"}') == masked(TEXT, b"40")
    assert not sio.seated
    assert sio.receive(b'40{"sid":"y"}') == b""
    assert sio.seated
    assert sio.receive(b"2") == masked(TEXT, b"3")
    assert payload(sio.say(b"hi")) == b'42["m","hi"]'


def test_a_socket_io_frame_44_is_a_refusal() -> None:
    with pytest.raises(LoadFailed):
        talk("socket.io").receive(b'44{"message":"no"}')


def test_colyseus_confirms_its_seat_once_and_speaks_msgpack() -> None:
    colyseus = talk("colyseus")

    assert colyseus.receive(bytes([10, 1, 2])) == masked(BINARY, bytes([10]))
    assert colyseus.seated
    assert colyseus.receive(bytes([10])) == b""
    assert colyseus.receive(bytes([14])) == b""
    said = payload(colyseus.say(TEXT_100))
    assert said[0] == 13
    assert msgspec.msgpack.decode(said[1:3]) == "m"
    assert msgspec.msgpack.decode(said[3:]) == TEXT_100.decode()


def test_a_text_of_more_than_255_bytes_is_a_longer_msgpack_text() -> None:
    frame = talk("colyseus").say(b"z" * 300)

    assert msgspec.msgpack.decode(frame[8 + 3 :]) == "z" * 300


@pytest.mark.parametrize("code", [11, 12])
def test_a_colyseus_error_or_leave_is_a_refusal(code: int) -> None:
    with pytest.raises(LoadFailed):
        talk("colyseus").receive(bytes([code]))


def test_the_path_of_a_seat_is_in_both_shapes_of_the_matchmakers_answer() -> None:
    place = {"processId": "p", "roomId": "r", "name": "relay"}

    flat = msgspec.json.encode({**place, "sessionId": "s"})
    nested = msgspec.json.encode({"room": place, "sessionId": "s"})

    assert seat_path(flat) == seat_path(nested) == "/p/r?sessionId=s"


def test_a_matchmakers_refusal_fails_the_load() -> None:
    with pytest.raises(LoadFailed, match="no seat"):
        seat_path(b'{"code":520,"error":"no handler"}')


def test_an_upgrade_offers_the_given_subprotocol_and_compression() -> None:
    bare = upgrade_request("h:1", "", "/a?b=c", compression=False)
    full = upgrade_request("h:1", "lastcall.v1")

    assert bare.startswith(b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n")
    assert b"Sec-WebSocket-Protocol" not in bare
    assert b"Sec-WebSocket-Extensions" not in bare
    assert b"Sec-WebSocket-Protocol: lastcall.v1\r\n" in full
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in full
