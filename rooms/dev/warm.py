"""``python -m lastcall.dev.warm FD``: has imported all but the author's code, and forks for each
version of it.

To import what a game node needs takes most of a second, and a fork some milliseconds. It has no
threads and no loop, so that a fork has all that it has. Orders come from the socket FD, with the
descriptors of the fork's input, output and lifeline; it tells of each fork that it has started,
with a descriptor for the process, and with which code it has ended. It ends with the last order.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - the first look-up of a host would import it
import gc
import os
import select
import socket
import sys
from contextlib import suppress

import msgspec

from lastcall.dev.game import main as run_game
from lastcall.dev.orders import ORDER_BYTES_MAX, Ended, Order, Started
from lastcall.runtime.signals import LIFELINE

DESCRIPTORS = 3
STDIN, STDOUT, STDERR = range(3)


def main() -> None:
    """Forks for each order; in a fork, runs it."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    gc.collect()  # a node that starts does so, which takes 0.2 s for all that is imported here
    gc.freeze()
    found = _next_fork(orders)
    if found is not None:
        orders.close()
        order, descriptors = found
        _become(descriptors)
        run_game(order.arguments)


def _next_fork(orders: socket.socket) -> tuple[Order, list[int]] | None:
    """Forks for each order, and returns it in the fork; None when no order can come any more."""
    poll, running = select.poll(), dict[int, tuple[int, int]]()
    poll.register(orders, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                os.close(descriptor)
                number, pid = running.pop(descriptor)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(orders, Ended(number, code))
                continue
            try:
                data, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES_MAX, DESCRIPTORS)
            except ConnectionResetError:  # it was killed before it had heard all news
                return None
            if not data:
                return None
            order = msgspec.json.decode(data, type=Order)
            pid = os.fork()
            if not pid:
                for other in running:
                    os.close(other)
                return order, descriptors
            for received in descriptors:
                os.close(received)
            process = os.pidfd_open(pid)
            running[process] = order.number, pid
            poll.register(process, select.POLLIN)
            _tell(orders, Started(order.number, pid), process)


def _become(descriptors: list[int]) -> None:
    """Gives this fork what a process of its own would have."""
    os.setsid()
    stdin, stdout, lifeline = descriptors
    for old, new in ((stdin, STDIN), (stdout, STDOUT), (stdout, STDERR)):
        os.dup2(old, new)
    os.close(stdin)
    os.close(stdout)
    os.environ[LIFELINE] = str(lifeline)


def _tell(orders: socket.socket, news: Started | Ended, *descriptors: int) -> None:
    with suppress(OSError):  # nobody is left to hear it: the next order is the end
        socket.send_fds(orders, [msgspec.json.encode(news)], descriptors)


if __name__ == "__main__":
    main()
