"""The net under the memory bus: who listens where, which links are cut, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import trio

from lastcall.bus.address import HostPort, parse_url
from lastcall.errors import AddressInUse

__all__ = ["End", "Faults", "Net"]

FIRST_FREE_PORT = 40_001


@dataclass(slots=True)
class Faults:
    """What goes wrong, and how often; may be changed while the bus runs.

    ``drop``: the probability that a published message is lost. ``repeat_request``: that a request
    is delivered twice, the copy with a delay of its own. ``repeat_publish``: that a published
    message is. ``delay_seconds``: the longest delay; each message draws its own, so requests,
    replies and published messages reorder against each other. Each stream from a caller or a
    publisher keeps its order, but for ``reorder_publish``.
    """

    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - repeatable
    drop: float = 0.0
    repeat_request: float = 0.0
    repeat_publish: float = 0.0
    delay_seconds: float = 0.0
    reorder_publish: bool = False

    def strikes(self, probability: float) -> bool:
        """Rolls the dice; no randomness is drawn for a fault that is off."""
        return probability > 0 and self.rng.random() < probability

    def due(self) -> float:
        """The trio time at which what is sent now arrives."""
        delay = self.rng.uniform(0, self.delay_seconds) if self.delay_seconds > 0 else 0.0
        return trio.current_time() + delay


class Net:
    """What the views of one bus share. A *place* is an address or the name of a node."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._bound: dict[str, End] = {}
        self._ends: dict[End, None] = {}  # in the order of their making, so that runs repeat
        self._cuts: set[frozenset[str]] = set()
        self._frozen: set[str] = set()
        self._next_port = FIRST_FREE_PORT

    def add(self, end: End) -> None:
        """Takes an end in."""
        self._ends[end] = None

    def bind(self, end: End, address: str) -> str:
        """Lets ``end`` listen at ``address`` and returns it, with its port where that was 0."""
        wanted = parse_url(address)
        found = wanted.url
        if wanted.port == 0:
            # Each number is given once, so that a closed address stays refused.
            while (found := HostPort(wanted.host, self._next_port).url) in self._bound:
                self._next_port += 1
            self._next_port += 1
        elif found in self._bound:
            raise AddressInUse(f"{found} is in use: somebody listens there already")
        self._bound[found] = end
        return found

    def remove(self, end: End) -> None:
        """Forgets a closed end."""
        self._ends.pop(end, None)
        if self._bound.get(end.address) is end:
            del self._bound[end.address]
        self.changed()

    def close_all(self, owner: str) -> None:
        """Closes every end of one node."""
        for end in [end for end in self._ends if end.owner == owner]:
            end.close()

    def listener(self, address: str) -> End | None:
        """Who listens at ``address``, if anybody."""
        return self._bound.get(address)

    def passes(self, owner: str, address: str) -> bool:
        """Whether anything goes between the ends of ``owner`` and ``address``."""
        places = self._places(address)
        return not any(
            (len(cut) == 1 or owner in cut) and cut <= places | {owner} for cut in self._cuts
        )

    def is_frozen(self, end: End) -> bool:
        """Whether the process of ``end`` is stopped."""
        listens = self._bound.get(end.address) is end
        return end.owner in self._frozen or (listens and end.address in self._frozen)

    def is_silent(self, owner: str, address: str) -> bool:
        """Whether a look from ``owner`` at ``address`` gets no answer of any kind."""
        frozen = not self._frozen.isdisjoint(self._places(address))
        return frozen or not self.passes(owner, address)

    def cut(self, places: frozenset[str]) -> None:
        """Lets nothing pass at the one place, or between the two."""
        self._cuts.add(places)
        self.changed()

    def freeze(self, place: str) -> None:
        """Stops the process at ``place``."""
        self._frozen.add(place)
        self.changed()

    def heal(self, place: str) -> None:
        """Undoes every cut at ``place``, and thaws it."""
        self._cuts = {cut for cut in self._cuts if place not in cut}
        self._frozen.discard(place)
        self.changed()

    def changed(self) -> None:
        """Lets every end look again at who listens, is cut off, or is frozen."""
        for end in self._ends:
            end.look()

    def _places(self, address: str) -> set[str]:
        end = self._bound.get(address)
        return {address, end.owner} if end is not None else {address}


class End:
    """One end of the bus: the node that it belongs to, and where it listens or what it dials."""

    def __init__(self, net: Net, owner: str, address: str) -> None:
        self.net = net
        self.owner = owner
        self.address = address
        self.closed = False
        net.add(self)

    def look(self) -> None:
        """Something has changed in the net."""

    def close(self) -> None:
        """Leaves the net; may be called twice."""
        if not self.closed:
            self.closed = True
            self.net.remove(self)

    def check_open(self) -> None:
        """Raises :class:`trio.ClosedResourceError` if this end is closed."""
        if self.closed:
            raise trio.ClosedResourceError("this end of the bus is closed")
