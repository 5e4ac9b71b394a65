"""The life of a node, as one state table for both tiers.

* A node starts, serves, may be cordoned and uncordoned, and is stopped once.
* The first stop begins a drain: new work is refused, and running work goes on.
* The deadline, or a second stop, cuts the work that is left.
* ``emptied`` (no work is left) ends a drain and a cut.

An event without a step in the table raises :class:`lastcall.errors.WrongEvent` and changes nothing.
"""

from __future__ import annotations

import enum
from types import MappingProxyType

from lastcall.errors import WrongEvent


class Phase(enum.StrEnum):
    """The phase of a node; shown in ``/status`` and as the body of ``/readyz``."""

    STARTING = "starting"
    SERVING = "serving"
    CORDONED = "cordoned"
    DRAINING = "draining"
    CUTTING = "cutting"
    STOPPED = "stopped"


class Event(enum.StrEnum):
    """An event that may change a node's phase."""

    READY = "ready"
    CORDON = "cordon"
    UNCORDON = "uncordon"
    STOP = "stop"
    DEADLINE = "deadline"
    EMPTIED = "emptied"


TABLE = MappingProxyType(
    {
        Phase.STARTING: {Event.READY: Phase.SERVING, Event.STOP: Phase.STOPPED},
        Phase.SERVING: {Event.STOP: Phase.DRAINING, Event.CORDON: Phase.CORDONED},
        Phase.CORDONED: {Event.STOP: Phase.DRAINING, Event.UNCORDON: Phase.SERVING},
        Phase.DRAINING: {
            Event.EMPTIED: Phase.STOPPED,
            Event.DEADLINE: Phase.CUTTING,
            Event.STOP: Phase.CUTTING,
        },
        Phase.CUTTING: {Event.EMPTIED: Phase.STOPPED},
        Phase.STOPPED: {},
    }
)


class Lifecycle:
    """The current phase of one node."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    def knows(self, event: Event) -> bool:
        """Whether the table has a step for ``event`` from this phase."""
        return event in TABLE[self.phase]

    def on(self, event: Event) -> Phase:
        """Takes the step and returns the new phase; raises :class:`WrongEvent` if there is none."""
        if not self.knows(event):
            phases = " or ".join(phase for phase, steps in TABLE.items() if event in steps)
            raise WrongEvent(f"{event} is for a node that is {phases}; this one is {self.phase}")
        self.phase = TABLE[self.phase][event]
        return self.phase


def diagram() -> str:
    """The table as a Mermaid state diagram; the documentation's picture is this text."""
    lines = ["stateDiagram-v2", "    [*] --> starting"]
    lines += [
        f"    {phase} --> {after}: {event}"
        for phase, steps in TABLE.items()
        for event, after in steps.items()
    ]
    return "\n".join([*lines, "    stopped --> [*]"])
