"""How much may wait for clients that do not read yet, and for how long.

* Each client may have ``backlog_bytes`` waiting, whatever waits for others.
* Beyond that, it must read: if it reads nothing for ``stalled_seconds``, it is too slow.
* Nothing waits without a bound: a client has at most ``backlog_bytes_max``, and what all clients
  of the node have beyond their ``backlog_bytes`` takes at most ``excess_bytes``. A client that
  would exceed one of the two is too slow at once.

So the backlogs of a node take at most ``backlog_bytes`` for each client, and ``excess_bytes``.
"""

from __future__ import annotations

from lastcall.core.excess import Excess
from lastcall.policy import SocketPolicy


class Backlog:
    """The bounds of ``policy``, and what waits beyond the clients' own ``backlog_bytes``.

    A node has one, which all its clients share.
    """

    __slots__ = ("excess", "policy")

    def __init__(self, policy: SocketPolicy) -> None:
        self.policy = policy
        self.excess = Excess(policy.excess_bytes)
