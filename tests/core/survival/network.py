"""Links between the model's nodes: ordered, and they lose everything under way when they reset."""

from __future__ import annotations

from collections import deque
from itertools import combinations
from typing import Any

Pair = frozenset[int]


def pair(a: int, b: int) -> Pair:
    return frozenset((a, b))


class Network:
    """Two nodes may have a link; a blocked pair delivers nothing, and its link may stay up."""

    def __init__(self) -> None:
        self.up: set[Pair] = set()
        self.blocked: set[Pair] = set()
        self._queues: dict[tuple[int, int], deque[Any]] = {}

    def connect(self, a: int, b: int) -> None:
        self.reset(a, b)
        self.up.add(pair(a, b))

    def reset(self, a: int, b: int) -> None:
        self.up.discard(pair(a, b))
        self._queues.pop((a, b), None)
        self._queues.pop((b, a), None)

    def send(self, source: int, to: int, message: Any) -> None:
        if pair(source, to) in self.up:
            self._queues.setdefault((source, to), deque()).append(message)

    def remove(self, node: int) -> None:
        for link in [link for link in self.up if node in link]:
            self.reset(*link)

    def ready(self, awake: set[int]) -> list[tuple[int, int]]:
        """The directions in which something can be delivered, to a node that is awake."""
        return [
            way
            for way, queue in self._queues.items()
            if queue and way[1] in awake and pair(*way) not in self.blocked
        ]

    def take(self, way: tuple[int, int]) -> Any:
        return self._queues[way].popleft()

    def cut(self, nodes: list[int], chosen: set[Pair]) -> None:
        self.blocked = {link for link in map(frozenset, combinations(nodes, 2)) if link in chosen}
