"""The workloads: for Lastcall alone, or for it and its peers in the same run."""

from __future__ import annotations

import msgspec

from lastcall.bench.load.drive import Driven
from lastcall.bench.load.messages import MICROS, Job, LoadFailed
from lastcall.bench.rooms.kinds import RELAY, SINK


class Workload(msgspec.Struct, frozen=True):
    """One workload, and the unit of its cost."""

    name: str
    title: str
    rooms: int
    seats: int
    speakers: int
    hz: float
    unit: str
    """``delivery`` or ``input``."""
    kind: str = RELAY
    frame: str = "say"
    window: int = 0
    """Inputs that each speaker keeps in flight, instead of ``hz``."""

    @property
    def echo(self) -> bool:
        """Whether rooms repeat what they hear."""
        return self.kind != SINK

    @property
    def mode(self) -> str:
        """The mode in which a peer's server is started."""
        return "relay" if self.echo else "sink"

    def job(self, urls: tuple[str, ...], protocol: str, warm: float, seconds: float) -> Job:
        """The job for the load."""
        return Job(
            protocol=protocol,
            urls=urls,
            rooms=self.rooms,
            seats=self.seats,
            speakers=self.speakers,
            hz=self.hz,
            seconds=seconds,
            warm_seconds=warm,
            kind=self.kind,
            echo=self.echo,
            frame=self.frame,
            window=self.window,
        )


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "fanout",
            "1 room, 500 clients, as fast as it goes",
            *(1, 500, 8, 0.0, "delivery"),
            window=4,
        ),
        Workload("paced", "1 room, 500 clients, 100 messages/s", 1, 500, 1, 100.0, "delivery"),
        Workload(
            "inbound",
            "1,000 clients, 10 frames/s each, into the session",
            *(250, 4, 4, 10.0, "input", SINK, "got"),
        ),
        Workload(
            "said",
            "1,000 clients, 10 inputs/s each, into silent rooms",
            *(250, 4, 4, 10.0, "input", SINK),
        ),
        Workload("round", "250 rooms of 4, 10 inputs/s each, to all 4", 250, 4, 4, 10.0, "input"),
    )
}


def check(driven: Driven, name: str) -> Driven:
    """Returns ``driven``; raises :class:`LoadFailed` if something was lost, repeated or astray."""
    found = driven.outcome
    if not found.clean:
        raise LoadFailed(
            f"{name}: of what was said, {found.lost} lost, {found.repeated} twice, "
            f"{found.stray} astray"
        )
    if not found.inputs or (driven.job.echo and not found.deliveries):
        raise LoadFailed(f"{name}: nothing was heard")
    return driven


def parts_micros(driven: Driven, unit: str) -> dict[str, float]:
    """The µs of processor time of each server for one delivery, or for one input."""
    found = driven.outcome
    count = found.deliveries if unit == "delivery" else found.inputs
    return {name: used / count * MICROS for name, used in driven.cpu.items()}
