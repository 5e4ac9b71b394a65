"""A client's inputs on the api node, from the socket to the room's inbox.

The api node keeps each input until the game node acks it, so that it can resend, in order, what a
full inbox refused. Count and bytes are bounded: at either bound the socket is not read (the session
waits), so nothing is lost and nothing grows.
"""

from __future__ import annotations


class InputWindow:
    """The inputs of one place that the room may not have yet: all in ``acked < n <= last``."""

    # A list, not a deque: an empty deque takes 600 bytes, and there is one for each client.
    __slots__ = ("_inputs", "acked", "bytes_held", "bytes_max", "full", "inputs_max")

    def __init__(self, inputs_max: int, bytes_max: int, acked: int = 0) -> None:
        self._inputs: list[bytes] = []
        self.inputs_max = inputs_max
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self.acked = acked
        """The room has every input up to this one."""
        self.full = False
        """Whether the socket must not be read for now."""

    @property
    def last(self) -> int:
        """The highest ``n`` that the client has sent."""
        return self.acked + len(self._inputs)

    @property
    def empty(self) -> bool:
        """Whether the room has all inputs."""
        return not self._inputs

    def shut(self) -> None:
        """The client sends no more: the window is full from here on, whatever is acked."""
        self.inputs_max = 0
        self.full = True

    def take(self, n: int, body: bytes) -> bool:
        """Keeps input ``n`` if it is the next, and returns whether it is. A repeat, up to
        :attr:`last`, changes nothing, and neither does one behind a gap.

        A full window takes one more all the same: the bounds ask the caller to stop reading, and
        what was read already must not be lost.
        """
        inputs = self._inputs
        count = len(inputs) + 1
        if n != self.acked + count:
            return False
        inputs.append(body)
        bytes_held = self.bytes_held = self.bytes_held + len(body)
        if count >= self.inputs_max or bytes_held >= self.bytes_max:
            self.full = True
        return True

    def ack(self, n: int) -> bool:
        """Forgets all inputs up to ``n``; returns whether there were any.

        An ack beyond :attr:`last` counts as one up to there: the game node cannot make inputs
        vanish that are still to come.
        """
        inputs = self._inputs
        count = n - self.acked
        if count <= 0 or not inputs:
            return False
        if count == 1:  # as it is for a room that keeps up
            self.acked = n
            self.bytes_held -= len(inputs.pop(0))
        else:
            acked = inputs[:count]
            self.acked += len(acked)
            self.bytes_held -= sum(map(len, acked))
            del inputs[:count]
        if self.full:
            self.full = len(inputs) >= self.inputs_max or self.bytes_held >= self.bytes_max
        return True

    def unacked_from(self, n: int) -> list[tuple[int, bytes]]:
        """The inputs from ``n`` on that the room may not have, with their numbers, in order."""
        first = max(n, self.acked + 1)
        return list(enumerate(self._inputs[first - self.acked - 1 :], first))
