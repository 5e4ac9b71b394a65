import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import Message, Ping

from lastcall.api.socket.frame_builder import text_frame
from lastcall.bench.load.frame_builder import PING, PONG, TEXT, masked, take_frames

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000)


@pytest.mark.parametrize("size", SIZES)
def test_a_servers_protocol_library_reads_what_the_load_writes(size: int) -> None:
    server = Connection(ConnectionType.SERVER)

    server.receive_data(masked(TEXT, b"x" * size))

    texts = [event.data for event in server.events() if isinstance(event, Message)]
    assert "".join(texts) == "x" * size


def test_a_frame_has_the_given_opcode() -> None:
    server = Connection(ConnectionType.SERVER)

    server.receive_data(masked(PING, b"are you there"))

    assert list(server.events()) == [Ping(payload=bytearray(b"are you there"))]


@pytest.mark.parametrize("size", SIZES)
def test_the_load_reads_what_the_api_node_writes(size: int) -> None:
    buffer = bytearray(text_frame(b"x" * size))

    assert take_frames(buffer) == [(TEXT, b"x" * size)]
    assert buffer == b""


def test_a_frame_that_arrives_in_pieces_is_read_once_it_is_whole() -> None:
    stream = text_frame(b"first") + bytes([0x80 | PONG, 0]) + text_frame(b"y" * 300)
    buffer, taken = bytearray(), []

    for byte in stream:
        buffer.append(byte)
        taken += take_frames(buffer)

    assert taken == [(TEXT, b"first"), (PONG, b""), (TEXT, b"y" * 300)]
    assert buffer == b""


def test_an_incomplete_frame_stays_in_the_buffer() -> None:
    whole, begun = text_frame(b"whole"), text_frame(b"begun")[:-1]
    buffer = bytearray(whole + begun)

    assert take_frames(buffer) == [(TEXT, b"whole")]
    assert buffer == begun


@pytest.mark.parametrize("head", [b"\x01\x00", b"\x81\x80"], ids=["a fragment", "a masked frame"])
def test_frames_that_this_server_never_sends_are_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match="from the server"):
        take_frames(bytearray(head))
