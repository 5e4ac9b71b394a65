"""The generator against a relay over real sockets that serves well, or has one fault."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage
from wsproto.utilities import LocalProtocolError

from lastcall.bench.load.generator import Generator
from lastcall.bench.load.messages import Job, LoadFailed, Outcome

pytestmark = pytest.mark.e2e

Fault = Callable[[int, str], list[str]]
CLIENTS = 4


def repeats_all(_nth: int, text: str) -> list[str]:
    return [text]


def forgets_the_third(nth: int, text: str) -> list[str]:
    return [] if nth == 3 else [text]


def repeats_the_third(nth: int, text: str) -> list[str]:
    return [text, text] if nth == 3 else [text]


class Relay:
    """One room for all, in one thread for each socket."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets: list[tuple[socket.socket, WSConnection]] = []
        self._heard = 0
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[stream], daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        protocol = WSConnection(ConnectionType.SERVER)
        with contextlib.suppress(OSError, LocalProtocolError):  # a client may be gone
            while data := stream.recv(65_536):
                with self._lock:
                    protocol.receive_data(data)
                    for event in protocol.events():
                        self._on(stream, protocol, event)

    def _on(self, stream: socket.socket, protocol: WSConnection, event: object) -> None:
        match event:
            case Request():
                stream.sendall(protocol.send(AcceptConnection()))
                self._sockets.append((stream, protocol))
            case TextMessage(data=text):
                self._heard += 1
                for said in self._fault(self._heard, str(text)):
                    for one, other in self._sockets:
                        one.sendall(other.send(TextMessage(said)))

    def close_one(self) -> None:
        with self._lock:
            stream, protocol = self._sockets[0]
            stream.sendall(protocol.send(CloseConnection(1001, "bye")))

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            for stream, _ in self._sockets:
                stream.close()


@contextlib.contextmanager
def seated(fault: Fault, **changes: float) -> Iterator[tuple[Generator, Relay]]:
    relay = Relay(fault)
    job = Job("plain", (relay.url,), 1, CLIENTS, 2, 20.0, 0.5, 0.1, prompt=True)
    generator = Generator(msgspec.structs.replace(job, **changes))
    try:
        for _ in generator.seat():
            pass
        yield generator, relay
    finally:
        generator.close()
        relay.close()


def outcome(fault: Fault, **changes: float) -> Outcome:
    with seated(fault, **changes) as (generator, _):
        return generator.talk(time.monotonic())


def test_every_input_of_the_measured_time_is_heard_by_all_in_the_room() -> None:
    found = outcome(repeats_all)

    assert found.clean
    assert found.inputs == 2 * 20 * 0.5
    assert sum(found.late_micros.values()) == found.inputs
    assert found.deliveries > 0
    assert sum(found.own_micros.values()) > 0


def test_flat_out_each_speaker_keeps_its_window_in_flight_and_all_is_heard() -> None:
    found = outcome(repeats_all, window=3, seconds=0.3)

    assert found.clean
    assert found.inputs > 2 * 3
    assert found.deliveries > 0


def test_a_message_that_a_relay_forgets_is_lost_for_each_listener() -> None:
    found = outcome(forgets_the_third)

    assert (found.lost, found.repeated) == (CLIENTS, 0)


def test_a_message_that_a_relay_repeats_is_repeated_for_each_listener() -> None:
    found = outcome(repeats_the_third)

    assert (found.lost, found.repeated) == (0, CLIENTS)


def test_a_socket_that_the_server_closes_fails_the_load() -> None:
    with seated(repeats_all) as (generator, relay):
        relay.close_one()
        with pytest.raises(LoadFailed, match="closed a client: 1001"):
            generator.talk(time.monotonic())
