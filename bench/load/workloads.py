"""The workloads: for Lastcall alone, or for it and its peers in the same run."""

from __future__ import annotations

import msgspec

from lastcall.bench.load.drive import Driven
from lastcall.bench.load.messages import MICROS, Job, LoadFailed
from lastcall.bench.rooms.kinds import SINK


class Workload(msgspec.Struct, frozen=True):
    """One workload, and the unit of its cost."""

    name: str
    title: str
    unit: str
    """``delivery`` or ``input``."""
    job: Job
    """Without URLs and durations."""

    @property
    def mode(self) -> str:
        """The mode in which a peer's server is started."""
        return "relay" if self.job.echo else "sink"


_GROUPS = Job(rooms=250, seats=4, speakers=4, hz=10.0)
_SILENT = msgspec.structs.replace(_GROUPS, kind=SINK, echo=False)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            *("fanout", "1 room, 500 clients, as fast as it goes", "delivery"),
            Job(seats=500, speakers=8, window=4),
        ),
        Workload(
            *("paced", "1 room, 500 clients, 100 messages/s", "delivery"),
            Job(seats=500, speakers=1, hz=100.0),
        ),
        Workload(
            *("inbound", "1,000 clients, 10 frames/s each, into the session", "input"),
            msgspec.structs.replace(_SILENT, frame="got"),
        ),
        Workload("said", "1,000 clients, 10 inputs/s each, into silent rooms", "input", _SILENT),
        Workload("round", "250 rooms of 4, 10 inputs/s each, to all 4", "input", _GROUPS),
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
