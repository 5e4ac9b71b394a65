"""How each service is spoken to: opening, saying, and what else it sends.

A :class:`Talk` is one client's side. The generator does what all have in common: the handshake, the
frames, and finding the stamp (:mod:`lastcall.bench.load.payloads`) in what is heard.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from lastcall.bench.load.frame_builder import TEXT, masked
from lastcall.bench.load.load import LoadFailed
from lastcall.bench.load.messages import Job
from lastcall.wire import frames

__all__ = ["BINARY", "DIALECTS", "Seat", "Talk"]

BINARY = 0x2
HTTP_SECONDS = 10.0


class Seat(msgspec.Struct, frozen=True):
    """Which client it is: of which room, and who has the room's first seat."""

    url: str
    room: int
    leader: Talk | None


class Talk(Protocol):
    """One client's words."""

    seated: bool
    subprotocol: str

    def path(self) -> str:
        """What the handshake asks for; may ask for a seat over HTTP before."""

    def opened(self) -> bytes:
        """The frames to send once hands are shaken."""

    def take(self, payload: bytes) -> bytes:
        """Takes a frame that is not something said; returns the frames to answer with.

        Raises :class:`LoadFailed` for a refusal.
        """

    def say(self, text: bytes) -> bytes:
        """The frame that says ``text``."""


class PlainTalk:
    """A bare WebSocket: the room is in the path, each text is a frame."""

    subprotocol = ""

    def __init__(self, _job: Job, seat: Seat) -> None:
        self._room = seat.room
        self.seated = False

    def path(self) -> str:
        """The room is asked for in the query."""
        return f"/?room={self._room}"

    def opened(self) -> bytes:
        """There is nothing more to it."""
        self.seated = True
        return b""

    def take(self, payload: bytes) -> bytes:
        """Such a server says nothing by itself."""
        raise LoadFailed(f"a bare socket got {payload[:80]!r}")

    def say(self, text: bytes) -> bytes:
        """The text itself."""
        return masked(TEXT, text)


class LastcallTalk:
    """The protocol of this project: a join, numbered inputs, acks."""

    subprotocol = frames.SUBPROTOCOL

    def __init__(self, job: Job, seat: Seat) -> None:
        self._leader = seat.leader
        self._kind = job.kind
        self._got = job.frame == "got"
        self._n = 0
        self.room = ""
        self.seated = False

    def path(self) -> str:
        """Any path is the same."""
        return "/"

    def opened(self) -> bytes:
        """A new room for the first, the first one's room for the others."""
        join: dict[str, object] = {"t": "join", "kind": self._kind, "new": True}
        if isinstance(self._leader, LastcallTalk):
            join = {"t": "join", "room": self._leader.room}
        return masked(TEXT, msgspec.json.encode(join))

    def take(self, payload: bytes) -> bytes:
        """Of hello, acks and beats nothing follows."""
        match frames.decode_server(payload):
            case frames.Joined(room=room, seq=seq):
                self.room = room
                self.seated = True
                return masked(TEXT, frames.encode(frames.Got(seq=seq)))
            case frames.Error() | frames.Ended() | frames.Move() as frame:
                raise LoadFailed(f"a client got {frame}")
        return b""

    def say(self, text: bytes) -> bytes:
        """A numbered input; or a ``got`` of the same size, with the text beside it."""
        if self._got:
            return masked(TEXT, b'{"t":"got","seq":0,"pad":"%b"}' % text[:-28])
        self._n += 1
        return masked(TEXT, b'{"t":"say","n":%d,"d":"%b"}' % (self._n, text))


class SocketIoTalk:
    """socket.io 4 over engine.io 4, WebSocket only; the event ``m`` bears the text."""

    subprotocol = ""

    def __init__(self, _job: Job, seat: Seat) -> None:
        self._room = seat.room
        self.seated = False

    def path(self) -> str:
        """No polling first; the room is in the query."""
        return f"/socket.io/?EIO=4&transport=websocket&room={self._room}"

    def opened(self) -> bytes:
        """engine.io speaks first."""
        return b""

    def take(self, payload: bytes) -> bytes:
        """``0`` engine.io is open, ``40`` the namespace is, ``2`` a ping."""
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


class ColyseusTalk:
    """Colyseus 0.18: a seat by HTTP, then a WebSocket with binary messages (a code, msgpack)."""

    subprotocol = ""
    JOIN_ROOM, ERROR, LEAVE_ROOM, ROOM_DATA = 10, 11, 12, 13

    def __init__(self, _job: Job, seat: Seat) -> None:
        self._room = seat.room
        self._host = urlsplit(seat.url).netloc
        self.seated = False

    def path(self) -> str:
        """The matchmaker says which."""
        connection = http.client.HTTPConnection(self._host, timeout=HTTP_SECONDS)
        try:
            body = msgspec.json.encode({"room": self._room})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/matchmake/joinOrCreate/relay", body, headers)
            return seat_path(connection.getresponse().read())
        finally:
            connection.close()

    def opened(self) -> bytes:
        """The room speaks first."""
        return b""

    def take(self, payload: bytes) -> bytes:
        """The seat is confirmed by the same code; the room's state is not looked at."""
        code = payload[0]
        if code == self.JOIN_ROOM and not self.seated:
            self.seated = True
            return masked(BINARY, bytes([self.JOIN_ROOM]))
        if code in (self.ERROR, self.LEAVE_ROOM):
            raise LoadFailed(f"Colyseus said {payload[:80]!r}")
        return b""

    def say(self, text: bytes) -> bytes:
        """The message ``m``: two msgpack texts."""
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


DIALECTS: dict[str, Callable[[Job, Seat], Talk]] = {
    "lastcall": LastcallTalk,
    "plain": PlainTalk,
    "socket.io": SocketIoTalk,
    "colyseus": ColyseusTalk,
}
