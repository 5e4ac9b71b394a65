"""The reports of a node: its ``/status``, and the events of a drain that others read."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct, frozen=True):
    """How rooms and clients have ended since the drain began."""

    rooms_finished: int = 0
    rooms_regrouped: int = 0
    rooms_abandoned: int = 0
    rooms_handed_off: int = 0
    rooms_cut: int = 0
    clients_finished: int = 0
    clients_moved: int = 0
    clients_cut: int = 0

    @property
    def cut(self) -> int:
        """How many rooms and clients were cut; if any, the exit code is 3."""
        return self.rooms_cut + self.clients_cut


class DrainFinished(Counts, frozen=True):
    """The event ``drain.finished``; ``seconds`` is the time from the signal to the end."""

    seconds: float = 0.0


class HandOffRefusal(msgspec.Struct, frozen=True):
    """The event ``handoff.refused``: why a room of that kind was not taken by another node."""

    kind: str
    reason: str


class Status(msgspec.Struct, frozen=True):
    """The body of ``/status``. ``why``: what keeps a draining node up, one sentence each."""

    name: str
    tier: str
    version: str
    phase: str
    rooms: int = 0
    clients: int = 0
    seconds_left: float | None = None
    """The time to the cut; None while the node does not drain."""
    why: tuple[str, ...] = ()
