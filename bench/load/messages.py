"""The orders to a load process, and its reports; both cross a pipe as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from lastcall.errors import LastcallError

MICROS = 1e6


class LoadFailed(LastcallError):
    """A client lost its socket or was refused, so the run has no valid figures."""


class Job(msgspec.Struct, frozen=True):
    """``rooms`` of ``seats`` clients each. ``speakers`` of each room say something ``hz`` times a
    second, ``size`` bytes long, first for ``warm_seconds``, then for the measured ``seconds``.
    """

    protocol: str = "lastcall"
    urls: tuple[str, ...] = ()
    rooms: int = 1
    seats: int = 1
    speakers: int = 0
    hz: float = 0.0
    seconds: float = 0.0
    warm_seconds: float = 0.0
    first_room: int = 0
    """The number of the first room: processes that share a load have rooms of their own."""
    size: int = 100
    kind: str = "bench-relay"
    """The room's kind, for services that have kinds."""
    echo: bool = True
    """True if the room repeats every input to all in it; else the clients expect no messages."""
    frame: str = "say"
    """``say``, or ``got``: a frame that the service takes and that goes no further."""
    window: int = 0
    """Instead of ``hz``: each speaker keeps this many inputs in flight."""
    prompt: bool = False
    """Wake for every event instead of every 1 ms: for latencies."""
    opening_at_once: int = 32

    @property
    def clients(self) -> int:
        """The number of sockets."""
        return self.rooms * self.seats

    @property
    def inputs_per_second(self) -> float:
        """The rate of all speakers together."""
        return self.rooms * self.speakers * self.hz

    def share(self, index: int, processes: int) -> Job:
        """The part of process ``index`` of ``processes``: whole rooms."""
        begin, end = index * self.rooms // processes, (index + 1) * self.rooms // processes
        first = self.first_room + begin
        return msgspec.structs.replace(self, rooms=end - begin, first_room=first)


class Seated(msgspec.Struct, tag="seated", frozen=True):
    """The number of clients that have a seat so far."""

    clients: int


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """All clients have a seat, ``seconds`` after the first dial. The process waits for its Go."""

    seconds: float


class Go(msgspec.Struct, frozen=True):
    """The start of the talk, in the seconds of ``time.monotonic`` (one clock for all processes)."""

    at: float


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The process has given up."""

    reason: str


class Outcome(msgspec.Struct, tag="outcome", frozen=True):
    """The counts of the measured seconds, and the errors of the whole time."""

    seconds: float
    inputs: int = 0
    deliveries: int = 0
    lost: int = 0
    repeated: int = 0
    stray: int = 0
    """Texts that were heard in another room than their speaker's."""
    own_micros: dict[int, int] = {}
    """Counts of the speakers' own messages, by the µs since the input."""
    late_micros: dict[int, int] = {}
    """Counts of the inputs, by the µs that they were said too late."""
    cpu_seconds: float = 0.0
    """The processor time of the load itself."""

    @property
    def clean(self) -> bool:
        """True if each text was heard once, and in the speaker's room only."""
        return not (self.lost or self.repeated or self.stray)


SUMMED = ("inputs", "deliveries", "lost", "repeated", "stray", "cpu_seconds")
FromGenerator = Seated | Ready | Failed | Outcome


def total(parts: Sequence[Outcome]) -> Outcome:
    """Several processes' outcomes of the same time as one."""
    sums: Counter[str] = Counter()
    own: Counter[int] = Counter()
    late: Counter[int] = Counter()
    for part in parts:
        sums.update({name: getattr(part, name) for name in SUMMED})
        own.update(part.own_micros)
        late.update(part.late_micros)
    longest = max(part.seconds for part in parts)
    return Outcome(longest, own_micros=dict(own), late_micros=dict(late), **sums)
