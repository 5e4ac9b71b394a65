"""Keeps some of the process's descriptors for the admin port.

The other ports accept every connection, and nng does so in C without a limit: strangers can use up
all descriptors. Then nobody accepts a probe of ``/livez``, and a kubelet kills a node full of
rooms. So the soft limit, at which every ``accept`` of the process stops, is held below the hard
one, and :meth:`Reserve.accept` raises it around its own.
"""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Callable, Container
from contextlib import suppress

RESERVED = 96
"""For all connections that the admin port has at once, and a few more."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of ``accept`` when the process or the machine has no room for one more socket."""


class Reserve:
    """The descriptors from ``lowest`` to the hard limit.

    Linux gives out the lowest free number below the soft limit. While that is raised, for some
    microseconds, a thread of nng may take a descriptor of the reserve, too. When there is none
    left, those connections are shut down, and nng closes them.
    """

    def __init__(self, lowest: int, limit: int) -> None:
        self.lowest = lowest
        self._limit = limit

    @classmethod
    def keep(cls, reserved: int = RESERVED) -> Reserve:
        """Raises the soft limit (it is often 1 024, and each client needs one descriptor) to
        ``reserved`` below the hard one, or to three quarters of a small one.

        Where the system does not allow that, nothing is changed and the reserve is empty.
        """
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        endless = hard == resource.RLIM_INFINITY
        lowest = hard if endless else max(hard - reserved, hard * 3 // 4)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        except (OSError, ValueError):  # macOS calls a limit infinite that it does not grant
            return cls(0, 0)
        return cls(0, 0) if endless else cls(lowest, hard)

    def accept(self, listener: socket.socket, ours: Callable[[], Container[int]]) -> socket.socket:
        """Accepts from a non-blocking socket, out of the reserve if nothing else is free.

        ``ours`` are the descriptors that may stay in the reserve. Raises as ``socket.accept`` does.
        """
        try:
            return listener.accept()[0]
        except OSError as error:
            if error.errno != errno.EMFILE or not self._limit:
                raise
        try:
            return self._accept_raised(listener)
        except OSError as error:
            if error.errno == errno.EMFILE:
                self._shut_down_others(ours())
            raise

    def _accept_raised(self, listener: socket.socket) -> socket.socket:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limit, self._limit))
        try:
            return listener.accept()[0]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.lowest, self._limit))

    def _shut_down_others(self, ours: Container[int]) -> None:
        for number in range(self.lowest, self._limit):
            if number not in ours:
                _shut_down(number)


NO_RESERVE = Reserve(0, 0)


def _shut_down(number: int) -> None:
    """Ends the connection behind a descriptor of others, who see its end and close it; leaves
    anything else as it is: a closed descriptor, a file, a listening socket.
    """
    with suppress(OSError):
        found = socket.socket(fileno=number)
        try:
            if found.family in {socket.AF_INET, socket.AF_INET6} and found.getpeername():
                found.shutdown(socket.SHUT_RDWR)
        finally:
            found.detach()
