"""The network of the memory bus: its listeners, its cut links, and its faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from lastcall.bus.address import HostPort, parse_url
from lastcall.errors import AddressInUse

FIRST_FREE_PORT = 40_001
T = TypeVar("T")


@dataclass(slots=True)
class Faults:
    """Which faults happen, and how often; may be changed while the bus runs.

    * ``drop``: the probability that a published message is lost.
    * ``repeat_request``: the probability that a request is delivered twice, with two delays.
    * ``repeat_publish``: the probability that a published message is delivered twice.
    * ``delay_seconds``: the longest delay. Each message draws its own, so requests, replies and
      published messages overtake each other; those of one caller or publisher keep their order.
    * ``reorder_publish``: the messages of one publisher overtake each other too.
    """

    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - repeatable
    drop: float = 0.0
    repeat_request: float = 0.0
    repeat_publish: float = 0.0
    delay_seconds: float = 0.0
    reorder_publish: bool = False

    def happens(self, probability: float) -> bool:
        """Draws whether a fault happens; draws nothing for a fault that is off."""
        return probability > 0 and self.rng.random() < probability

    def arrival_time(self) -> float:
        """The trio time at which a message that is sent now arrives."""
        delay = self.rng.uniform(0, self.delay_seconds) if self.delay_seconds > 0 else 0.0
        return trio.current_time() + delay


class Net:
    """The state that all views of one bus share. A *place* is an address or the name of a node."""

    def __init__(self, faults: Faults, *, direct: bool = False) -> None:
        self.faults = faults
        self.direct = direct
        """Whether the ends may call each other: without faults, cuts and frozen nodes."""
        self.calling = False
        """Whether one end calls another now; messages that are sent meanwhile wait for a task."""
        self._bound: dict[str, End] = {}
        self._ends: dict[End, None] = {}  # ordered, so that runs are repeatable
        self._cuts: set[frozenset[str]] = set()
        self._frozen: set[str] = set()
        self._next_port = FIRST_FREE_PORT

    def call(self, function: Callable[[Any], T], message: Any) -> T:
        """Calls a function of another end; until it returns, no end calls another."""
        self.calling = True
        try:
            return function(message)
        finally:
            self.calling = False

    def add(self, end: End) -> None:
        """Adds an end."""
        self._ends[end] = None

    def bind(self, end: End, address: str) -> str:
        """Lets ``end`` listen at ``address``; returns it, with a real port in place of port 0."""
        wanted = parse_url(address)
        found = wanted.url
        if wanted.port == 0:
            # Each port is given once, so that a closed address stays refused.
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
        """The end that listens at ``address``, if any."""
        return self._bound.get(address)

    def passes(self, owner: str, address: str) -> bool:
        """Whether messages pass between the node ``owner`` and ``address``."""
        places = self._places(address)
        return not any(
            (len(cut) == 1 or owner in cut) and cut <= places | {owner} for cut in self._cuts
        )

    def is_frozen(self, end: End) -> bool:
        """Whether the process of ``end`` is stopped."""
        listens = self._bound.get(end.address) is end
        return end.owner in self._frozen or (listens and end.address in self._frozen)

    def is_silent(self, owner: str, address: str) -> bool:
        """Whether a probe from ``owner`` gets no answer of any kind from ``address``.

        A frozen process answers one: its kernel accepts the connection.
        """
        return owner in self._frozen or not self.passes(owner, address)

    def cut(self, places: frozenset[str]) -> None:
        """Stops all messages at one place, or between two."""
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
        """Tells every end that a listener, a cut or a freeze has changed."""
        for end in self._ends:
            end.on_net_changed()

    def _places(self, address: str) -> set[str]:
        end = self._bound.get(address)
        return {address, end.owner} if end is not None else {address}


class End:
    """One end of a connection: the node that owns it, and the address it listens at or dials."""

    def __init__(self, net: Net, owner: str, address: str) -> None:
        self.net = net
        self.owner = owner
        self.address = address
        self.closed = False
        net.add(self)

    def on_net_changed(self) -> None:
        """A listener, a cut or a freeze has changed."""

    def close(self) -> None:
        """Removes this end from the net; may be called twice."""
        if not self.closed:
            self.closed = True
            self.net.remove(self)

    def check_open(self) -> None:
        """Raises :class:`trio.ClosedResourceError` if this end is closed."""
        if self.closed:
            raise trio.ClosedResourceError("this end of the bus is closed")
