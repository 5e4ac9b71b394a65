"""A process that is the load: thousands of clients, one loop, no framework.

Run by :mod:`lastcall.bench.load.drive` as ``python -m bench.load.generator``. It reads a
:class:`Job` from stdin, seats its clients, says so, waits for the :class:`Go`, talks, and writes
its :class:`Outcome` to stdout, one JSON object a line. It is the same for every service; what
differs is in :mod:`lastcall.bench.load.protocols`.

What is due is said in ticks of 1 ms and sockets are looked at once a tick: a load that wakes for
each frame would take from the servers the core that they are measured on. For latencies
(``prompt``) it looks whenever something has come.
"""

from __future__ import annotations

import random
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from lastcall.bench.load.frame_builder import (
    CLOSE,
    PING,
    PONG,
    masked,
    take_frames,
    upgrade_request,
)
from lastcall.bench.load.load import LoadFailed, no_collections
from lastcall.bench.load.messages import MICROS, Failed, Go, Job, Outcome, Ready, Said, Seated
from lastcall.bench.load.payloads import HEAD_BYTES, MARK, Ear, stamped
from lastcall.bench.load.protocols import DIALECTS, Seat, Talk
from lastcall.bench.nodes.servers import allow_descriptors
from lastcall.errors import LastcallError

__all__ = ["Client", "Generator"]

STEPS_PER_BATCH = 256
"""Sockets that are read before it is looked what is due: about 2 ms."""
READ_BYTES = 256 * 1024
DIAL_SECONDS = 5.0
STUCK_SECONDS = 10.0
"""So long nobody may get a seat, before we give up."""
TICK_SECONDS = 0.001
QUIET_SECONDS = 5.0
"""So long what was said last may be under way."""
ASIDE_SECONDS = 0.1
"""After everything has come, for what comes a second time."""


class Client:
    """One socket."""

    __slots__ = ("_buffer", "_head", "_socket", "ear", "n", "room", "talk")

    def __init__(self, talk: Talk, ear: Ear, url: str, room: int) -> None:
        where = urlsplit(url)
        self.talk = talk
        self.ear = ear
        self.room = room
        self.n = 0
        """How many inputs it has said."""
        self._head: bytes | None = b""
        """What has come of the handshake's answer; None once hands are shaken."""
        self._buffer = bytearray()
        request = upgrade_request(where.netloc, talk.subprotocol, talk.path(), compression=False)
        address = (where.hostname or "127.0.0.1", where.port or 80)
        try:
            self._socket = socket.create_connection(address, DIAL_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
            self._socket.send(request)
        except OSError as error:
            raise LoadFailed(f"a client could not connect to {url}: {error}") from error

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def unheard(self) -> int:
        """How many of its own inputs it has not heard yet."""
        return self.ear.missing(self.ear.own_slot, self.n)

    def say(self, pad: bytes, now: float) -> None:
        """Says the next input; raises :class:`LoadFailed` when it is not taken."""
        self.n += 1
        self._send(self.talk.say(stamped(self.ear.speaker, self.n, int(now * MICROS), pad)))

    def receive(self) -> list[int]:
        """Takes what has come; returns when each own message among it was said, in µs.

        Raises :class:`LoadFailed`.
        """
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise LoadFailed(f"a client lost its socket: {error}") from error
        if not data:
            raise LoadFailed("a server ended a socket without a word")
        self._buffer += data
        if self._head is not None and not self._shaken():
            return []
        return self._take()

    def _shaken(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._buffer.startswith(b"HTTP/1.1 101 "):
            raise LoadFailed(f"a server refused a client: {bytes(self._buffer[:200])!r}")
        del self._buffer[: end + 4]
        self._head = None
        self._send(self.talk.opened())
        return True

    def _take(self) -> list[int]:
        own = []
        ear, seated = self.ear, self.talk.seated
        for opcode, payload in take_frames(self._buffer):
            at = payload.find(MARK) if seated else -1
            if at >= 0 and opcode < CLOSE:
                said_at = ear.hear(payload[at : at + HEAD_BYTES])
                if said_at is not None:
                    own.append(said_at)
            elif opcode == PING:
                self._send(masked(PONG, payload))
            elif opcode == CLOSE:
                code, why = int.from_bytes(payload[:2], "big"), payload[2:]
                raise LoadFailed(f"a server closed a client: {code} {why!r}")
            elif opcode != PONG:
                self._send(self.talk.take(payload))
                seated = self.talk.seated
        return own

    def _send(self, frame: bytes) -> None:
        try:
            sent = self._socket.send(frame) if frame else 0
        except OSError as error:
            raise LoadFailed(f"a server takes no more from a client: {error}") from error
        if sent < len(frame):
            raise LoadFailed("a server does not read: a client's socket is full")

    def close(self) -> None:
        """Without a word: the servers are ended next."""
        self._socket.close()


class Generator:
    """The clients of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pad = b"z" * max(0, job.size - HEAD_BYTES)
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self.rooms: list[list[Client]] = [[] for _ in range(job.rooms)]
        self._own: Counter[int] = Counter()
        self._late: Counter[int] = Counter()
        self._seated = 0

    @property
    def _heard(self) -> int:
        return sum(client.ear.heard for client in self._clients.values())

    # Seats.

    def seat(self) -> Iterator[int]:
        """Seats all, so many at once; yields how many have a seat, now and then."""
        waiting = deque((room, slot) for room in range(self._job.rooms) for slot in (0,))
        opening: dict[Client, tuple[int, int]] = {}
        last = time.monotonic()
        while self._seated < self._job.clients:
            while waiting and len(opening) < self._job.opening_at_once:
                room, slot = waiting.popleft()
                opening[self._dial(room, slot)] = room, slot
            self._look(0.1)
            for client in [one for one in opening if one.talk.seated]:
                room, slot = opening.pop(client)
                self._seated += 1
                last = time.monotonic()
                if slot == 0:
                    waiting.extendleft((room, other) for other in range(self._job.seats - 1, 0, -1))
            if time.monotonic() - last > STUCK_SECONDS:
                raise LoadFailed(f"no client got a seat for {STUCK_SECONDS:g} s")
            yield self._seated

    def _dial(self, room: int, slot: int) -> Client:
        job, table = self._job, self.rooms[room]
        number = job.first_room + room
        speaker = number * job.seats + slot
        url = job.urls[speaker % len(job.urls)]
        seat = Seat(url, number, table[0].talk if table else None)
        talk = DIALECTS[job.dialect](job, seat)
        client = Client(talk, Ear(speaker, job.seats), url, room)
        table.append(client)
        self._clients[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLIN)
        return client

    # The talk.

    def talk(self, begin: float) -> Outcome:
        """From ``begin`` on; returns when all that was said has been heard, or cannot be any more.

        Raises :class:`LoadFailed` for a lost socket.
        """
        self._wait_until(begin)
        self._speak(begin, self._job.warm_seconds)
        self._own.clear()
        self._late.clear()
        heard, spent = self._heard, time.process_time()
        count_from = begin + self._job.warm_seconds
        inputs = self._speak(count_from, self._job.seconds)
        heard, spent = self._heard - heard, time.process_time() - spent
        own, late = dict(self._own), dict(self._late)
        lost = self._settle()
        ears = [client.ear for client in self._clients.values()]
        return Outcome(
            seconds=self._job.seconds,
            inputs=inputs,
            deliveries=heard,
            lost=lost + sum(ear.lost for ear in ears),
            doubled=sum(ear.doubled for ear in ears),
            stray=sum(ear.stray for ear in ears),
            own_micros=own,
            late_micros=late,
            cpu_seconds=spent,
        )

    def _wait_until(self, begin: float) -> None:
        while (left := begin - time.monotonic()) > 0:
            self._look(left)

    def _speak(self, begin: float, seconds: float) -> int:
        speakers = [client for table in self.rooms for client in table[: self._job.speakers]]
        random.Random(0).shuffle(speakers)
        if self._job.window:
            return self._speak_flat_out(speakers, begin + seconds)
        rate = self._job.inputs_per_second
        last, said = round(seconds * rate), 0
        while (now := time.monotonic()) < begin + seconds or said < last:
            due = min(last, int((now - begin) * rate) + 1)
            for turn in range(said, due):
                at = time.monotonic()
                self._late[int((at - begin - turn / rate) * MICROS)] += 1
                speakers[turn % len(speakers)].say(self._pad, at)
            said = max(said, due)
            following = begin + (said / rate if said < last else seconds)
            if self._job.prompt:
                self._look(max(0.0, following - time.monotonic()))
            else:
                self._look_once_a_tick(now)
        return said

    def _speak_flat_out(self, speakers: list[Client], end: float) -> int:
        said = 0
        while (now := time.monotonic()) < end:
            for speaker in speakers:
                for _ in range(self._job.window - speaker.unheard):
                    speaker.say(self._pad, time.monotonic())
                    said += 1
            if self._job.prompt:
                self._look(max(0.0, end - now))
            else:
                self._look_once_a_tick(now)
        return said

    def _look_once_a_tick(self, began: float) -> None:
        self._look(0)
        time.sleep(max(0.0, began + TICK_SECONDS - time.monotonic()))

    def _look(self, seconds: float) -> None:
        """Takes what has come, or comes within ``seconds``."""
        for descriptor, _ in self._epoll.poll(seconds, STEPS_PER_BATCH):
            for said_at in self._clients[descriptor].receive():
                self._own[int(time.monotonic() * MICROS) - said_at] += 1

    def _settle(self) -> int:
        """Waits for what is under way; returns how many did not come."""
        limit = time.monotonic() + QUIET_SECONDS
        while (missing := self._missing()) and time.monotonic() < limit:
            self._look(0.05)
        self._wait_until(time.monotonic() + ASIDE_SECONDS)
        return missing

    def _missing(self) -> int:
        if not self._job.echo:
            return 0
        return sum(
            listener.ear.missing(speaker.ear.own_slot, speaker.n)
            for table in self.rooms
            for speaker in table[: self._job.speakers]
            for listener in table
        )

    def close(self) -> None:
        """Ends all sockets."""
        for client in self._clients.values():
            client.close()
        self._epoll.close()


def _tell(word: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.buffer.flush()


def _run(job: Job) -> None:
    allow_descriptors(job.clients)
    generator = Generator(job)
    begun = told = time.monotonic()
    for seated in generator.seat():
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            _tell(Seated(seated))
    _tell(Ready(time.monotonic() - begun))
    go = sys.stdin.buffer.readline()
    if go:  # else whoever wanted to know has gone
        with no_collections():
            _tell(generator.talk(msgspec.json.decode(go, type=Go).at))
    generator.close()


def main() -> None:
    """The entry point of ``python -m bench.load.generator``."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    try:
        _run(job)
    except LastcallError as error:
        _tell(Failed(str(error)))
    except KeyboardInterrupt:
        pass  # whoever started us has been told, too


if __name__ == "__main__":
    main()
