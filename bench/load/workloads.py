"""The works that a load gives: to Lastcall alone, or to it and its peers in the same run."""

from __future__ import annotations

import msgspec

from lastcall.bench.load.drive import Driven
from lastcall.bench.load.load import LoadFailed
from lastcall.bench.load.messages import MICROS, Job
from lastcall.bench.rooms.kinds import RELAY, SINK

__all__ = ["WORKS", "Work", "check", "parts_micros"]


class Work(msgspec.Struct, frozen=True):
    """One work, and what its cost is counted by."""

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
    """Of inputs under way, where it goes as fast as it can instead of ``hz``."""

    @property
    def echo(self) -> bool:
        """Whether rooms repeat what they hear."""
        return self.kind != SINK

    @property
    def mode(self) -> str:
        """What a peer's server is started as."""
        return "relay" if self.echo else "sink"

    def job(self, urls: tuple[str, ...], dialect: str, warm: float, seconds: float) -> Job:
        """The load's orders."""
        return Job(
            dialect=dialect,
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


WORKS = {
    work.name: work
    for work in (
        Work(
            "fanout",
            "1 room, 500 clients, as fast as it goes",
            *(1, 500, 8, 0.0, "delivery"),
            window=4,
        ),
        Work("paced", "1 room, 500 clients, 100 messages/s", 1, 500, 1, 100.0, "delivery"),
        Work(
            "inbound",
            "1,000 clients, 10 frames/s each, into the session",
            *(250, 4, 4, 10.0, "input", SINK, "got"),
        ),
        Work(
            "said",
            "1,000 clients, 10 inputs/s each, into silent rooms",
            *(250, 4, 4, 10.0, "input", SINK),
        ),
        Work("round", "250 rooms of 4, 10 inputs/s each, to all 4", 250, 4, 4, 10.0, "input"),
    )
}


def check(driven: Driven, who: str) -> Driven:
    """Returns it; raises :class:`LoadFailed` when something was lost, or came twice or astray."""
    found = driven.outcome
    if not found.clean:
        raise LoadFailed(
            f"{who}: of what was said, {found.lost} lost, {found.doubled} twice, "
            f"{found.stray} astray"
        )
    if not found.inputs or (driven.job.echo and not found.deliveries):
        raise LoadFailed(f"{who}: nothing was heard")
    return driven


def parts_micros(driven: Driven, unit: str) -> dict[str, float]:
    """The µs of processor time of each server for one delivery, or for one input."""
    found = driven.outcome
    count = found.deliveries if unit == "delivery" else found.inputs
    return {name: used / count * MICROS for name, used in driven.cpu.items()}
