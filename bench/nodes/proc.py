"""A process's memory and processor time, its limit of open files, and its garbage collection
(Linux).
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import trio

from lastcall.errors import UsageError

KIB = 1024
SPARE_DESCRIPTORS = 200
_RSS = re.compile(r"^Rss:\s+(\d+) kB$", re.MULTILINE)


def resident_bytes(pid: int) -> int:
    """The memory of ``pid`` that is in RAM now; raises ``ProcessLookupError`` if it has ended."""
    try:
        return rss_of_smaps(_read(pid, "smaps_rollup"))
    except FileNotFoundError:  # before Linux 4.14; this count lags a little
        return int(_read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """The user and kernel time of all threads of ``pid``."""
    return ticks_of_stat(_read(pid, "stat")) / os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(pid: int) -> float:
    """The processor time of ``pid`` and of its living children."""
    children = [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and _parent(int(folder.name)) == pid
    ]
    return sum(cpu_seconds(one) for one in (pid, *children))


def _parent(pid: int) -> int:
    try:
        return parent_of_stat(_read(pid, "stat"))
    except (ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
        return 0


def parent_of_stat(text: str) -> int:
    """``ppid`` in the text of ``/proc/PID/stat``, see proc(5)."""
    return int(text.rpartition(")")[2].split()[1])


def rss_of_smaps(text: str) -> int:
    """The bytes of ``Rss`` in the text of ``/proc/PID/smaps_rollup``."""
    return sum(int(kib) for kib in _RSS.findall(text)) * KIB


def ticks_of_stat(text: str) -> int:
    """``utime`` and ``stime`` in the text of ``/proc/PID/stat``, see proc(5)."""
    after_name = text.rpartition(")")[2].split()  # a program's name may hold spaces and brackets
    return int(after_name[11]) + int(after_name[12])


def _read(pid: int, name: str) -> str:
    folder = Path("/proc", str(pid))
    if not folder.exists():
        raise ProcessLookupError(f"process {pid} has ended, or this system has no /proc")
    return (folder / name).read_text(encoding="ascii", errors="replace")


async def wait_exit(pid: int) -> float:
    """Waits for the end of a child process; returns when, in the seconds of ``time.monotonic``.

    Call it while the child runs: the kernel reports the end before the child is reaped.
    """
    descriptor = os.pidfd_open(pid)
    try:
        await trio.lowlevel.wait_readable(descriptor)
        return time.monotonic()
    finally:
        os.close(descriptor)


def allow_descriptors(clients: int) -> None:
    """Raises the limit of open files to what ``clients`` need, for this process and the nodes.

    Raises :class:`UsageError` if the hard limit is lower.
    """
    wanted = clients + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise UsageError(
                f"{clients} clients take {wanted} open files a process, and the hard limit is "
                f"{hard}: raise it (as root: ulimit -Hn {wanted}; in a container: docker run "
                f"--ulimit nofile={wanted}), or run fewer clients"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Collects garbage before the block, not in it, where a pause would look like a node's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
