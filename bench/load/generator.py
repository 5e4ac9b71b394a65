"""A load process: thousands of clients, one loop, no framework.

:mod:`lastcall.bench.load.drive` runs it as ``python -m lastcall.bench.load.generator``. It reads a
:class:`Job` from stdin, seats its clients, reports it, waits for the :class:`Go`, talks, and writes
its :class:`Outcome` to stdout, one JSON object a line. It is the same for every service; the
differences are in :mod:`lastcall.bench.load.protocols`.

Inputs are said and sockets are polled in ticks of 1 ms: a load that wakes for each frame would take
the core from the servers that are measured. For latencies (``prompt``) it wakes for every event.
"""

from __future__ import annotations

import random
import select
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator

import msgspec

from lastcall.bench.load.load_client import LoadClient
from lastcall.bench.load.messages import (
    MICROS,
    Failed,
    FromGenerator,
    Go,
    Job,
    LoadFailed,
    Outcome,
    Ready,
    Seated,
)
from lastcall.bench.load.payloads import HEAD_BYTES, DeliveryCheck
from lastcall.bench.load.protocols import PROTOCOLS, Seat
from lastcall.bench.nodes.proc import allow_descriptors, no_collections
from lastcall.errors import LastcallError

EVENTS_PER_POLL = 256
"""The number of sockets that are read before due inputs are said: about 2 ms."""
STUCK_SECONDS = 10.0
"""The load fails if no client gets a seat for this time."""
TICK_SECONDS = 0.001
QUIET_SECONDS = 5.0
"""The limit for the last inputs in flight."""
REPEAT_SECONDS = 0.1
"""The wait for messages that arrive a second time, after everything has arrived once."""


class Generator:
    """The clients of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pad = b"z" * max(0, job.size - HEAD_BYTES)
        self._epoll = select.epoll()
        self._clients: dict[int, LoadClient] = {}
        self.rooms: list[list[LoadClient]] = [[] for _ in range(job.rooms)]
        self._own: Counter[int] = Counter()
        self._late: Counter[int] = Counter()

    @property
    def _heard(self) -> int:
        return sum(client.check.heard for client in self._clients.values())

    # Seats.

    def seat(self) -> Iterator[int]:
        """Seats all clients, ``opening_at_once`` of them; yields how many have a seat so far."""
        waiting = deque((room, 0) for room in range(self._job.rooms))
        opening: dict[LoadClient, tuple[int, int]] = {}
        seated, last = 0, time.monotonic()
        while seated < self._job.clients:
            while waiting and len(opening) < self._job.opening_at_once:
                room, slot = waiting.popleft()
                opening[self._dial(room, slot)] = room, slot
            self._poll(0.1)
            for client in [one for one in opening if one.protocol.seated]:
                room, slot = opening.pop(client)
                seated += 1
                last = time.monotonic()
                if slot == 0:
                    waiting.extendleft((room, other) for other in range(self._job.seats - 1, 0, -1))
            if time.monotonic() - last > STUCK_SECONDS:
                raise LoadFailed(f"no client got a seat for {STUCK_SECONDS:g} s")
            yield seated

    def _dial(self, room: int, slot: int) -> LoadClient:
        job, clients = self._job, self.rooms[room]
        number = job.first_room + room
        speaker = number * job.seats + slot
        url = job.urls[speaker % len(job.urls)]
        seat = Seat(url, number, clients[0].protocol if clients else None)
        protocol = PROTOCOLS[job.protocol](job, seat)
        client = LoadClient(protocol, DeliveryCheck(speaker, job.seats), url)
        clients.append(client)
        self._clients[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLIN)
        return client

    # The talk.

    def talk(self, begin: float) -> Outcome:
        """Talks from ``begin`` on; returns once all inputs have been heard, or the limit is over.

        Raises :class:`LoadFailed` for a lost socket.
        """
        self._wait_until(begin)
        self._speak(begin, self._job.warm_seconds)
        self._own.clear()
        self._late.clear()
        heard, spent = self._heard, time.process_time()
        inputs = self._speak(begin + self._job.warm_seconds, self._job.seconds)
        heard, spent = self._heard - heard, time.process_time() - spent
        own, late = dict(self._own), dict(self._late)
        lost = self._settle()
        checks = [client.check for client in self._clients.values()]
        return Outcome(
            seconds=self._job.seconds,
            inputs=inputs,
            deliveries=heard,
            lost=lost + sum(one.lost for one in checks),
            repeated=sum(one.repeated for one in checks),
            stray=sum(one.stray for one in checks),
            own_micros=own,
            late_micros=late,
            cpu_seconds=spent,
        )

    def _wait_until(self, begin: float) -> None:
        while (left := begin - time.monotonic()) > 0:
            self._poll(left)

    def _speak(self, begin: float, seconds: float) -> int:
        speakers = [client for room in self.rooms for client in room[: self._job.speakers]]
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
                self._poll(max(0.0, following - time.monotonic()))
            else:
                self._poll_once_a_tick(now)
        return said

    def _speak_flat_out(self, speakers: list[LoadClient], end: float) -> int:
        said = 0
        while (now := time.monotonic()) < end:
            for speaker in speakers:
                for _ in range(self._job.window - speaker.unheard):
                    speaker.say(self._pad, time.monotonic())
                    said += 1
            if self._job.prompt:
                self._poll(max(0.0, end - now))
            else:
                self._poll_once_a_tick(now)
        return said

    def _poll_once_a_tick(self, began: float) -> None:
        self._poll(0)
        time.sleep(max(0.0, began + TICK_SECONDS - time.monotonic()))

    def _poll(self, seconds: float) -> None:
        """Handles the frames that have arrived, or arrive within ``seconds``."""
        for descriptor, _ in self._epoll.poll(seconds, EVENTS_PER_POLL):
            for said_at in self._clients[descriptor].receive():
                self._own[int(time.monotonic() * MICROS) - said_at] += 1

    def _settle(self) -> int:
        """Waits for the inputs in flight; returns how many deliveries are missing at the end."""
        limit = time.monotonic() + QUIET_SECONDS
        while (missing := self._missing()) and time.monotonic() < limit:
            self._poll(0.05)
        self._wait_until(time.monotonic() + REPEAT_SECONDS)
        return missing

    def _missing(self) -> int:
        if not self._job.echo:
            return 0
        return sum(
            listener.check.missing(speaker.check.own_slot, speaker.n)
            for room in self.rooms
            for speaker in room[: self._job.speakers]
            for listener in room
        )

    def close(self) -> None:
        """Ends all sockets."""
        for client in self._clients.values():
            client.close()
        self._epoll.close()


def _report(message: FromGenerator) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _run(job: Job) -> None:
    allow_descriptors(job.clients)
    generator = Generator(job)
    begun = reported = time.monotonic()
    for seated in generator.seat():
        if time.monotonic() - reported > 0.2:
            reported = time.monotonic()
            _report(Seated(seated))
    _report(Ready(time.monotonic() - begun))
    go = sys.stdin.buffer.readline()
    if go:  # else the parent process has gone
        with no_collections():
            _report(generator.talk(msgspec.json.decode(go, type=Go).at))
    generator.close()


def main() -> None:
    """The entry point of ``python -m lastcall.bench.load.generator``."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    try:
        _run(job)
    except LastcallError as error:
        _report(Failed(str(error)))
    except KeyboardInterrupt:
        pass  # the parent process gets the interrupt as well


if __name__ == "__main__":
    main()
