"""The protocols of the services: to open a connection, to say a text, to answer other frames.

A :class:`ClientProtocol` is one client's side. The generator does the rest, which is the same for
all services: the handshake, the frames, and the search for payloads
(:mod:`lastcall.bench.load.payloads`).
"""

from __future__ import annotations

import http.client
from abc import ABC, abstractmethod
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from lastcall.bench.load.frame_builder import TEXT, masked
from lastcall.bench.load.messages import Job, LoadFailed
from lastcall.wire import frames

BINARY = 0x2
HTTP_SECONDS = 10.0


class Seat(msgspec.Struct, frozen=True):
    """A client's URL and room, and the client in the room's first seat, if this is another one."""

    url: str
    room: int
    leader: ClientProtocol | None


class ClientProtocol(ABC):
    """One client's side of a service's protocol."""

    subprotocol = ""

    def __init__(self, job: Job, seat: Seat) -> None:
        self._job = job
        self._seat = seat
        self.seated = False

    @abstractmethod
    def path(self) -> str:
        """The handshake's path; may reserve a seat over HTTP first."""

    def opened(self) -> bytes:
        """The frames to send after the handshake: none if the server sends first."""
        return b""

    @abstractmethod
    def receive(self, payload: bytes) -> bytes:
        """Handles a frame that is not a said text; returns the frames to answer with.

        Raises :class:`LoadFailed` for a refusal.
        """

    @abstractmethod
    def say(self, text: bytes) -> bytes:
        """The frame that says ``text``."""


class PlainProtocol(ClientProtocol):
    """A bare WebSocket: the room is in the path, each text is a frame."""

    def path(self) -> str:
        """The query names the room."""
        return f"/?room={self._seat.room}"

    def opened(self) -> bytes:
        """Nothing more is needed."""
        self.seated = True
        return b""

    def receive(self, payload: bytes) -> bytes:
        """Always refused: such a server sends nothing of its own."""
        raise LoadFailed(f"a plain socket got {payload[:80]!r}")

    def say(self, text: bytes) -> bytes:
        """The text as it is."""
        return masked(TEXT, text)


class LastcallProtocol(ClientProtocol):
    """The protocol of this project: a join, numbered inputs, acks."""

    subprotocol = frames.SUBPROTOCOL

    def __init__(self, job: Job, seat: Seat) -> None:
        super().__init__(job, seat)
        self._got = job.frame == "got"
        self._n = 0
        self.room = ""

    def path(self) -> str:
        """The server ignores the path."""
        return "/"

    def opened(self) -> bytes:
        """The first client asks for a new room, the others for the room of the first."""
        join: dict[str, object] = {"t": "join", "kind": self._job.kind, "new": True}
        if isinstance(self._seat.leader, LastcallProtocol):
            join = {"t": "join", "room": self._seat.leader.room}
        return masked(TEXT, msgspec.json.encode(join))

    def receive(self, payload: bytes) -> bytes:
        """Hello, acks and beats need no answer."""
        match frames.decode_server(payload):
            case frames.Joined(room=room, seq=seq):
                self.room = room
                self.seated = True
                return masked(TEXT, frames.encode(frames.Got(seq=seq)))
            case frames.Error() | frames.Ended() | frames.Move() as frame:
                raise LoadFailed(f"a client got {frame}")
        return b""

    def say(self, text: bytes) -> bytes:
        """A numbered input; or a ``got`` of the same size, with the text in another key."""
        if self._got:
            return masked(TEXT, b'{"t":"got","seq":0,"pad":"%b"}' % text[:-28])
        self._n += 1
        return masked(TEXT, b'{"t":"say","n":%d,"d":"%b"}' % (self._n, text))


class SocketIoProtocol(ClientProtocol):
    """socket.io 4 over engine.io 4, WebSocket only; the event ``m`` carries the text."""

    def path(self) -> str:
        """Without polling first; the query names the room."""
        return f"/socket.io/?EIO=4&transport=websocket&room={self._seat.room}"

    def receive(self, payload: bytes) -> bytes:
        """``0``: engine.io is open; ``40``: the namespace is; ``2``: a ping."""
        if payload[:1] == b"0":
            return masked(TEXT, b"40")
        if payload[:2] == b"40":
            self.seated = True
        elif payload[:1] == b"2":
            return masked(TEXT, b"3")
        else:
            raise LoadFailed(f"socket.io said {payload[:80]!r}")
        return b""

    def say(self, text: bytes) -> bytes:
        """An event with one text."""
        return masked(TEXT, b'42["m","%b"]' % text)


class ColyseusProtocol(ClientProtocol):
    """Colyseus 0.18: a seat by HTTP, then a WebSocket with binary messages (a code, msgpack)."""

    JOIN_ROOM, ERROR, LEAVE_ROOM, ROOM_DATA = 10, 11, 12, 13

    def path(self) -> str:
        """The path that the matchmaker returns."""
        connection = http.client.HTTPConnection(
            urlsplit(self._seat.url).netloc, timeout=HTTP_SECONDS
        )
        try:
            body = msgspec.json.encode({"room": self._seat.room})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/matchmake/joinOrCreate/relay", body, headers)
            return seat_path(connection.getresponse().read())
        finally:
            connection.close()

    def receive(self, payload: bytes) -> bytes:
        """Confirms the seat with the room's own code; ignores the room's state."""
        code = payload[0]
        if code == self.JOIN_ROOM and not self.seated:
            self.seated = True
            return masked(BINARY, bytes([self.JOIN_ROOM]))
        if code in (self.ERROR, self.LEAVE_ROOM):
            raise LoadFailed(f"Colyseus said {payload[:80]!r}")
        return b""

    def say(self, text: bytes) -> bytes:
        """The message ``m`` and the text, both as msgpack strings."""
        size = len(text)
        head = bytes([0xD9, size]) if size < 256 else b"\xda" + size.to_bytes(2, "big")
        return masked(BINARY, b"\x0d\xa1m" + head + text)


def seat_path(answer: bytes) -> str:
    """The path of a seat in the matchmaker's answer; raises :class:`LoadFailed` for a refusal."""
    seat = msgspec.json.decode(answer, type=dict[str, object])
    place = seat.get("room", seat)
    if "sessionId" not in seat or not isinstance(place, dict):
        raise LoadFailed(f"Colyseus gave no seat: {answer[:200]!r}")
    return f"/{place['processId']}/{place['roomId']}?sessionId={seat['sessionId']}"


PROTOCOLS: dict[str, Callable[[Job, Seat], ClientProtocol]] = {
    "lastcall": LastcallProtocol,
    "plain": PlainProtocol,
    "socket.io": SocketIoProtocol,
    "colyseus": ColyseusProtocol,
}
