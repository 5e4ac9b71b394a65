"""What a process of the load is told to do, and what it found; both cross a pipe as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

__all__ = ["MICROS", "Failed", "Go", "Job", "Outcome", "Ready", "Said", "Seated", "total"]

MICROS = 1e6


class Job(msgspec.Struct, frozen=True):
    """``rooms`` of ``seats`` clients each; ``speakers`` of each room say something ``hz`` times a
    second, ``size`` bytes long, for the ``warm_seconds`` that do not count and the ``seconds``
    that do.
    """

    dialect: str
    urls: tuple[str, ...]
    rooms: int
    seats: int
    speakers: int
    hz: float
    seconds: float
    warm_seconds: float
    first_room: int = 0
    """The number of the first room: processes that share a load have rooms of their own."""
    size: int = 100
    kind: str = "bench-relay"
    """The room's kind, where the service has such."""
    echo: bool = True
    """Whether the room repeats what is said to all in it; else nothing may be heard."""
    frame: str = "say"
    """``say``, or ``got``: a frame that the service takes and that goes no further."""
    window: int = 0
    """Instead of ``hz``: each speaker has so many inputs under way that he has not heard yet."""
    prompt: bool = False
    """Sleep no tick of 1 ms between two looks at the sockets: for latencies."""
    opening_at_once: int = 32

    @property
    def clients(self) -> int:
        """How many sockets there are."""
        return self.rooms * self.seats

    @property
    def inputs_per_second(self) -> float:
        """What all say together."""
        return self.rooms * self.speakers * self.hz

    def share(self, index: int, of: int) -> Job:
        """The part of process ``index`` of so many: whole rooms."""
        begin, end = index * self.rooms // of, (index + 1) * self.rooms // of
        first = self.first_room + begin
        return msgspec.structs.replace(self, rooms=end - begin, first_room=first)


class Seated(msgspec.Struct, tag="seated", frozen=True):
    """So many clients have their seats."""

    clients: int


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """All have; ``seconds`` from the first dial to the last seat. The process waits for its Go."""

    seconds: float


class Go(msgspec.Struct, frozen=True):
    """When the talk begins, in the seconds of ``time.monotonic`` (one clock for all processes)."""

    at: float


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The process has given up."""

    sentence: str


class Outcome(msgspec.Struct, tag="outcome", frozen=True):
    """What was seen within the seconds that count; what was wrong, over the whole time."""

    seconds: float
    inputs: int = 0
    deliveries: int = 0
    lost: int = 0
    doubled: int = 0
    stray: int = 0
    """Heard in a room where it was not said."""
    own_micros: dict[int, int] = {}
    """From a say to the speaker's own message: how often it took so many µs."""
    late_micros: dict[int, int] = {}
    """By how much what was said was later than due."""
    cpu_seconds: float = 0.0
    """What the load itself has used."""

    @property
    def clean(self) -> bool:
        """Whether everything was heard once, by those it was for."""
        return not (self.lost or self.doubled or self.stray)


Said = Seated | Ready | Failed | Outcome


def total(parts: Iterable[Outcome]) -> Outcome:
    """Several processes' outcomes of the same time as one."""
    parts = list(parts)
    own: Counter[int] = Counter()
    late: Counter[int] = Counter()
    for part in parts:
        own.update(part.own_micros)
        late.update(part.late_micros)
    return Outcome(
        seconds=max(part.seconds for part in parts),
        inputs=sum(part.inputs for part in parts),
        deliveries=sum(part.deliveries for part in parts),
        lost=sum(part.lost for part in parts),
        doubled=sum(part.doubled for part in parts),
        stray=sum(part.stray for part in parts),
        own_micros=dict(own),
        late_micros=dict(late),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
    )
