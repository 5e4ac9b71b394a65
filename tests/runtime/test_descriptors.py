"""The descriptors that are kept for the admin port, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PREAMBLE = """
import errno, os, resource, socket
from lastcall.runtime.descriptors import Reserve
resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
reserve = Reserve.keep(16)
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
listener.setblocking(False)
waiting = [socket.create_connection(listener.getsockname()) for _ in range(20)]

def fill(accept):
    taken = []
    try:
        while True:
            taken.append(accept())
    except OSError as error:
        assert error.errno == errno.EMFILE, error
    return taken

def numbers(sockets):
    return [one.fileno() for one in sockets]
"""


def run(script: str, limit: int = 128) -> str:
    """Runs ``script`` with at most ``limit`` descriptors; returns its output."""
    code = PREAMBLE.replace("HARD", str(limit)) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_others_stop_at_the_soft_limit_and_the_admin_port_gets_exactly_the_reserve() -> None:
    assert (
        run("""
        others = fill(lambda: os.open(os.devnull, os.O_RDONLY))
        assert max(others) == 128 - 16 - 1
        ours = fill(lambda: reserve.accept(listener, lambda: range(112, 128)))
        assert numbers(ours) == list(range(112, 128))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (112, 128), "lowered again"
        ours.pop().close()
        assert reserve.accept(listener, lambda: ()).fileno() == 127
        print(len(ours))
        """)
        == "15"
    )


def test_without_a_shortage_a_connection_takes_nothing_from_the_reserve() -> None:
    run("""
    assert reserve.accept(listener, lambda: ()).fileno() < 112
    """)


def test_connections_of_others_in_the_reserve_are_shut_down_when_it_is_used_up() -> None:
    run("""
    fill(lambda: os.open(os.devnull, os.O_RDONLY))
    everybody = fill(lambda: reserve.accept(listener, lambda: range(112, 128)))
    strangers = everybody[:14]
    for one in strangers:
        one.setblocking(False)
    ours = {126, 127}
    try:
        reserve.accept(listener, lambda: ours)
        raise SystemExit("there was no descriptor left")
    except OSError as error:
        assert error.errno == errno.EMFILE
    assert [one.recv(1) for one in strangers] == [b""] * 14, "their owners see the end"
    for one in strangers:
        one.close()
    assert reserve.accept(listener, lambda: ours).fileno() == 112
    """)


def test_files_and_listening_sockets_in_the_reserve_stay_as_they_are() -> None:
    run("""
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    others = fill(lambda: os.open(os.devnull, os.O_RDONLY))
    for number in others[-2:]:
        os.close(number)
    second = socket.create_server(("127.0.0.1", 0))
    second.setblocking(False)
    assert second.fileno() >= 112
    try:
        kept = reserve.accept(listener, lambda: ())
        reserve.accept(listener, lambda: ())
        raise SystemExit("there was no descriptor left")
    except OSError as error:
        assert error.errno == errno.EMFILE
    second.getsockname()
    assert second.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert os.read(others[-3], 1) == b""
    """)


def test_a_small_limit_keeps_three_quarters_for_the_others() -> None:
    assert run("print(reserve.lowest)", limit=48) == "36"
