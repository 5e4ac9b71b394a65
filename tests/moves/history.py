"""The law of rooms that move or survive, over what all players of a walk have heard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import trio

from lastcall.client import Message, Place
from lastcall.reasons import EndReason
from tests.moves.tales import SURVIVING

Told = tuple[int, list[Any]]
"""The ``seq`` of a message, and its body (see :mod:`tests.moves.tales`)."""
WELL = {EndReason.FINISHED, EndReason.LEFT}


class Visit:
    """One place, and all messages that its player has received."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.room = str(place.room)
        self.you = str(place.you)
        self.heard: list[Told] = []
        self.said = 0
        """The number of the last input."""
        self.over = trio.Event()
        """Set when the place has ended or is lost, or when the last input was heard."""
        self.slowest = 0.0
        """The longest time until an input was heard, in seconds."""
        self._said_at: dict[int, float] = {}

    def __repr__(self) -> str:
        end = self.place.lost or (self.place.ended and self.place.ended.reason) or "open"
        return f"{self.you} in {self.room} ({self.place.kind}, {end})"

    def say(self, command: str) -> None:
        """The next input is said; all hear it but a whisper."""
        self.said += 1
        if command != "whisper":
            self._said_at[self.said] = trio.current_time()

    def hear(self, message: Message) -> None:
        self.heard.append((message.seq, message.data))
        match message.data[3:]:
            case ["said", self.you, n] if n in self._said_at:
                self.slowest = max(self.slowest, trio.current_time() - self._said_at.pop(n))

    @property
    def last(self) -> list[Any]:
        """The subject of the message that the last input causes."""
        return ["said", self.you, self.said]

    @property
    def survives(self) -> bool:
        return self.place.kind in SURVIVING


def faults_of(
    visits: Sequence[Visit],
    *,
    lossless: bool,
    uncut: bool,
    gentle: bool,
    over: Collection[str] = (),
) -> list[str]:
    """Returns all breaches of the law.

    The rooms ``over`` have ended before their nodes, which perhaps not all players have heard.
    ``lossless``: no two nodes of a surviving room were lost at a time. ``uncut``: each node that
    has drained could give its rooms away. ``gentle``: no game node was killed, nor held for gone.
    """
    rooms: dict[str, list[Visit]] = {}
    for visit in visits:
        rooms.setdefault(visit.room, []).append(visit)
    faults = [f"{visit}: {what}" for visit in visits for what in faults_of_visit(visit)]
    faults += [fault for room in rooms.values() for fault in faults_of_room(room)]
    surviving = [visit for visit in visits if visit.survives and visit.room not in over]
    if lossless:
        faults += [f"{v}: the room is lost" for v in surviving if is_lost(v.place)]
    if gentle:
        faults += [f"{v}: the room is lost, though no node is" for v in visits if is_missing(v)]
    if uncut:
        moving = [visit for visit in visits if visit.place.kind != "camp"]
        faults += [f"{v}: the room was cut" for v in moving if ended_as(v.place, EndReason.CUT)]
    return faults


def ended_as(place: Place, *reasons: EndReason) -> bool:
    return place.ended is not None and place.ended.reason in reasons


def is_missing(visit: Visit) -> bool:
    """Whether the room is lost; but a plain one may be cut while its player is away, and then
    nobody knows it when they come back.
    """
    return is_lost(visit.place) and (visit.place.kind != "camp" or visit.place.ended is not None)


def is_lost(place: Place) -> bool:
    return place.lost is not None or ended_as(place, EndReason.NODE_LOST, EndReason.CRASHED)


def faults_of_visit(visit: Visit) -> Iterable[str]:
    """A hole, a repeat or another order in what one player has heard."""
    if visit.place.progress.repeats:
        yield "a message came twice"
    last, counts = 0, dict[str, int]()
    for seq, (said, to, count, *_) in visit.heard:
        if seq <= last:
            yield f"message {seq} came after {last}"
        if said != seq:
            yield f"message {seq} is the room's number {said}"
        if to not in ("", visit.you):
            yield f"message {seq} is for {to}"
        if count != counts.get(to, count - 1) + 1:
            yield f"message {seq}: of those to {to or 'all'}, {counts[to]} came before {count}"
        last, counts[to] = seq, count


def faults_of_room(visits: Sequence[Visit]) -> Iterable[str]:
    """Two histories, or an input that is missing, or was applied twice."""
    history: dict[int, list[Any]] = {}
    for visit in visits:
        for seq, body in visit.heard:
            if history.setdefault(seq, body) != body:
                yield f"{visit}: message {seq} is {body}, and {history[seq]} for others"
    inputs: dict[str, tuple[int, int]] = {}
    """The last input of each player, and the message that it caused."""
    hole = 0
    for seq, (_, _, _, what, you, *n) in sorted(history.items()):
        if seq - 1 not in history:
            hole = seq  # private messages, which no player of this list has heard
        if what == "said":
            last, caused = inputs.get(you, (n[0] - 1, seq))
            if n[0] <= last or (n[0] > last + 1 and caused >= hole):
                yield f"{visits[0].room}: input {n[0]} of {you} came after {last}"
            inputs[you] = n[0], seq
